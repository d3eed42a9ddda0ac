"""What others reached with the same recipe, beside what a run reached.

The expected figures are those of the metafiles of the configs, which say whose they
are.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

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
        measured (float | None): What the run has reached, in percent.
    """

    metric: str
    dataset: str
    value: float
    measured: float | None

    @property
    def whose(self) -> str:
        """'paper', "authors' code" or the like; ours where nothing is said."""
        return self.metric.split('(')[1].rstrip(')') if '(' in self.metric else 'ours'

    @property
    def met(self) -> bool:
        """Whether the run has reached all of it."""
        return self.measured is not None and self.measured >= self.value

    @property
    def verdict(self) -> str:
        """Met, unmet or not measured, in words."""
        if self.measured is None:
            return 'not measured'
        gap = self.measured - self.value
        return f'{"met" if self.met else "unmet"} ({gap:+.1f})'


def find_recipe(run: Run) -> dict[str, Any] | None:
    """The entry of the metafiles for a run's config, found by the file's name."""
    try:
        root = find_root()
        index = yaml.safe_load((root / 'model-index.yml').read_text(encoding='utf-8'))
        for name in index['Import']:
            metafile = yaml.safe_load((root / name).read_text(encoding='utf-8'))
            for model in metafile['Models']:
                if Path(model['Config']).stem == run.name:
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
    return [
        Expected(metric, str(result['Dataset']), float(value), _measure(run, metric))
        for result in recipe.get('Results') or []
        for metric, value in (result.get('Metrics') or {}).items()
    ]


def _measure(run: Run, metric: str) -> float | None:
    """What the run has reached in a metric of a metafile."""
    for words, place in _MEASURED.items():
        if words in metric.lower():
            found = run.last(place[0]) if place else None
            return found * place[1] if found is not None else None
    return None


def changed_settings(run: Run, recipe: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Settings in which a run differs from its recipe.

    Returns:
        list[tuple[str, str, str]]: Name, value of the recipe, value of the run.

    Raises:
        FileNotFoundError: If the run has left no config.
    """
    if run.config is None:
        raise FileNotFoundError(f'{run.folder} holds no config.')
    theirs = _flat(Config.fromfile(find_root() / recipe['Config']).to_dict())
    ours = _flat(Config.fromfile(run.config).to_dict())
    return [
        (name, str(theirs.get(name, 'not set')), str(ours.get(name, 'not set')))
        for name in sorted({*theirs, *ours})
        if theirs.get(name) != ours.get(name)
        and not any(part in _PLACES for part in name.split('.'))
        # Variables of the recipe itself, which nothing reads.
        and (name in ours or name.split('.')[0] in ours)
    ]


def _flat(settings: Any, name: str = '') -> dict[str, Any]:
    """Nested settings by dotted name."""
    if isinstance(settings, dict) and settings:
        items = settings.items()
    elif isinstance(settings, (list, tuple)) and any(
        isinstance(item, (dict, list, tuple)) for item in settings
    ):
        items = enumerate(settings)
    else:
        return {name: list(settings) if isinstance(settings, tuple) else settings}
    return {
        key: value
        for part, inner in items
        for key, value in _flat(inner, f'{name}.{part}' if name else str(part)).items()
    }
