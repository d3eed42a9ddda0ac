"""What the replication trains and measures: variants, scales, experiments."""

import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'


def mae(cfg: Config) -> None:
    """No contrastive branch, one view."""
    cfg.model.contrastive_weight = 0.0
    two_views = _two_views(cfg)
    two_views.update(num_views=[1], transforms=two_views.transforms[:1])


def contrastive(cfg: Config) -> None:
    """Contrast the pooled visible latents with the same, uncoloured view."""
    pixel_shift(cfg)
    _two_views(cfg).transforms[1][0].shift_range = (0, 1)


def pixel_shift(cfg: Config) -> None:
    """And shift the target view."""
    feature_decoder(cfg)
    cfg.model.feature_decoder = None


def feature_decoder(cfg: Config) -> None:
    """And complete the masked features."""
    _two_views(cfg).transforms[1][1:] = []


def cmae(cfg: Config) -> None:
    """And colour the target view: the whole method."""


def cmae_weight_1(cfg: Config) -> None:
    """The whole method with plain InfoNCE, as in the paper's text."""
    cfg.model.contrastive_weight = 1.0


def _two_views(cfg: Config) -> dict:
    dataset = cfg.train_dataloader.dataset
    while 'dataset' in dataset:  # inside a RepeatDataset
        dataset = dataset.dataset
    return dataset.pipeline[3]


# Each rung of the ladder adds one thing to the one above.
LADDER = {
    'random': None,
    'mae': mae,
    'contrastive': contrastive,
    'pixel_shift': pixel_shift,
    'feature_decoder': feature_decoder,
    'cmae': cmae,
    'cmae_weight_1': cmae_weight_1,
}


def cpu(cfg: Config) -> None:
    """As the config says: hours on two CPU cores."""


def gpu(cfg: Config) -> None:
    """ViT of DeiT-S widths, a hundred times the epochs, batch 1024, bf16."""
    arch = dict(embed_dims=384, num_layers=12, num_heads=6, feedforward_channels=1536)
    cfg.model.backbone.arch = arch
    if cfg.model.type == 'cmae_mm.CMAE':
        for decoder in (cfg.model.pixel_decoder, cfg.model.feature_decoder):
            decoder.update(decoder_embed_dim=192, decoder_num_heads=6)
        cfg.model.pixel_decoder.decoder_depth = 4
        cfg.model.feature_decoder.decoder_depth = 2
        _stretch(cfg, 100)
        cfg.train_dataloader.batch_size = 1024
        cfg.optim_wrapper.optimizer.lr = 1.5e-4 * 1024 / 256
        cfg.param_scheduler[0].end = 500
    else:
        cfg.model.head.in_channels = 384
        _stretch(cfg, 5)
        cfg.train_dataloader.batch_size = 256
        cfg.optim_wrapper.optimizer.lr *= 4
    cfg.train_dataloader.update(num_workers=12, persistent_workers=True)
    cfg.optim_wrapper.type = 'cmae_mm.AutocastOptimWrapper'


SCALES = {'cpu': cpu, 'gpu': gpu}


def _stretch(cfg: Config, factor: float) -> None:
    """Multiply the epochs, the cosine's end with them.

    Raises:
        SystemExit: If no whole epoch is left after the warm-up.
    """
    schedulers = cfg.param_scheduler
    last = schedulers[-1] if isinstance(schedulers, list) else schedulers
    least = last.begin + 1
    epochs = round(cfg.train_cfg.max_epochs * factor)
    if epochs < least:
        length = least / cfg.train_cfg.max_epochs
        raise SystemExit(
            f'A length of {factor:g} is less than the {least} epochs that it takes, '
            f'which are a length of {length:g}.'
        )
    cfg.train_cfg.max_epochs = last.end = epochs


def _resize_batch(cfg: Config, batch: int) -> None:
    """Another batch, with the rate in proportion and the warm-up as many images."""
    share = batch / cfg.train_dataloader.batch_size
    cfg.train_dataloader.batch_size = batch
    cfg.optim_wrapper.optimizer.lr *= share
    warm_up = cfg.param_scheduler[0]
    if not warm_up.by_epoch:
        warm_up.end = max(1, round(warm_up.end / share))


@dataclass
class Experiment:
    """What one data set compares.

    Args:
        pretrain (str): Config of the pre-training.
        variants (dict): Name -> what it changes in that config; None is a random
            start.
        evaluate (Callable): ``(run, checkpoint, work_dir) -> numbers``.
        scales (tuple[str, ...]): Names in ``SCALES`` that it can run at.
    """

    pretrain: str
    variants: dict[str, Callable[[Config], None] | None]
    evaluate: Callable[[dict, Path, Path], dict[str, float]]
    scales: tuple[str, ...] = ('cpu',)


