import importlib
from types import ModuleType

from .errors import ConversionError


def need(module: str) -> ModuleType:
    """Import what only the bridge needs, when it is needed.

    Raises:
        ConversionError: If it is not installed, or not importable.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split('.')[0]
        raise ConversionError(
            f'This conversion needs {package}, which cannot be imported ({error}). '
            'Try: pip install -r requirements/bridge.txt'
        ) from error
