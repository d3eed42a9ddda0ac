"""Trains a few steps of a config on random images, and tells what they cost.

:mod:`cmae_mm.planning.measure` starts it, each time as a process of its own.
"""

import json
import pickle
import statistics
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings
from mmpretrain.structures import DataSample

from cmae_mm.guards.devices import explain_memory_failure
from cmae_mm.guards.start import CheckedRunner
from cmae_mm.models import CMAE
from cmae_mm.planning.memory import peak_memory
from cmae_mm.registry import DATASETS

# Of a config's own hooks only these change what a step computes.
IN_THE_STEP = ('CompileHook', 'EMAHook')


@DATASETS.register_module()
class RandomPictures:
    """The same picture of noise over and over, in as many views as a model takes.

    Args:
        length (int): How many.
        shape (tuple[int, int, int]): Channels, height, width.
        views (int): 1 or 2.
    """

    def __init__(self, length: int, shape: tuple[int, int, int], views: int) -> None:
        noise = torch.randint(0, 256, (views, *shape), dtype=torch.uint8)
        self.views, self.length = list(noise), length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        if index >= self.length:
            raise IndexError(index)
        return dict(inputs=self.views, data_samples=DataSample())


class Clock(Hook):
    """Times every step, from the batch to the last weight.

    Args:
        device (str): With 'cuda' it waits for the GPU at both ends.
    """

    priority = 'LOWEST'

    def __init__(self, device: str) -> None:
        self.wait = torch.cuda.synchronize if device == 'cuda' else lambda: None
        self.seconds: list[float] = []

    def before_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """A batch has come."""
        self.wait()
        self.start = time.perf_counter()

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """A step is done."""
        self.wait()
        self.seconds.append(time.perf_counter() - self.start)


class Scale:
    """A file that only counts what is written to it."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, data) -> int:
        """Count."""
        size = memoryview(data).nbytes
        self.bytes += size
        return size

    def flush(self) -> None:
        """There is nothing to flush."""


def measure_here(settings: dict, batch_size: int, steps: int, folder: str) -> dict:
    """Run the steps in this process.

    Args:
        settings (dict): Of the config.
        batch_size (int): Images of a step.
        steps (int): That count, after one that does not.
        folder (str): For the files of the run.

    Returns:
        dict: The numbers of a :class:`cmae_mm.planning.measure.StepCost`.

    Raises:
        ValueError: If the model is none of ours.
    """
    cfg = bare_run(settings, batch_size, steps + 1, folder)
    device = get_device()
    before = 0 if device == 'cuda' else peak_memory(device)
    runner = CheckedRunner.from_cfg(cfg)
    if not isinstance(runner.model, CMAE):
        raise ValueError(
            f'The model is a {type(runner.model).__name__}; steps are measured of '
            'pre-training, so give a config whose model is a cmae_mm.CMAE.'
        )
    clock = Clock(device)
    runner.register_hook(clock)
    runner.train()
    peak = peak_memory(device) - before
    return dict(
        seconds=statistics.median(clock.seconds[1:]),
        peak_bytes=peak,
        state_bytes=weigh_state(runner),
        device=device,
    )


def weigh_state(runner: Runner) -> int:
    """Bytes of a checkpoint with weights and optimiser; none is written.

    Args:
        runner (Runner): After a step, which is when an optimiser gets its state.
    """
    scale = Scale()
    state = dict(
        state_dict=runner.model.state_dict(),
        optimizer=runner.optim_wrapper.state_dict(),
    )
    torch.save(state, scale)
    return scale.bytes


def bare_run(settings: dict, batch_size: int, steps: int, folder: str) -> Config:
    """A config's training alone: random images, and nothing written or watched.

    Args:
        settings (dict): Of the config.
        batch_size (int): Images of a step.
        steps (int): Of the only epoch.
        folder (str): Work dir.

    Returns:
        Config: To build a runner of.
    """
    cfg = alone(settings, folder, IN_THE_STEP)
    backbone = cfg.model.get('backbone', {})
    size = backbone.get('img_size', 224)  # the default of all our encoders
    height, width = (size, size) if isinstance(size, int) else size
    dataset = dict(
        type='cmae_mm.RandomPictures',
        length=batch_size * steps,
        shape=(backbone.get('in_channels', 3), height, width),
        views=2 if cfg.model.get('contrastive_weight', 1) else 1,
    )
    cfg.train_dataloader = dict(
        batch_size=batch_size,
        num_workers=0,
        drop_last=True,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
        dataset=dataset,
    )
    lasts = 'max_iters' if 'max_iters' in cfg.train_cfg else 'max_epochs'
    cfg.train_cfg[lasts] = steps if lasts == 'max_iters' else 1
    return cfg


def alone(settings: dict, folder: str, hooks: Collection[str]) -> Config:
    """A config's training on one device, with nothing written or watched.

    Args:
        settings (dict): Of the config.
        folder (str): Work dir.
        hooks (Collection[str]): Which of the config's own hooks to keep, by type.

    Returns:
        Config: To build a runner of; its modules are imported.
    """
    cfg = Config(settings)
    import_modules_from_strings(**cfg.get('custom_imports', dict(imports=['cmae_mm'])))
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    cfg.custom_hooks = [
        hook
        for hook in cfg.get('custom_hooks', [])
        if str(hook['type']).split('.')[-1] in hooks
    ]
    cfg.default_hooks = dict(
        dict.fromkeys(('timer', 'logger', 'param_scheduler', 'checkpoint')),
        runtime_info=dict(type='RuntimeInfoHook'),  # steps look up how far they are
    )
    for name in ('val', 'test'):
        cfg.update({f'{name}_{part}': None for part in ('dataloader', 'cfg')})
        cfg[f'{name}_evaluator'] = None
    cfg.update(param_scheduler=None, launcher='none', load_from=None, resume=False)
    cfg.update(work_dir=folder, log_level='ERROR', experiment_name='measure')
    cfg.update(vis_backends=[], visualizer=None)
    return cfg


def say(error: Exception) -> dict:
    """What to tell of a failure.

    Returns:
        dict: ``error``, a sentence, and ``memory``, whether memory ran out.
    """
    # The loop explains some failures in words that belong to a long run.
    error = error.__cause__ if isinstance(error.__cause__, Exception) else error
    advice = explain_memory_failure(error)
    full = isinstance(error, MemoryError) or "can't allocate memory" in str(error)
    if full and not advice:
        advice = (
            'the memory of the machine is full. Take a smaller '
            'train_dataloader.batch_size, or compute it in parts '
            '(train_cfg.type=cmae_mm.MicroBatchTrainLoop train_cfg.micro_batches=2).'
        )
    return dict(error=advice or f'{type(error).__name__}: {error}', memory=bool(advice))


def main(run: Callable[..., dict]) -> None:
    """Read the order, and leave the answer beside it.

    Args:
        run (callable): Takes what is ordered, and gives the numbers of a
            :class:`cmae_mm.planning.measure.StepCost`.
    """
    folder = Path(sys.argv[1])
    order = pickle.loads((folder / 'order.pkl').read_bytes())
    try:
        answer = dict(cost=run(**order, folder=str(folder / 'run')))
    except Exception as error:
        answer = say(error)
    (folder / 'answer.json').write_text(json.dumps(answer))


if __name__ == '__main__':
    main(measure_here)
