"""CMAE from end to end in a quarter of an hour: the demo behind `make demo`.

    cmae demo [--out work_dirs/demo]        # or: python tools/demo.py ...

Generates the data set `scenes`, pre-trains a tiny CMAE, and compares its backbone
with one of random weights trained the same: k-NN and linear probe (mmpretrain),
UperNet (mmsegmentation) and Mask R-CNN (mmdetection). Every number comes from the
libraries' own runners and metrics. Prints one table, writes one report.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tools'))

from demo_steps import Progress, Step, last_scalar, read_scalars  # noqa: E402

CONFIGS = ROOT / 'configs/scenes'
PRETRAIN = CONFIGS / 'cmae_vit-nano-p8_bs32-8e_scenes.py'
LINEAR = CONFIGS / 'vit-nano-p8_linear-12e_scenes.py'
UPERNET = CONFIGS / 'vit-nano-p8_upernet_bs8-600i_scenes-96x96.py'
MASK_RCNN = CONFIGS / 'mask-rcnn_vit-nano-p8_fpn_bs8-2e_scenes.py'
INIT = 'model.backbone.init_cfg'
STARTS = {'random': 'random init', 'cmae': 'CMAE'}
# Name of the measure, the step it comes from, its key in the logs, its scale.
MEASURES = [
    ('k-NN, top-1 %', 'knn', 'knn/top1', 1),
    ('linear probe, top-1 %', 'linear', 'accuracy/top1', 1),
    ('UperNet, mIoU %', 'segment', 'mIoU', 1),
    ('Mask R-CNN, box AP', 'detect', 'coco/bbox_mAP', 100),
    ('Mask R-CNN, mask AP', 'detect', 'coco/segm_mAP', 100),
]


def plan(out: Path) -> list[Step]:
    """All runs of the demo, in order, with the seconds they take on 2 cores."""
    pretrained, random = out / 'pretrain/epoch_8.pth', out / 'random.pth'
    steps = [Step('pretrain', 'mmpretrain', 'train', PRETRAIN, out / 'pretrain', 190)]
    for start, checkpoint in (('random', random), ('cmae', pretrained)):
        init = (
            f'{INIT}=None' if start == 'random' else f'{INIT}.checkpoint={pretrained}'
        )
        steps += [
            Step(
                f'knn-{start}',
                'mmpretrain',
                'test',
                PRETRAIN,
                out / f'knn-{start}',
                20,
                checkpoint=checkpoint,
            ),
            *(
                Step(
                    f'{task}-{start}',
                    library,
                    'train',
                    config,
                    out / f'{task}-{start}',
                    seconds,
                    options=[init],
                )
                for task, library, config, seconds in (
                    ('linear', 'mmpretrain', LINEAR, 50),
                    ('segment', 'mmsegmentation', UPERNET, 100),
                    ('detect', 'mmdet', MASK_RCNN, 170),
                )
            ),
        ]
    return steps


def make_data() -> str:
    """Write data/scenes if it is not there; returns its fingerprint."""
    from cmae_mm.datasets.scenes import generate_scenes

    print('Data: generating data/scenes ...', flush=True)
    return generate_scenes('data/scenes')['fingerprint']


def save_random_start(path: Path) -> None:
    """Save an untrained CMAE, for the k-NN figure of a random start."""
    import torch
    from mmengine.config import Config
    from mmengine.logging import MMLogger
    from mmengine.registry import MODELS, init_default_scope

    # Every weight's initialisation would be told otherwise.
    MMLogger.get_instance('demo', log_level='WARNING')
    cfg = Config.fromfile(PRETRAIN)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(cfg.randomness.seed)
    model = MODELS.build(cfg.model)
    model.init_weights()
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)


def collect(steps: list[Step]) -> list[list[str | float]]:
    """One row per measure: its name, the random start's and CMAE's number."""
    by_name = {step.name: step for step in steps}
    return [
        [
            label,
            *(
                scale * last_scalar(by_name[f'{task}-{start}'].work_dir, key)
                for start in STARTS
            ),
        ]
        for label, task, key, scale in MEASURES
    ]


def print_table(rows: list[list[str | float]]) -> None:
    """The table on the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title='The same training from two starts')
    table.add_column('measure')
    for name in (*STARTS.values(), 'gain'):
        table.add_column(name, justify='right')
    for label, *numbers in rows:
        shown = [f'{number:.2f}' for number in numbers]
        table.add_row(label, *shown, f'{numbers[1] - numbers[0]:+.2f}')
    Console(width=None if sys.stdout.isatty() else 80).print(table)


