import importlib
from types import ModuleType

from .errors import ConversionError

_EXPORT = ('onnx', 'onnxruntime', 'onnxscript', 'pyarrow')


def need(module: str) -> ModuleType:
    """Import what only the bridge needs, when it is needed.

    Raises:
        ConversionError: If it is not installed, or not importable.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split('.')[0]
        extra = 'export' if package in _EXPORT else 'bridge'
        raise ConversionError(
            f'This needs {package}, which cannot be imported ({error}). '
            f'Try: pip install cmae-mm[{extra}]'
        ) from error
