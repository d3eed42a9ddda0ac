"""docs/replication.json as the tables of docs/replication.md."""

import statistics

COLUMNS = {
    'cifar10': {
        'knn': 'k-NN',
        'linear': 'linear',
        'partial_1': 'last block',
        'full': 'fine-tuned',
    },
    'camvid': {'miou': 'mIoU', 'box_ap': 'box AP', 'mask_ap': 'mask AP'},
}
WHAT = {
    'random': 'random start',
    'mae': 'MAE',
    'contrastive': '+ contrast, same view',
    'pixel_shift': '+ pixel shift',
    'feature_decoder': '+ feature decoder',
    'cmae': '+ colour = CMAE',
    'cmae_weight_1': 'CMAE, plain InfoNCE (weight 1)',
}
TITLE = {
    'cifar10': 'CIFAR-10: top-1 accuracy, %',
    'camvid': 'CamVid: UperNet and Mask R-CNN, %',
}
CURVE = ('mae', 'cmae')
INTRODUCTION = """# The paper's claims at small scale

Written by `python tools/replicate.py table` from `docs/replication.json`; to measure
again, move that file away and run `python tools/replicate.py run cifar10` (or
`camvid`). Mean over the seeds, and their standard deviation. A row that begins with +
adds one thing to the row above it. Length 1 is the pre-training of the config in
`configs/cifar10` or `configs/camvid`. `cifar10_frozen` leaves the fine-tuning out: for
curves over length (`--lengths 0.5 4`) and batch (`--batch 256`). Measured so far: on
one core of an AMD EPYC without a GPU, other work and pauses beside it, so that the
seconds are no measure of speed.
"""


def write_markdown(records: list[dict]) -> str:
    """All tables, one for each experiment, scale, length and batch.

    Args:
        records (list[dict]): ``run``, ``numbers`` and ``seconds`` of each run.
    """
    groups: dict[tuple, dict[str, list[dict]]] = {}
    for record in records:
        run = record['run']
        setting = (run['experiment'], run['scale'], run['length'], run['batch'] or 0)
        variants = groups.setdefault(setting, {})
        variants.setdefault(run['variant'], []).append(record)
    tables = [
        _table(setting, groups[setting])
        for setting in sorted(groups)
        if setting[0] in COLUMNS
    ]
    return '\n'.join([INTRODUCTION, *tables, *_curves(records)])


def _table(setting: tuple, variants: dict[str, list[dict]]) -> str:
    experiment, scale, length, batch = setting
    columns = COLUMNS[experiment]
    title = f'## {TITLE[experiment]}; scale {scale}, length {length:g}'
    title += f', batch {batch}' if batch else ''
    rows = [
        f'| | seeds | {" | ".join(columns.values())} | pre-training, s |',
        '|---|---|' + '---|' * (len(columns) + 1),
    ]
    for variant in [name for name in WHAT if name in variants]:
        records = variants[variant]
        cells = [
            _spread([record['numbers'][key] for record in records]) for key in columns
        ]
        seconds = [record['numbers']['pretrain_seconds'] for record in records]
        cells.append(f'{statistics.mean(seconds):.0f}')
        # Without the rungs below it, it adds nothing to the row above.
        ladder = variant != 'cmae' or 'feature_decoder' in variants
        what = WHAT[variant] if ladder else 'CMAE'
        rows.append(f'| {what} | {len(records)} | {" | ".join(cells)} |')
    return '\n'.join([title, '', *rows, ''])


def _curves(records: list[dict]) -> list[str]:
    """CMAE against MAE over length and batch: one table for each scale."""
    scales: dict[str, dict[tuple, dict[tuple, dict]]] = {}
    for record in records:
        run = record['run']
        if run['experiment'].startswith('cifar10') and run['variant'] in CURVE:
            settings = scales.setdefault(run['scale'], {})
            runs = settings.setdefault((run['batch'] or 0, run['length']), {})
            runs[run['variant'], run['seed']] = record['numbers']
    return [
        _curve(scale, scales[scale])
        for scale in sorted(scales)
        if len(scales[scale]) > 1
    ]


def _curve(scale: str, settings: dict[tuple, dict[tuple, dict]]) -> str:
    head = [
        f'## CIFAR-10, CMAE against MAE over length and batch; scale {scale}',
        '',
        'Differences are of the same seeds.',
        '',
        '| length | batch | seeds | k-NN: MAE | CMAE | difference '
        '| linear: MAE | CMAE | difference |',
        '|---|---|---|---|---|---|---|---|---|',
    ]
    rows = []
    for batch, length in sorted(settings):
        runs = settings[batch, length]
        seeds = [s for v, s in runs if v == 'cmae' and ('mae', s) in runs]
        if not seeds:
            continue
        cells = []
        for key in ('knn', 'linear'):
            mae, cmae = ([runs[v, seed][key] for seed in seeds] for v in CURVE)
            differences = [b - a for a, b in zip(mae, cmae, strict=True)]
            cells += [_spread(mae), _spread(cmae), _spread(differences)]
        setting = f'{length:g} | {batch or "as in the config"} | {len(seeds)}'
        rows.append(f'| {setting} | {" | ".join(cells)} |')
    return '\n'.join([*head, *rows, ''])


def _spread(values: list[float]) -> str:
    mean = f'{statistics.mean(values):.2f}'
    return f'{mean} ± {statistics.stdev(values):.2f}' if len(values) > 1 else mean
