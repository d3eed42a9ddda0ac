"""Trains, tests and resumes a composed config by the library's own runner."""

import io
import json
import logging
import math
import os
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS, init_default_scope
from mmengine.runner import Runner

from cmae_mm.dependencies import TRANSFER, mim_name, module_version
from cmae_mm.engine.valid_checkpoint import newest_valid, read_valid
from cmae_mm.guards.readers import TOP_LEVEL
from cmae_mm.origin import COMPOSED_FROM, origin_of

from .examples import save_examples

# Lines of a log that somebody waits for; the rest stands in the file.
_SHOWN = re.compile(
    r'(Epoch|Iter)\((train|val|test)\)|backbone starts from|Resuming from|stopped after'
)
_LONGEST = 300  # of such lines; the IoU of 150 classes would fill a screen
# Below this, starting workers takes longer than they save.
_FEW_IMAGES = 200


def workers(images: int) -> int:
    """Processes that read images: one per core up to four, none for few images."""
    if images < _FEW_IMAGES:
        return 0
    cores = getattr(os, 'sched_getaffinity', None)
    return min(4, len(cores(0)) if cores else os.cpu_count() or 1)


def need_library(name: str) -> None:
    """Refuse to start without an OpenMMLab library.

    Args:
        name (str): 'mmseg' or 'mmdet'.

    Raises:
        RuntimeError: If it is not installed.
    """
    if module_version(name) is None:
        raise RuntimeError(
            f'This command trains with {name}, which is not installed. '
            f'Try: {TRANSFER[name][2]}'
        )


def set_loader(loader: Any, images: int, batch_size: int) -> None:
    """Batches of this size, by workers that stay.

    Args:
        loader (ConfigDict): Changed in place.
        images (int): How many its data set has.
        batch_size (int): Images per batch.
    """
    count = workers(images)
    loader.update(
        batch_size=batch_size, num_workers=count, persistent_workers=count > 0
    )


def fit_optimizer(cfg: Config, batch_size: int, base: int, on_gpu: bool) -> str:
    """Scale the learning rate linearly with the batch; full precision on a CPU.

    Args:
        cfg (Config): Changed in place.
        batch_size (int): Images per step.
        base (int): Images per step that the recipe's rate is for.
        on_gpu (bool): Whether there is one; MMEngine's mixed precision asks for it.

    Returns:
        str: What was done, for people.
    """
    optimizer = cfg.optim_wrapper.optimizer
    recipe = optimizer.lr
    optimizer.lr = recipe * batch_size / base
    cfg.auto_scale_lr = dict(enable=False, base_batch_size=batch_size)
    if not on_gpu and cfg.optim_wrapper.type == 'AmpOptimWrapper':
        cfg.optim_wrapper.type = 'OptimWrapper'
        cfg.optim_wrapper.pop('loss_scale', None)
    return (
        f'Batch of {batch_size}, learning rate {optimizer.lr:.3g} (the recipe: '
        f'{recipe:.3g} for {base} images, scaled with the batch)'
    )


