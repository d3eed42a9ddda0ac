"""Fixed pictures and figures that show a training while it runs."""

from .hook import LearningMonitor
from .mlflow import MLflowBackend

__all__ = ['LearningMonitor', 'MLflowBackend']
