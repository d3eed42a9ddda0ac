"""Tables that commands print."""

from rich.console import Console
from rich.table import Table
from rich.text import Text


def class_table(metrics: dict[str, float], classes: tuple[str, ...]) -> None:
    """IoU class by class; classes that never occur have none."""
    table = Table('class', 'IoU %')
    table.columns[1].justify = 'right'
    for name in classes:
        value = metrics.get(f'IoU/{name}')
        table.add_row(Text(name), '' if value is None else f'{value:.2f}')
    Console().print(table)


def precision_table(metrics: dict[str, float], masks: bool) -> None:
    """COCO's average precision of boxes and masks; 0 if nothing was found at all."""
    table = Table('AP %', 'all', 'IoU 50', 'IoU 75')
    for column in table.columns[1:]:
        column.justify = 'right'
    for row, kind in (('boxes', 'bbox'), ('masks', 'segm'))[: 1 + masks]:
        names = (f'coco/{kind}_mAP{end}' for end in ('', '_50', '_75'))
        table.add_row(row, *(f'{100 * metrics.get(name, 0.0):.1f}' for name in names))
    Console().print(table)
