"""Trains the first steps of a config, and saves.

:mod:`cmae_mm.guards.verify_resume` starts it, each time as a process of its own.
"""

import argparse
import json
import os

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner


class Enough(Exception):
    """The last step that was asked for is done and saved."""


class StopAfterHook(Hook):
    """Saves and stops once so many steps are done.

    Args:
        steps (int): Iterations since the start of the training, 1 or more.
    """

    priority = 'LOWEST'  # after everything that belongs to the step

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Stop in the middle of an epoch, as a signal would."""
        if runner.iter + 1 >= self.steps:
            saver = next(hook for hook in runner.hooks if hasattr(hook, 'save_now'))
            saver.save_now(runner)
            raise Enough


def join_processes(cfg: Config) -> None:
    """Train with the other processes that torchrun has started.

    MMEngine alone would ask for a GPU per process.

    Args:
        cfg (Config): Changed in place.
    """
    cfg.launcher = 'pytorch'
    if not torch.cuda.is_available():
        torch.distributed.init_process_group('gloo')
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel', broadcast_buffers=False, device_ids=None
        )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config')
    parser.add_argument('work_dir')
    parser.add_argument('--stop-after', type=int, required=True)
    parser.add_argument('--resume', action='store_true')
    parser.add_argument('--cfg-options', type=json.loads, default={})
    args = parser.parse_args()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    cfg.work_dir = args.work_dir
    cfg.resume = args.resume
    # No other checkpoint than the one asked for, and no evaluation.
    checkpoint = dict(type='cmae_mm.DurableCheckpointHook', interval=-1)
    cfg.merge_from_dict({'default_hooks.checkpoint': checkpoint})
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    cfg.launcher = 'none'
    if 'LOCAL_RANK' in os.environ:
        join_processes(cfg)
    runner = Runner.from_cfg(cfg)
    runner.register_hook(StopAfterHook(args.stop_after))
    try:
        runner.train()
    except Enough:
        return
    raise SystemExit(
        f'The training of {args.config} ended before {args.stop_after} steps were '
        'done. Ask for fewer (--steps).'
    )


if __name__ == '__main__':
    main()