def warm_up_steps(recipe: int, steps: int) -> int:
    """End of a linear warm-up: at most a tenth of the training.

    Args:
        recipe (int): End in the recipe, in steps.
        steps (int): Length of the training.

    Returns:
        int: 2 or more: MMEngine's schedule of one step would stay where it begins.
    """
    return max(2, min(recipe, steps // 10))


def set_record(cfg: Config, steps: int, interval: int) -> None:
    """How often numbers are logged and checkpoints written.

    Args:
        cfg (Config): Changed in place.
        steps (int): Length of the training, in optimiser steps.
        interval (int): Between two checkpoints, in the unit of the training's length.
    """
    hooks = cfg.default_hooks
    hooks.logger.interval = max(1, min(50, steps // 5))
    hooks.checkpoint.update(interval=max(1, interval), max_keep_ckpts=2)


def write_config(cfg: Config, out: Path) -> Path:
    """Write what a runner reads of a config, without the helpers of its bases.

    Args:
        cfg (Config): Composed from a packaged one, whose name is written, too.
        out (Path): Folder.

    Returns:
        Path: ``config.py`` in it.
    """
    out.mkdir(parents=True, exist_ok=True)
    file = out / 'config.py'
    settings = {name: cfg[name] for name in cfg if name in TOP_LEVEL}
    Config(settings | {COMPOSED_FROM: origin_of(cfg)}).dump(file)
    return file


def claim(out: Path, run: dict[str, Any]) -> None:
    """Make a folder that of one run, so that no other is resumed in it by mistake.

    Args:
        out (Path): The folder.
        run (dict[str, Any]): What makes the run what it is; plain values.

    Raises:
        ValueError: If the folder belongs to another run, or holds checkpoints of one
            that is not known.
    """
    record = out / 'run.json'
    if record.is_file():
        before = json.loads(record.read_text())
        for name, value in run.items():
            if before.get(name) != value:
                raise ValueError(
                    f'{out} holds a run with {name} = {before.get(name)}, this one has '
                    f'{value}. Give it another --out, or the same values to go on.'
                )
        return
    if any(out.glob('*.pth')):
        raise ValueError(
            f'{out} holds checkpoints that this command did not write. Give it another '
            '--out.'
        )
    out.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(run, indent=2) + '\n')


@dataclass(frozen=True)
class Plan:
    """A training that is ready to begin.

    Args:
        cfg (Config): Composed.
        out (Path): The work_dir.
        library (str): 'mmseg' or 'mmdet'.
        identity (dict[str, Any]): See :func:`claim`.
    """

    cfg: Config
    out: Path
    library: str
    identity: dict[str, Any]


def carry_out(
    plan: Plan, say: Callable[[str], None], config_only: bool = False
) -> dict[str, float] | None:
    """Write the config, train, test and draw; or tell that it has been done.

    Args:
        plan (Plan): What to do.
        say (Callable): Takes one line for people.
        config_only (bool): Whether to stop behind the config. Defaults to False.

    Returns:
        dict[str, float] | None: Metrics of the test, by the names of the library; None
        if only the config was asked for.

    Raises:
        ValueError: See :func:`claim`.
    """
    out = plan.out
    claim(out, plan.identity)
    results = out / 'results.json'
    if results.is_file():
        say(f'{out} holds this run, finished:')
        return json.loads(results.read_text())
    config = out / 'config.py'
    if not config.is_file():  # else it may have been edited since
        write_config(plan.cfg, out)
    resume = '--resume' if plan.library == 'mmseg' else '--resume auto'
    say(f'Config: {config}. The same by hand:')
    say(f'  mim train {mim_name(plan.library)} {config} --work-dir {out} {resume}')
    if config_only:
        return None
    metrics, runner = train_and_test(config, out)
    save_examples(runner, out / 'examples.png')
    results.write_text(json.dumps(metrics, indent=2) + '\n')
    return metrics


def train_and_test(config: Path, out: Path) -> tuple[dict[str, float], Runner]:
    """Train to the end, from the newest valid checkpoint in the folder if any.

    Args:
        config (Path): What to train.
        out (Path): The work_dir.

    Returns:
        tuple[dict[str, float], Runner]: Metrics of the last validation, which is the
        test; and the runner, with the trained model.
    """
    cfg = Config.fromfile(config)
    cfg.work_dir = str(out)
    trained = newest_valid(out)
    at_its_end = trained is not None and _at_its_end(read_valid(trained), cfg)
    cfg.resume = not at_its_end
    cfg.load_from = str(trained) if at_its_end else None
    runner = _quiet_runner(cfg)
    if at_its_end:
        metrics = runner.test()
    else:
        last = _LastMetrics()
        runner.register_hook(last)
        runner.train()
        metrics = last.metrics
    numbers = {name: float(value) for name, value in metrics.items()}
    return {k: v for k, v in numbers.items() if math.isfinite(v)}, runner


class _LastMetrics(Hook):
    """Keeps what the last validation found."""

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        self.metrics = metrics or {}


def _at_its_end(checkpoint: dict, cfg: Config) -> bool:
    """Whether nothing is left to train."""
    meta, limits = checkpoint['meta'], cfg.train_cfg
    if 'max_iters' in limits:
        return meta['iter'] >= limits.max_iters
    return meta['epoch'] >= limits.max_epochs


def _quiet_runner(cfg: Config) -> Runner:
    """Build the runner; on the terminal, its log shows only what one waits for.

    The environment, the whole config and every parameter of the optimiser stand in the
    log file of the work_dir.
    """
    init_default_scope(cfg.default_scope)
    with redirect_stdout(io.StringIO()):
        runner = RUNNERS.build(cfg)
    for handler in runner.logger.handlers:
        if type(handler) is logging.StreamHandler:
            handler.setStream(sys.stdout)
            handler.addFilter(_is_shown)
            handler.setFormatter(_Short(handler.formatter))
    return runner


def _is_shown(record: logging.LogRecord) -> bool:
    """A filter of log records."""
    return record.levelno >= logging.ERROR or bool(_SHOWN.search(record.getMessage()))


class _Short(logging.Formatter):
    """Cuts lines that are too long for a terminal."""

    def __init__(self, whole: logging.Formatter) -> None:
        super().__init__()
        self.whole = whole

    def format(self, record: logging.LogRecord) -> str:
        """The line, or its beginning."""
        line = self.whole.format(record)
        return line if len(line) <= _LONGEST else f'{line[:_LONGEST]} ...'
