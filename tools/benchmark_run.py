"""One training run, timed: a process of `benchmark.py e2e`."""

import argparse
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from benchmark_data import HUE
from benchmark_e2e import our_config, write_listing
from benchmark_models import cuda_is_here, join_group_of_one, open_checkout
from benchmark_timing import count_flops, matrix_speed
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from cmae_mm.planning.memory import peak_memory


class Clock(Hook):
    """Times some iterations, and what lies between them.

    Args:
        warm_up (int): Iterations before.
        iterations (int): Iterations that are timed.
        device (str): With 'cuda' the clock waits for the GPU at both ends, and
            events tell how long it was idle between the steps.
    """

    priority = 'LOWEST'

    def __init__(self, warm_up: int, iterations: int, device: str) -> None:
        self.first, self.last = warm_up - 1, warm_up + iterations - 1
        self.on_gpu = device == 'cuda'
        self.waited, self.events = 0.0, []

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None):
        """A batch has come."""
        if self.first < runner.iter <= self.last:
            self.waited += time.perf_counter() - self.left
            self.mark()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ):
        """A step is done, or on a GPU on its way."""
        if runner.iter in (self.first, self.last) and self.on_gpu:
            torch.cuda.synchronize()
        self.left = time.perf_counter()
        if runner.iter == self.first:
            self.begin = self.left
        if runner.iter == self.last:
            self.seconds = self.left - self.begin
        elif self.first <= runner.iter < self.last:
            self.mark()

    def mark(self) -> None:
        """Let the GPU note the time when it gets here."""
        if self.on_gpu:
            self.events.append(torch.cuda.Event(enable_timing=True))
            self.events[-1].record()

    def shares(self) -> dict[str, float]:
        """Of the time: waiting of the host, and on a GPU its idleness, in [0, 1]."""
        found = {'waiting': round(self.waited / self.seconds, 4)}
        if self.on_gpu:
            ends, starts = self.events[::2], self.events[1::2]
            gaps = [a.elapsed_time(b) for a, b in zip(ends, starts, strict=True)]
            found['idle'] = round(sum(gaps) / 1000 / self.seconds, 4)
        return found


def train(args: argparse.Namespace) -> dict:
    """Train as ``args.who``, and tell how fast it was.

    Returns:
        dict: ``images_per_s``, the shares ``waiting`` and on a GPU ``idle``, MFU,
        peak memory in MiB (beyond the libraries, on a CPU), and what was replaced.
    """
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder, 'pictures.json')
        epochs = write_listing(args, listing)
        before = 0 if args.device == 'cuda' else peak_memory(args.device)
        around, shims, flops = nullcontext(), [], None
        if args.who == 'released':
            runner, shims = build_released_runner(args, listing, epochs)
            around = cuda_is_here(args.device)
        else:
            cfg = our_config(args, listing, epochs)
            runner = Runner.from_cfg(finish(cfg, args, folder))
            flops = flops_per_image(runner, args)
        clock = Clock(args.warm_up, args.iterations, args.device)
        runner.register_hook(clock, 'LOWEST')
        with around:
            runner.train()
    images = args.iterations * args.batch
    found = dict(images_per_s=round(images / clock.seconds, 2), **clock.shares())
    found['memory_mib'] = round((peak_memory(args.device) - before) / 2**20)
    if flops:
        dtype = torch.bfloat16 if args.dtype == 'bfloat16' else None
        ceiling = matrix_speed(args.device, dtype)
        found['gflop_per_image'] = round(flops / 1e9, 1)
        found['ceiling_gflop_per_s'] = round(ceiling / 1e9)
        found['mfu'] = round(flops * images / clock.seconds / ceiling, 3)
    if shims:
        found['shims'] = shims
    return found


