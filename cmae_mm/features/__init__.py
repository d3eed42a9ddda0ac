"""Trained encoders in use: ``cmae_mm.load``, and features of whole folders."""

from .loading import Features, Loaded, load
from .transform import Transform

__all__ = ['Features', 'Loaded', 'Transform', 'load']
