"""What watches a run: signals, numbers, images, settings, workers."""

from .settings import check_config
from .start import CheckedRunner, CheckSettingsHook

__all__ = ['CheckSettingsHook', 'CheckedRunner', 'check_config']
