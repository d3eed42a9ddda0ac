"""Reports: a page that explains itself, in one file, without a network.

:func:`write_report` tells everything about a run; :class:`Report` shows what it is
given.
"""

from .blocks import Panel, Table
from .plots import Curve
from .run_page import write_report
from .sheet import Report

__all__ = ['Curve', 'Panel', 'Report', 'Table', 'write_report']
