"""Fixed pictures and figures that show a training while it runs."""

from .hook import LearningMonitor

__all__ = ['LearningMonitor']
