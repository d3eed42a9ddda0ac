"""The numbers of a training, sorted into groups of curves."""

from .blocks import text
from .plots import Curve, draw_curve
from .records import Run, Series

GROUPS = (
    'Losses',
    'Accuracy and results',
    'Features, and what would tell of a collapse',
    'Learning rate and schedule',
    'Speed and memory',
    'Others',
)
_TITLES = {
    'loss': 'Total loss',
    'loss_reconstruction': 'Reconstruction loss',
    'loss_contrastive': 'Contrastive loss, weighted',
    'acc_contrastive': 'Contrastive accuracy, share',
    'lr': 'Learning rate',
    'time': 'Time of an iteration, s',
    'data_time': 'Waiting for data, s',
    'memory': 'Memory of the GPU, MiB',
    'knn/top1': 'k-NN, top-1 %',
    'accuracy/top1': 'Accuracy, top-1 %',
    'accuracy/top5': 'Accuracy, top-5 %',
    'grad_norm': 'Norm of the gradient',
    'spread': 'Spread of the features',
    'rank': 'Effective rank',
    'similarity': 'Cosine similarity',
    'knn_top1': 'k-NN, top-1 %',
    'linear_top1': 'Linear probe, top-1 %',
}
_FEATURES = ('monitor/', 'spread_', 'rank_', 'similarity_')
_SCORES = ('acc', 'top1', 'top5', 'miou', 'map', 'knn', 'linear', 'recall', 'dice')
_SCHEDULE = ('lr', 'momentum', 'weight_decay', 'decay')
_COST = ('time', 'memory', 'images_per', 'throughput', 'wait')


def group_of(name: str) -> str:
    """The group a number belongs to, by its name."""
    lowered = name.lower()
    if 'loss' in lowered:
        return GROUPS[0]
    if any(score in lowered for score in _SCORES):
        return GROUPS[1]
    if lowered.startswith(_FEATURES):
        return GROUPS[2]
    if any(lowered.endswith(word) for word in _SCHEDULE):
        return GROUPS[3]
    if any(word in lowered for word in _COST):
        return GROUPS[4]
    return GROUPS[5]


def group_curves(series: dict[str, Series]) -> dict[str, list[Curve]]:
    """Sort numbers into groups; those of features that belong together share a plot.

    Args:
        series (dict[str, Series]): Numbers by name.

    Returns:
        dict[str, list[Curve]]: Curves by group, in the order of :data:`GROUPS`.
    """
    groups: dict[str, dict[tuple[str, str], dict[str, Series]]] = {}
    for name, points in series.items():
        if name == 'base_lr' and 'lr' in series and _same(points, series['lr']):
            continue
        group = group_of(name)
        # spread_encoder, spread_online and spread_target on one plot
        plot, line = name, ''
        if group == GROUPS[2] and '_' in name:
            plot, line = name.split('_', 1)
        key = (plot, points.unit)
        groups.setdefault(group, {}).setdefault(key, {})[line] = points
    return {
        group: [
            _curve(plot, unit, lines)
            for (plot, unit), lines in sorted(groups[group].items(), key=_rank)
        ]
        for group in GROUPS
        if group in groups
    }


def _rank(item: tuple[tuple[str, str], dict]) -> int:
    """What has a title comes first, in the order of the titles."""
    names = list(_TITLES)
    plot = item[0][0]
    return names.index(plot) if plot in names else len(names)


def _curve(plot: str, unit: str, lines: dict[str, Series]) -> Curve:
    whole = plot.removeprefix('monitor/')
    title = _TITLES.get(plot) or _TITLES.get(whole, whole)
    if len(lines) == 1 and (only := next(iter(lines))):
        title, lines = f'{whole}_{only}'.replace('_', ' '), {'': lines[only]}
    named = {name.replace('_', ' '): (s.steps, s.values) for name, s in lines.items()}
    return Curve(title, named, unit)


def _same(one: Series, other: Series) -> bool:
    return one.steps == other.steps and one.values == other.values


def training_curves(run: Run) -> str:
    """All curves of a run, as HTML; empty if it recorded none."""
    parts = []
    for group, curves in group_curves(run.series).items():
        drawn = ''.join(map(draw_curve, curves))
        parts.append(f'<h3>{text(group)}</h3><div class="curves">{drawn}</div>')
    return ''.join(parts)