def write_report(
    out: Path, steps: list[Step], rows: list, seconds: float, fingerprint: str
) -> Path:
    """Numbers, curves, pictures and commands on one page."""
    from demo_pictures import detections, reconstructions, save_sheet, segmentations

    from cmae_mm.report import Curve, Report, Table

    by_name = {step.name: step for step in steps}
    record = read_scalars(by_name['pretrain'].work_dir)
    curves = [
        Curve(title, {'': (record[key]['x'], record[key]['y'])})
        for title, key in (
            ('Reconstruction loss', 'loss_reconstruction'),
            ('Contrastive loss (weighted)', 'loss_contrastive'),
            ('Contrastive accuracy', 'acc_contrastive'),
        )
    ]
    for title, task, key in (
        ('Segmentation loss', 'segment', 'decode.loss_ce'),
        ('Detection loss', 'detect', 'loss'),
    ):
        lines = {}
        for start, label in STARTS.items():
            found = read_scalars(by_name[f'{task}-{start}'].work_dir)[key]
            lines[label] = (found['x'], found['y'])
        curves.append(Curve(title, lines))
    names = list(STARTS.values())
    tuned = {
        task: [by_name[f'{task}-{start}'] for start in STARTS]
        for task in ('segment', 'detect')
    }
    panels = [
        reconstructions(PRETRAIN, out / 'pretrain/epoch_8.pth'),
        segmentations(UPERNET, tuned['segment'], names),
        detections(MASK_RCNN, tuned['detect'], names),
    ]
    save_sheet(panels, out / 'pictures.png')
    table = Table(['measure', *STARTS.values()], rows, best='max')
    return Report(
        title='CMAE on generated scenes',
        lead=(
            'A tiny vision transformer was pre-trained without labels, then given '
            'to four tasks. Beside it stands the same transformer from random '
            f'weights, trained the same. One run, one seed, {seconds / 60:.1f} '
            'minutes on this machine; small differences are within the noise.'
        ),
        tables=[('What the pre-training gives', '', table)],
        curves=curves,
        panels=panels,
        facts={
            'everything': 'cmae demo',
            **{step.name: step.mim_command() for step in steps},
            'data fingerprint': fingerprint,
            **versions(),
        },
    ).write(out / 'report.html')


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on, and the machine."""
    import os
    import platform

    import mmcv
    import mmengine
    import mmpretrain
    import torch

    import cmae_mm

    libraries = (cmae_mm, torch, mmengine, mmcv, mmpretrain)
    return {
        'versions': ', '.join(f'{m.__name__} {m.__version__}' for m in libraries),
        'machine': f'{platform.machine()}, {os.cpu_count()} cores, '
        f'Python {platform.python_version()}',
        'seed': '0',
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the demo.

    Args:
        arguments (list[str], optional): Defaults to those of the command line.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, default=Path('work_dirs/demo'))
    out = parser.parse_args(arguments).out

    # The libraries' own deprecations are nothing to act on here.
    warnings.filterwarnings('ignore', module='mm.*')
    started = time.time()
    fingerprint = make_data()
    save_random_start(out / 'random.pth')
    steps = plan(out)
    print('The runs, one after the other:')
    for step in steps:
        print(f'  {step.mim_command()}', flush=True)
    with Progress(steps) as progress:
        for step in steps:
            step.run(progress)
    rows = collect(steps)
    print_table(rows)
    report = write_report(out, steps, rows, time.time() - started, fingerprint)
    print(f'Report: {report} ({(time.time() - started) / 60:.1f} minutes in all)')


if __name__ == '__main__':
    main()
