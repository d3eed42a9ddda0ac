"""What watches a run: signals, numbers, images, settings, workers."""

from .collapse import CollapseHook
from .finite import FiniteStepsHook
from .signals import StopOnSignalHook

__all__ = ['CollapseHook', 'FiniteStepsHook', 'StopOnSignalHook']
