"""Trains one step of any config on images of its own.

:mod:`cmae_mm.planning.measure` starts it, each time as a process of its own.
"""

import time

from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.runner import Runner

from cmae_mm.guards.partial_run import Enough
from cmae_mm.guards.start import CheckedRunner
from cmae_mm.planning.measured_run import IN_THE_STEP, alone, main, weigh_state
from cmae_mm.planning.memory import peak_memory

# Whatever a batch normalisation sees has to differ from something.
_IMAGES = 2
# Those that look at weights, data and settings before the first step.
_CHECKS = ('CheckPretrainedHook', 'CheckSettingsHook')


class OneStep(Hook):
    """Ends a training after its first step, and tells how long that took."""

    priority = 'LOWEST'

    def before_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """The batch is there."""
        self.start = time.perf_counter()

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """The step is done."""
        self.seconds = time.perf_counter() - self.start
        raise Enough


def step_here(settings: dict, folder: str) -> dict:
    """Train the step in this process.

    Args:
        settings (dict): Of a config of any library; its images have to be there.
        folder (str): For the files of the run.

    Returns:
        dict: The numbers of a :class:`cmae_mm.planning.measure.StepCost`.
    """
    cfg = alone(settings, folder, (*IN_THE_STEP, *_CHECKS))
    loader = cfg.train_dataloader
    loader.update(batch_size=_IMAGES, num_workers=0, persistent_workers=False)
    loader.pop('prefetch_factor', None)  # torch takes it of workers only
    device = get_device()
    before = 0 if device == 'cuda' else peak_memory(device)
    runner = CheckedRunner.from_cfg(cfg)
    step = OneStep()
    runner.register_hook(step)
    try:
        runner.train()
    except Enough:
        pass
    return dict(
        seconds=step.seconds,
        peak_bytes=peak_memory(device) - before,
        state_bytes=weigh_state(runner),
        device=device,
    )


if __name__ == '__main__':
    main(step_here)
