"""What watches a run: signals, numbers, images, settings, workers."""

from .signals import StopOnSignalHook

__all__ = ['StopOnSignalHook']
