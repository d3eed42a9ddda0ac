"""A runner that does not begin with hundreds of lines on the terminal."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import TextIO

from mmengine.logging import MMLogger


# What MMEngine's own checkpoint hook brings up by itself; nobody can act on it.
_STALE = ('"FileClient" will be deprecated', '"HardDiskBackend" is the alias')


class _OnlyWarnings:
    """A stream that lets the warnings and errors of a log pass.

    Args:
        stream (TextIO): Where they go.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Take one message of a log."""
        first = text.partition('\n')[0]
        loud = any(word in first for word in ('WARNING', 'ERROR', 'CRITICAL'))
        return self._stream.write(text) if loud else len(text)


@contextlib.contextmanager
def quiet_building() -> Iterator[None]:
    """Keep environment, config and list of hooks to the file of the log.

    MMEngine writes them while it builds a runner. Afterwards the log speaks as always,
    but for two warnings about MMEngine itself.
    """
    real = sys.stdout
    sieve = _OnlyWarnings(real)
    try:
        with contextlib.redirect_stdout(sieve):
            yield
    finally:
        for handler in MMLogger.get_current_instance().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is sieve:
                handler.setStream(real)
                handler.addFilter(_can_be_acted_on)


def _can_be_acted_on(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_STALE)
