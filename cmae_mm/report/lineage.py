"""Where a run comes from: settings, versions, data, cost; and what it came to."""

import re
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import torch
from mmengine.config import Config

from cmae_mm.engine.valid_checkpoint import obstacle
from cmae_mm.version import __version__

from .blocks import Table, sentence, table, text
from .figures import SCORES, final_figures
from .probed import Probe, probe_table
from .recipes import (
    Expected,
    changed_settings,
    composed_from,
    expectations,
    find_recipe,
)
from .records import Run, read_ends

_MOST_TEXT = 30_000  # letters of a config; lists of files make some endless
_MOST_CHANGES = 40
_ENVIRONMENT = {
    'Python': r'^\s+Python: ([\d.]+)',
    'torch': r'^\s+PyTorch: (\S+)',
    'torchvision': r'^\s+TorchVision: (\S+)',
    'mmengine': r'^\s+MMEngine: (\S+)',
}


def facts_of(run: Run, meta: Mapping[str, Any]) -> dict[str, str]:
    """What is known of a run, in words by name; unknown things are left out.

    Args:
        run (Run): The run.
        meta (Mapping): Of its newest checkpoint, empty if there is none.
    """
    identity = meta.get('run') or {}
    settings, iterations = _settings(run), _last_iteration(run, meta)
    origin = composed_from(run)
    facts = {
        'config': None if origin else run.name,
        'composed from': origin,
        **_versions(run),
        **(meta.get('versions') or {}),
        'device': _device(run),
        'processes': identity.get('world_size'),
        'batch': _batch(settings, identity),
        'seed': _seed(settings, meta),
        'began': _when(run),
        'took': _duration(run),
        'starts': _starts(run),
        'iterations': _number(iterations),
        'images seen': _number(_images_seen(iterations, settings, identity)),
        'images in the data set': _number(identity.get('images')),
        'data fingerprint': identity.get('names'),
    }
    return {name: str(fact) for name, fact in facts.items() if fact not in (None, '')}


def _settings(run: Run) -> Mapping[str, Any]:
    """The config of a run, empty if it cannot be read."""
    try:
        return Config.fromfile(run.config) if run.config else {}
    except Exception:  # the page says so where it looks inside
        return {}


def checkpoint_meta(run: Run) -> dict[str, Any]:
    """What the newest checkpoint of a run says of it; empty if there is none."""
    files = sorted(run.folder.glob('*.pth'), key=lambda file: file.stat().st_mtime)
    for file in reversed(files):
        try:  # mapped, where the format allows it: the tensors are not read
            mapped = zipfile.is_zipfile(file)
            checkpoint = torch.load(str(file), 'cpu', weights_only=True, mmap=mapped)
        except Exception:  # what a damaged file makes torch raise has no limit
            continue
        if isinstance(checkpoint, dict) and obstacle(checkpoint) is None:
            return checkpoint['meta']
    return {}


def _versions(run: Run) -> dict[str, str]:
    """Versions that the log names, of the newest start."""
    head = read_ends(run.parts[-1].log)[0]
    found = {
        name: re.search(pattern, head, re.MULTILINE)
        for name, pattern in _ENVIRONMENT.items()
    }
    return {name: match[1] for name, match in found.items() if match}


def _device(run: Run) -> str | None:
    """What the newest start computed on, as its log says."""
    head = read_ends(run.parts[-1].log)[0]
    if gpus := re.findall(r'^\s+GPU ([\d,]+): (.+)$', head, re.MULTILINE):
        return ', '.join(f'{numbers.count(",") + 1} x {name}' for numbers, name in gpus)
    return 'CPU' if 'CUDA available: False' in head else None


def _batch(settings: Mapping[str, Any], identity: Mapping[str, Any]) -> str | None:
    """Images per step and where they come together."""
    size = _batch_size(settings, identity)
    if size is None:
        return None
    return f'{size} images per process'


def _batch_size(settings: Mapping[str, Any], identity: Mapping[str, Any]) -> int | None:
    loader = settings.get('train_dataloader') or {}
    return identity.get('batch_size') or loader.get('batch_size')


def _seed(settings: Mapping[str, Any], meta: Mapping[str, Any]) -> Any:
    seed = (settings.get('randomness') or {}).get('seed')
    return meta.get('seed', seed)


def _when(run: Run) -> str | None:
    start = run.parts[0].start
    return f'{start:%d %B %Y, %H:%M}' if start else None


def _starts(run: Run) -> str | None:
    count = len(run.parts)
    return f'{count}, the last {count - 1} resumed' if count > 1 else None


def _duration(run: Run) -> str | None:
    """How long all parts took together, in words; None if one does not tell."""
    spans = [(part.start, part.end) for part in run.parts]
    if any(None in span for span in spans):
        return None
    return in_words(sum((end - start for start, end in spans), timedelta()))


