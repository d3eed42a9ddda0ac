"""What watches a run: signals, numbers, images, settings, workers."""

from .collapse import CollapseHook
from .finite import FiniteStepsHook
from .quarantine import QuarantineHook
from .settings import check_config
from .signals import StopOnSignalHook
from .start import CheckedRunner, CheckSettingsHook

__all__ = [
    'CheckSettingsHook',
    'CheckedRunner',
    'CollapseHook',
    'FiniteStepsHook',
    'QuarantineHook',
    'StopOnSignalHook',
    'check_config',
]
