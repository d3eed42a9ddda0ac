"""What others reached with the same recipe, beside what a run reached.

The expected figures are those of the metafiles of the configs, which say whose they
are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

from cmae_mm.engine.config_text import read_settings
from cmae_mm.origin import COMPOSED_FROM
from cmae_mm.pretraining.run import ASKED
from cmae_mm.zoo import find_root

from .records import Run

# Where a metric of a metafile is found in the records of a run; the scale to percent.
_MEASURED = {
    'k-nn': ('knn/top1', 1),
    'top 1 accuracy after': None,  # of another training, on top of this one
    'top 1 accuracy': ('accuracy/top1', 1),
    'miou': ('mIoU', 1),
    'box ap': ('coco/bbox_mAP', 100),
    'mask ap': ('coco/segm_mAP', 100),
}
# Settings that say where a run was, not what it was.
_PLACES = (
    'work_dir',
    'launcher',
    'load_from',
    'resume',
    'data_root',
    'ann_file',
    'num_workers',
    'cudnn_benchmark',
    'visualizer',
    'vis_backends',
    'log_level',
    'filename',
)


@dataclass
class Expected:
    """A figure of a recipe.

    Args:
        metric (str): As in the metafile, with whose figure it is in brackets.
        dataset (str): What it was measured on.
        value (float): In percent.
        place (str | None): Name of the record of a run that tells the same.
        measured (float | None): What the run has reached, in percent.
        own_images (bool): Whether the run has images of its own instead of those of
            the recipe. Then it meets nothing, whatever it reaches.
    """

    metric: str
    dataset: str
    value: float
    place: str | None
    measured: float | None
    own_images: bool = False

    @property
    def whose(self) -> str:
        """'paper', "authors' code" or the like; ours where nothing is said."""
        return self.metric.split('(')[1].rstrip(')') if '(' in self.metric else 'ours'

    @property
    def met(self) -> bool:
        """Whether the run has reached all of it."""
        reached = self.measured is not None and self.measured >= self.value
        return reached and not self.own_images

    @property
    def verdict(self) -> str:
        """Met, unmet or not measured, in words."""
        if self.measured is None:
            return 'not measured'
        gap = f'{self.measured - self.value:+.1f}'
        if self.own_images:
            below = self.measured < self.value
            return f'unmet ({gap}), own images' if below else 'no verdict: own images'
        return f'{"met" if self.met else "unmet"} ({gap})'


def composed_from(run: Run) -> str | None:
    """The config that a command of ours composed a run from; None for other runs."""
    written = run.config.read_text('utf-8', 'replace') if run.config else ''
    return read_settings(written, COMPOSED_FROM).get(COMPOSED_FROM)


def find_recipe(run: Run) -> dict[str, Any] | None:
    """The entry of the metafiles for what a run was composed from, or its config.

    Both are found by the name of the file.
    """
    stem = composed_from(run) or run.name
    try:
        root = find_root()
        index = yaml.safe_load((root / 'model-index.yml').read_text(encoding='utf-8'))
        for name in index['Import']:
            metafile = yaml.safe_load((root / name).read_text(encoding='utf-8'))
            for model in metafile['Models']:
                if Path(model['Config']).stem == stem:
                    return model
    except FileNotFoundError:  # the package came without its configs
        return None
    return None


def expectations(run: Run, recipe: dict[str, Any]) -> list[Expected]:
    """Expected figures beside those of the run.

    Args:
        run (Run): The run.
        recipe (dict): See :func:`find_recipe`.
    """
    own_images = composed_from(run) is not None
    return [
        Expected(
            metric,
            str(result['Dataset']),
            float(value),
            *_measure(run, metric),
            own_images,
        )
        for result in recipe.get('Results') or []
        for metric, value in (result.get('Metrics') or {}).items()
    ]


def _measure(run: Run, metric: str) -> tuple[str | None, float | None]:
    """Where a metric of a metafile is recorded, and what the run has reached."""
    for words, place in _MEASURED.items():
        if words in metric.lower():
            if place is None:
                break
            found = run.last(place[0])
            return place[0], found * place[1] if found is not None else None
    return None, None


def changed_settings(run: Run, recipe: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Settings in which a run differs from its recipe.

    Returns:
        list[tuple[str, str, str]]: Name, value of the recipe, value of the run.

    Raises:
        FileNotFoundError: If the run has left no config.
    """
    if run.config is None:
        raise FileNotFoundError(f'{run.folder} holds no config.')
    theirs = Config.fromfile(find_root() / recipe['Config']).to_dict()
    ours = Config.fromfile(run.config).to_dict()
    # What only the recipe names at the top are its own variables, which nothing reads.
    names = sorted(ours.keys() - {ASKED, COMPOSED_FROM})
    return [
        (name, _in_words(before), _in_words(now))
        for top in names
        for name, before, now in _differences(theirs.get(top), ours[top], top)
        if not any(part in _PLACES for part in name.split('.'))
    ]


def _differences(before: Any, now: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
    """Dotted names with both values; what is missing is None.

    What only one side has is told as a whole, however much is in it.
    """
    before, now = (list(v) if isinstance(v, tuple) else v for v in (before, now))
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}, key=str):
            inner = f'{name}.{key}'
            yield from _differences(before.get(key), now.get(key), inner)
    elif _is_nested(before) and _is_nested(now):
        for i, pair in enumerate(zip_longest(before, now)):
            yield from _differences(*pair, f'{name}.{i}')
    elif before != now:
        yield name, before, now


def _is_nested(value: Any) -> bool:
    """Whether it is a list of more than plain values."""
    return isinstance(value, list) and any(
        isinstance(item, (dict, list, tuple)) for item in value
    )


def _in_words(value: Any) -> str:
    """A setting as text; of one with settings inside what kind it is."""
    if value is None:
        return 'not set'
    if _is_nested(value):
        return f'{len(value)} entries'
    if not isinstance(value, dict):
        return str(value)
    if 'type' in value:
        return f'{value["type"]} (...)'
    if any(isinstance(inner, (dict, list, tuple)) for inner in value.values()):
        return f'{", ".join(value)} (...)'
    return ', '.join(f'{key}={inner}' for key, inner in value.items())
