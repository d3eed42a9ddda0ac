"""CMAE (contrastive masked autoencoders) as a plugin for OpenMMLab.

Importing the package checks the libraries it stands on, and puts a loader in
place that reads checkpoints without executing them. It imports neither mmseg
nor mmdet; the registries of :mod:`cmae_mm.registry` import our modules when the
first of them is asked for. The console script starts although a check fails, to say so
in a line; ``cmae doctor`` goes on, and looks at every library.
"""

import sys as _sys
from pathlib import Path as _Path
from typing import TYPE_CHECKING, Any

from .dependencies import check_dependencies
from .version import __version__

# Why the package cannot work, kept for the console script; elsewhere it is raised.
start_error: Exception | None = None

try:
    check_dependencies()
    # After the check: this is the first line that needs torch and mmengine.
    from .safe_loading import register_safe_loader

    register_safe_loader()
except Exception as _error:
    if _Path(_sys.argv[0]).stem != 'cmae':
        raise
    start_error = _error

if TYPE_CHECKING:
    from .features import load as load

__all__ = ['__version__']


def __getattr__(name: str) -> Any:
    """``cmae_mm.load``, whose imports take seconds, when it is asked for."""
    if name == 'load':
        from .features import load

        return load
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
