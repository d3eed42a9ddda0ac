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
    'base_lr': 'Base learning rate',
    'time': 'Time of an iteration, s',
    'data_time': 'Waiting for data, s',
    'memory': 'Memory of the GPU, MiB',
    'knn/top1': 'k-NN, top-1 %',
    'accuracy/top1': 'Accuracy, top-1 %',
    'accuracy/top5': 'Accuracy, top-5 %',
    'mIoU': 'mIoU, %',
    'aAcc': 'Pixels right, %',
    'mAcc': 'Pixels right, mean of the classes, %',
    'coco/bbox_mAP': 'Box AP, share',
    'coco/segm_mAP': 'Mask AP, share',
    'grad_norm': 'Norm of the gradient',
    'spread': 'Spread of the features',
    'rank': 'Effective rank',
    'similarity': 'Cosine similarity',
    'match': 'Patches found again, share',
    'gradient_share': "Share of the encoder's gradient",
    'gradient_cosine': 'Cosine between the gradients of the losses',
    'knn_top1': 'k-NN, top-1 %',
    'linear_top1': 'Linear probe, top-1 %',
    'seconds': 'Time of a look, s',
}
# Beginnings of the names of numbers that share a plot.
_FAMILIES = ('gradient_share_', 'match_', 'spread_', 'rank_', 'similarity_')
# Those that are named like their first one: all objects, then by overlap and by size.
_PRECISIONS = ('coco/bbox_mAP', 'coco/segm_mAP')
_CLASSES = 'IoU/'  # of each class; there may be hundreds
_MONITOR = 'monitor/'
_SCORES = ('acc', 'top1', 'top5', 'miou', 'map', 'knn', 'linear', 'recall', 'dice')
_SCHEDULE = ('lr', 'momentum', 'weight_decay', 'decay')
_COST = ('time', 'memory', 'images_per', 'throughput', 'wait', 'seconds')


def group_of(name: str) -> str:
    """The group a number belongs to, by its name."""
    lowered = name.lower()
    if lowered.removeprefix(_MONITOR).startswith(_FAMILIES):
        return GROUPS[2]
    if 'loss' in lowered:
        return GROUPS[0]
    if any(score in lowered for score in _SCORES):
        return GROUPS[1]
    if any(lowered.endswith(word) for word in _SCHEDULE):
        return GROUPS[3]
    if any(word in lowered for word in _COST):
        return GROUPS[4]
    return GROUPS[2] if lowered.startswith(_MONITOR) else GROUPS[5]


def group_curves(series: dict[str, Series]) -> dict[str, list[Curve]]:
    """Sort numbers into groups; those that belong together share a plot.

    Args:
        series (dict[str, Series]): Numbers by name.

    Returns:
        dict[str, list[Curve]]: Curves by group, in the order of :data:`GROUPS`.
    """
    groups: dict[str, dict[tuple[str, str], dict[str, Series]]] = {}
    for name, points in series.items():
        if name == 'base_lr' and 'lr' in series and _same(points, series['lr']):
            continue
        if name.startswith(_CLASSES) or _of_no_objects(name, points):
            continue
        plot, line = _plot_of(name)
        plots = groups.setdefault(group_of(name), {})
        plots.setdefault((plot, points.unit), {})[line] = points
    return {
        group: [
            _curve(plot, unit, lines)
            for (plot, unit), lines in sorted(groups[group].items(), key=_rank)
        ]
        for group in GROUPS
        if group in groups
    }


def _plot_of(name: str) -> tuple[str, str]:
    """The plot a number stands on, and the name of its line there."""
    stem = name.removeprefix(_MONITOR)
    for family in _PRECISIONS:
        if name.startswith(family):
            return family, name.removeprefix(family).lstrip('_') or 'all'
    for family in _FAMILIES:
        if stem.startswith(family):
            # spread_encoder, spread_online and spread_target on one plot
            line = stem.removeprefix(family)
            return name.removesuffix(line).rstrip('_'), line
    return name, ''


def _rank(item: tuple[tuple[str, str], dict]) -> int:
    """What has a title comes first, in the order of the titles."""
    names = list(_TITLES)
    stem = item[0][0].removeprefix(_MONITOR)
    return names.index(stem) if stem in names else len(names)


def _curve(plot: str, unit: str, lines: dict[str, Series]) -> Curve:
    stem = plot.removeprefix(_MONITOR)
    title = _TITLES.get(plot) or _TITLES.get(stem, stem)
    if plot != stem:  # on pictures and masks that are always the same
        title = f'{title} (monitor)'
    named = {name.replace('_', ' '): (s.steps, s.values) for name, s in lines.items()}
    return Curve(title, named, unit)


def _of_no_objects(name: str, points: Series) -> bool:
    """COCO's precision of a size that no object has: -1."""
    return name.startswith(_PRECISIONS) and set(points.values) == {-1.0}


def _same(one: Series, other: Series) -> bool:
    return one.steps == other.steps and one.values == other.values


def training_curves(run: Run) -> str:
    """All curves of a run, as HTML; empty if it recorded none."""
    parts = []
    for group, curves in group_curves(run.series).items():
        drawn = ''.join(map(draw_curve, curves))
        parts.append(f'<h3>{text(group)}</h3><div class="curves">{drawn}</div>')
    return ''.join(parts) + _classes(run)


def _classes(run: Run) -> str:
    """The last IoU of each class; curves of so many would tell less."""
    rows = ''.join(
        f'<div><dt>{text(name.removeprefix(_CLASSES))}</dt>'
        f'<dd>{points.values[-1]:.1f}</dd></div>'
        for name, points in run.series.items()
        if name.startswith(_CLASSES)
    )
    if not rows:
        return ''
    return f'<h3>IoU of the classes at the end, %</h3><dl class="facts">{rows}</dl>'
