"""CMAE (contrastive masked autoencoders) as a plugin for OpenMMLab.

Importing the package checks the libraries it stands on, and puts a loader in
place that reads checkpoints without executing them. It imports neither mmseg
nor mmdet; the registries of :mod:`cmae_mm.registry` import our modules when the
first of them is asked for. ``cmae doctor`` alone starts although a check fails: it says
what is wrong, line by line.
"""

import sys as _sys
from pathlib import Path as _Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from .features import load as load

__all__ = ['__version__']


def __getattr__(name: str) -> Any:
    """``cmae_mm.load``, whose imports take seconds, when it is asked for."""
    if name == 'load':
        from .features import load

        return load
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