def in_words(span: timedelta) -> str:
    """3 d 4 h, 4 h 12 min, 12 min 5 s, 5 s."""
    seconds = int(span.total_seconds())
    parts = [
        (seconds // 86400, 'd'),
        (seconds // 3600 % 24, 'h'),
        (seconds // 60 % 60, 'min'),
        (seconds % 60, 's'),
    ]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return ' '.join(f'{count} {unit}' for count, unit in parts[:2])


def _last_iteration(run: Run, meta: Mapping[str, Any]) -> int | None:
    """Of the last record or checkpoint, whichever is later."""
    counts = [int(record['iter']) for part in run.parts for record in part.training]
    counts += [meta['iter']] if 'iter' in meta else []
    return max(counts, default=None)


def _images_seen(
    steps: int | None, settings: Mapping[str, Any], identity: Mapping[str, Any]
) -> int | None:
    """Images that went through the model in training, each pass counted."""
    size = _batch_size(settings, identity)
    if size is None or steps is None:
        return None
    return steps * size * int(identity.get('world_size') or 1)


def _number(value: Any) -> str | None:
    return f'{value:,}' if isinstance(value, int) else None


def lineage_card(
    run: Run,
    others: list[Run],
    facts: Mapping[str, str],
    probes: Sequence[Probe] = (),
) -> str:
    """Facts, results beside the expected ones, and the settings, as HTML.

    Args:
        run (Run): The run.
        others (list[Run]): Runs that were built on it, or stand beside it.
        facts (Mapping): See :func:`facts_of`.
        probes (Sequence[Probe]): Of its weights.
    """
    rows = ''.join(
        f'<div><dt>{text(name)}</dt><dd>{text(fact)}</dd></div>'
        for name, fact in facts.items()
    )
    return (
        f'<dl class="facts">{rows}</dl>'
        f'<h3>Results beside the expected ones</h3>{_results([run, *others])}'
        f'{"".join(map(probe_table, probes))}{_changes(run)}{_config_text(run)}'
    )


def _results(runs: list[Run]) -> str:
    """Each figure of the recipes, whose it is, and whether it was met; then the rest.

    The rest are results of the runs that no recipe has a figure of.
    """
    rows, expected = [], []
    for run in runs:
        recipe = find_recipe(run)
        figures = expectations(run, recipe) if recipe else []
        covered = {figure.place for figure in figures}
        scores = {name: SCORES[name] for name in SCORES if name not in covered}
        rows += [_beside(run, figure) for figure in figures]
        rows += [
            [run.name, words, f'{value:.1f}', 'none known', '', '']
            for words, value in final_figures(run, scores).items()
        ]
        expected += figures
    header = ['run', 'measure', 'here', 'expected', 'verdict', 'whose figure']
    drawn = table(Table(header, rows)) if rows else ''
    if not expected:
        return drawn + sentence(
            'No figures of others are known for this config: it is none of our '
            'recipes, or one without a published result.'
        )
    notes = [
        'A figure is met only if the run reaches all of it. Figures of others belong '
        'to the recipe with its network and at its full length; what was changed is '
        'listed below.'
    ]
    if any(figure.own_images for figure in expected):
        notes.append(
            'Runs of cmae pretrain, segment and detect have images of their own, and '
            'the figures expected of them are of the data set in brackets at full '
            'size. They stand here to be known, not to be compared.'
        )
    return drawn + ''.join(f'<p class="lead">{text(note)}</p>' for note in notes)


def _beside(run: Run, figure: Expected) -> list:
    """A row: what others reached, and this run."""
    whole = 'all of ' if figure.own_images else ''
    return [
        run.name,
        f'{figure.metric.split(" (")[0]} ({whole}{figure.dataset})',
        'none' if figure.measured is None else f'{figure.measured:.1f}',
        f'{figure.value:g}',
        (figure.verdict, 'best' if figure.met else 'warn'),
        figure.whose,
    ]


def _changes(run: Run) -> str:
    """Settings that are not those of the recipe."""
    recipe = find_recipe(run)
    if recipe is None:
        return ''
    try:
        changed = changed_settings(run, recipe)
    except Exception as error:  # a config of any other version
        return sentence(f'The settings are not compared with the recipe: {error}')
    if not changed:
        return sentence('All settings are those of the recipe.')
    rows = [[name, _cut(a), _cut(b)] for name, a, b in changed[:_MOST_CHANGES]]
    more = len(changed) - len(rows)
    rest = sentence(f'{more} more settings differ.') if more else ''
    return (
        f'<h3>Changed against the recipe</h3>'
        f'{table(Table(["setting", "recipe", "this run"], rows))}{rest}'
    )


def _cut(value: str) -> str:
    return value if len(value) <= 60 else f'{value[:57]}...'


def _config_text(run: Run) -> str:
    """All settings, folded away."""
    if run.config is None:
        return sentence('The run has left no config.')
    whole = run.config.read_text(encoding='utf-8', errors='replace')
    shown = whole[:_MOST_TEXT]
    cut = sentence('The rest is left out here.') if len(whole) > len(shown) else ''
    return (
        f'<details><summary>All settings</summary><pre tabindex="0">{text(shown)}</pre>'
        f'{cut}</details>'
    )


def now_in_words() -> str:
    """When and by what the page is made."""
    return f'Made on {datetime.now():%d %B %Y} by cmae_mm {__version__}.'