def finish(cfg: Config, args: argparse.Namespace, folder: str) -> Config:
    """What all runs share: batch size, workers, no checkpoints, no talk."""
    cfg.train_dataloader.update(
        batch_size=args.batch,
        num_workers=args.workers,
        persistent_workers=args.workers > 0,
        drop_last=True,
    )
    hooks = cfg.setdefault('default_hooks', {})
    hooks['checkpoint'] = dict(type='CheckpointHook', interval=-1, save_last=False)
    if 'monitor' in hooks:
        hooks['monitor']['interval'] = 0  # what is timed are the steps
    cfg.update(work_dir=folder, log_level='ERROR', resume=False, load_from=None)
    cfg.experiment_name = f'benchmark-{args.who}'
    cfg.merge_from_dict(args.cfg_options)
    return cfg


def flops_per_image(runner: Runner, args: argparse.Namespace) -> float:
    """FLOPs of a training step of ours, forward and backward, for one image.

    Before the training, which makes the weights anew and compiles the blocks.
    """
    model = runner.model.train()
    size = model.backbone.img_size
    device = next(model.parameters()).device
    views = [torch.randn(2, model.backbone.in_channels, *size, device=device)] * 2

    def forward() -> torch.Tensor:
        losses = model.loss(views, [])
        return sum(value for name, value in losses.items() if name.startswith('loss'))

    return count_flops(forward) / 2


def build_released_runner(
    args: argparse.Namespace, listing: Path, epochs: int
) -> tuple[Runner, list[str]]:
    """The authors' model, data set and recipe in MMEngine's runner.

    Returns:
        tuple: The runner, and the shims.
    """
    open_checkout(args.reference)
    import cmae.datasets  # noqa: F401
    import cmae.models  # noqa: F401
    from cmae.datasets.cmae_dataset import CMAEDataset

    config = min((args.reference / 'configs/pre-training/cmae').glob('*.py'))
    cfg = Config.fromfile(config, lazy_import=False)
    shims = [
        f'hue jitter in {HUE}, because mmcv fails on negative ones with NumPy 2',
        'a list of our pictures',
        'SyncBN replaced by BatchNorm',
        'momentum update called directly',
        join_group_of_one(args.device),
    ]
    wrapper = cfg.optim_wrapper
    if args.device == 'cpu':
        shims.append('Tensor.cuda is the identity')
        shims.append(f'{args.dtype} without a scaler, because AMP asks for a GPU')
        wrapper.pop('loss_scale')
        wrapper.type = 'cmae_mm.AutocastOptimWrapper'
    elif args.dtype == 'bfloat16':
        shims.append('bfloat16 as ours, not float16; the scaler is kept')
        wrapper.dtype = 'bfloat16'
    if args.dtype == 'float32':
        wrapper.pop('loss_scale', None)
        wrapper.type = 'OptimWrapper'
    cfg.train_cfg.max_epochs = epochs
    with DefaultScope.overwrite_default_scope('cmae'):
        dataset = CMAEDataset('/', str(listing), cfg.train_pipeline)
    dataset.pipeline_aug.transforms[1].transforms.transforms[0].hue = HUE
    del cfg.train_dataloader['dataset']
    cfg = finish(cfg, args, str(listing.parent))
    runner = Runner(
        model=cfg.model,
        work_dir=cfg.work_dir,
        # Beside the config, which holds plain values only.
        train_dataloader=dict(cfg.train_dataloader, dataset=dataset),
        train_cfg=cfg.train_cfg,
        optim_wrapper=cfg.optim_wrapper,
        param_scheduler=cfg.param_scheduler,
        default_hooks=cfg.default_hooks,
        custom_hooks=[FollowHook()],
        env_cfg=cfg.env_cfg,
        log_processor=cfg.log_processor,
        log_level=cfg.log_level,
        randomness=cfg.randomness,
        experiment_name=cfg.experiment_name,
        default_scope='cmae',
    )
    return runner, shims


class FollowHook(Hook):
    """The released momentum update, whose own hook asks for several processes."""

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ):
        """Let the target branch follow."""
        runner.model.momentum_update()
