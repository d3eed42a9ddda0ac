"""What watches a run: signals, numbers, images, settings, workers."""

from .quarantine import QuarantineHook

__all__ = ['QuarantineHook']