def measure(run: dict, root: Path) -> dict[str, float]:
    """Pre-train one variant with one seed, and evaluate it.

    Args:
        run (dict): ``experiment``, ``scale``, ``variant``, ``length``, ``batch`` (or
            None) and ``seed``.
        root (Path): Logs and checkpoints go into a folder of it.

    Returns:
        dict[str, float]: Numbers by name, in percent, and ``pretrain_seconds``.
    """
    experiment = EXPERIMENTS[run['experiment']]
    work_dir = root / '_'.join(str(value) for value in run.values())
    cfg = Config.fromfile(CONFIGS / experiment.pretrain)
    change = experiment.variants[run['variant']]
    SCALES[run['scale']](cfg)
    _stretch(cfg, run['length'])
    if run['batch']:
        _resize_batch(cfg, run['batch'])
    if change:
        change(cfg)
    _prepare(cfg, work_dir / 'pretrain', run['seed'])
    # Hours of pre-training survive a stop, exactly; their seconds count from there.
    cfg.default_hooks.checkpoint.interval = 1
    cfg.resume = True
    started = time.time()
    # Numbers alone go to stdout, the libraries' logs to stderr.
    with contextlib.redirect_stdout(sys.stderr):
        runner = Runner.from_cfg(cfg)
        if change:
            runner.train()
        else:
            runner.model.init_weights()
        seconds = time.time() - started
        checkpoint = work_dir / 'start.pth'
        runner.save_checkpoint(
            str(work_dir),
            checkpoint.name,
            save_optimizer=False,
            save_param_scheduler=False,
        )
        numbers = experiment.evaluate(run, checkpoint, work_dir)
    numbers['pretrain_seconds'] = seconds
    return rounded(numbers)


def rounded(numbers: dict[str, float]) -> dict[str, float]:
    """Two digits, as Python's own numbers: metrics also give NumPy's."""
    return {name: round(float(value), 2) for name, value in numbers.items()}


def _prepare(cfg: Config, work_dir: Path, seed: int) -> None:
    cfg.work_dir = str(work_dir)
    cfg.randomness = dict(seed=seed)
    cfg.default_hooks.checkpoint.interval = -1
    if 'monitor' in cfg.default_hooks:  # its time would count as the method's
        cfg.default_hooks.monitor.interval = 0
    cfg.launcher = 'none'


def evaluate_frozen(run: dict, checkpoint: Path, work_dir: Path) -> dict[str, float]:
    """k-NN and linear accuracy of frozen features."""
    from mmengine.runner import load_checkpoint

    from cmae_mm.evaluation import extract_features, knn_accuracy, linear_accuracy

    cfg = Config.fromfile(CONFIGS / EXPERIMENTS[run['experiment']].pretrain)
    SCALES[run['scale']](cfg)
    _prepare(cfg, work_dir / 'frozen', run['seed'])
    runner = Runner.from_cfg(cfg)
    load_checkpoint(runner.model, str(checkpoint), map_location='cpu')
    bank = extract_features(
        runner.model, runner.build_dataloader(cfg.test_cfg.bank_dataloader)
    )
    test = extract_features(runner.model, runner.build_dataloader(cfg.test_dataloader))
    return dict(
        knn=100 * knn_accuracy(*bank, *test), linear=100 * linear_accuracy(*bank, *test)
    )


def evaluate_classification(
    run: dict, checkpoint: Path, work_dir: Path
) -> dict[str, float]:
    """Frozen features, then the last block and the whole encoder fine-tuned."""
    numbers = evaluate_frozen(run, checkpoint, work_dir)
    cfg = Config.fromfile(CONFIGS / EXPERIMENTS[run['experiment']].pretrain)
    SCALES[run['scale']](cfg)
    depth = cfg.model.backbone.arch.num_layers
    for name, trained in (('partial_1', 1), ('full', depth)):
        numbers[name] = _finetune(run, checkpoint, work_dir / name, depth - trained)
    return numbers


def _finetune(run: dict, checkpoint: Path, work_dir: Path, frozen: int) -> float:
    """Accuracy after training all but the first ``frozen`` blocks."""
    cfg = Config.fromfile(CONFIGS / 'cifar10/vit-nano-p4_bs64-4e_cifar10.py')
    SCALES[run['scale']](cfg)
    cfg.model.backbone.init_cfg.checkpoint = str(checkpoint)
    cfg.model.backbone.frozen_stages = frozen or -1
    _prepare(cfg, work_dir, run['seed'])
    cfg.train_cfg.val_interval = cfg.train_cfg.max_epochs + 1
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner.test()['accuracy/top1']


def evaluate_dense(run: dict, checkpoint: Path, work_dir: Path) -> dict[str, float]:
    """UperNet's mIoU, and Mask R-CNN's AP."""
    tasks = (
        ('camvid/vit-tiny-p16_upernet_bs8-400i_camvid-256x256.py', {'mIoU': 'miou'}),
        (
            'camvid/mask-rcnn_vit-tiny-p16_fpn_bs4-5e_camvid.py',
            {'coco/bbox_mAP': 'box_ap', 'coco/segm_mAP': 'mask_ap'},
        ),
    )
    numbers = {}
    for config, names in tasks:
        cfg = Config.fromfile(CONFIGS / config)
        cfg.model.backbone.init_cfg.checkpoint = str(checkpoint)
        _prepare(cfg, work_dir / Path(config).stem, run['seed'])
        runner = Runner.from_cfg(cfg)
        runner.train()
        found = runner.test()
        for key, name in names.items():
            numbers[name] = found[key] * (100 if key.startswith('coco') else 1)
    return numbers


EXPERIMENTS = {
    'cifar10': Experiment(
        'cifar10/cmae_vit-nano-p4_bs64-2e_cifar10.py',
        LADDER,
        evaluate_classification,
        scales=('cpu', 'gpu'),
    ),
    'cifar10_frozen': Experiment(
        'cifar10/cmae_vit-nano-p4_bs64-2e_cifar10.py',
        {name: LADDER[name] for name in ('mae', 'cmae')},
        evaluate_frozen,
        scales=('cpu', 'gpu'),
    ),
    'camvid': Experiment(
        'camvid/cmae_vit-tiny-p16_bs32-6e_camvid.py',
        {name: LADDER[name] for name in ('random', 'mae', 'cmae')},
        evaluate_dense,
    ),
}
