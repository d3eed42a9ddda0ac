"""CMAE (contrastive masked autoencoders) as a plugin for OpenMMLab.

Importing the package checks the libraries it stands on, and puts a loader in
place that reads checkpoints without executing them. It imports neither mmseg
nor mmdet; the registries of :mod:`cmae_mm.registry` import our modules when the
first of them is asked for. ``cmae doctor`` alone starts although a check fails: it says
what is wrong, line by line.
"""

import sys as _sys
from pathlib import Path as _Path

from .dependencies import check_dependencies
from .version import __version__


def _doctor_is_asked() -> bool:
    """Whether this is ``cmae doctor``, which has to start where others cannot."""
    words = [word for word in _sys.argv[1:] if not word.startswith('-')]
    return _Path(_sys.argv[0]).stem == 'cmae' and words[:1] == ['doctor']


try:
    check_dependencies()
    # After the check: this is the first line that needs torch and mmengine.
    from .safe_loading import register_safe_loader

    register_safe_loader()
except Exception:
    if not _doctor_is_asked():
        raise

__all__ = ['__version__']
