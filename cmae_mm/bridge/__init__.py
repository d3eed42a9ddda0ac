"""Weights from and to the formats of others.

``convert`` is what ``cmae convert`` calls, ``export.export`` what ``cmae export``
calls. In between, everything is a
state dict of :class:`cmae_mm.CMAE`; each format has a module that reads it into
that, and where it is also a target, writes it. timm, transformers and safetensors
(``requirements/bridge.txt``) are imported only by the conversions that need them.
"""

from .convert import READERS, TOLERANCE, WRITERS, Conversion, convert, describe
from .errors import ConversionError, UsageError
from .trusted import make_plain

__all__ = [
    'READERS',
    'TOLERANCE',
    'WRITERS',
    'Conversion',
    'ConversionError',
    'UsageError',
    'convert',
    'describe',
    'make_plain',
]
