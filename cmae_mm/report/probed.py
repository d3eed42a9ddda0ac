"""What ``cmae probe`` has measured, beside a run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .blocks import Table, table, text


@dataclass(frozen=True)
class Probe:
    """Accuracies of frozen features.

    Args:
        folder (Path): That the probe wrote to.
        results (dict[str, Any]): See :func:`cmae_mm.transfer.probe.probe`.
    """

    folder: Path
    results: dict[str, Any]


def read_probe(folder: str | Path) -> Probe | None:
    """Read the results of a probe.

    Args:
        folder (str | Path): Any folder.

    Returns:
        Probe | None: None if it is not one that ``cmae probe`` wrote to.
    """
    try:
        results = json.loads((Path(folder) / 'results.json').read_text('utf-8'))
    except (OSError, ValueError):
        return None
    known = isinstance(results, dict) and isinstance(results.get('top1'), dict)
    return Probe(Path(folder), results) if known else None


def probe_table(probe: Probe) -> str:
    """The figures of a probe, and what they are of, as HTML."""
    said = probe.results
    images = said.get('images') or {}
    caption = (
        f'Frozen features of {said.get("checkpoint")} on {said.get("data")}: '
        f'{images.get("train")} images to learn from, {images.get("val")} to test on, '
        f'{said.get("classes")} classes ({said.get("split")}).'
    )
    rows = [[name, *_cells(row)] for name, row in said['top1'].items()]
    return (
        f'<h3>Probe: {text(probe.folder.resolve().name)}</h3>'
        f'<p class="lead">{text(caption)}</p>'
        f'{table(Table(["top-1 %", "k-NN", "linear"], rows))}'
    )


def _cells(row: dict[str, float]) -> list[str]:
    """k-NN and linear accuracy; chance is the same for both."""
    chance = row.get('always_the_largest_class')
    found = (row.get('knn', chance), row.get('linear', chance))
    return ['' if value is None else f'{value:.1f}' for value in found]
