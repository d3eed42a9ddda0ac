"""What watches a run: signals, numbers, images, settings, workers."""

from .collapse import CollapseHook
from .finite import FiniteStepsHook
from .quarantine import QuarantineHook
from .signals import StopOnSignalHook

__all__ = ['CollapseHook', 'FiniteStepsHook', 'QuarantineHook', 'StopOnSignalHook']
