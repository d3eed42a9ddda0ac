"""What a check has found. Needs nothing but Python: libraries may be broken."""

from collections.abc import Callable, Iterator
from typing import NamedTuple


class Finding(NamedTuple):
    """One line of ``cmae doctor``.

    Attributes:
        status (str): 'ok', 'note' or 'wrong'.
        name (str): What was looked at.
        text (str): What was found and, unless all is well, what to do.
    """

    status: str
    name: str
    text: str


def guarded(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Make a check whose failure is a finding, too.

    Args:
        name (str): Of the check.
        check (callable): Gives findings.

    Yields:
        Finding: Those of the check; a library that is missing is a note, because
        another line says so already.
    """
    try:
        yield from check()
    except ImportError as error:
        text = f'not looked at, because a library is missing: {_one_line(error)}'
        yield Finding('note', name, text)
    except Exception as error:
        yield Finding('wrong', name, f'could not be looked at: {_one_line(error)}')


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split()) or type(error).__name__
