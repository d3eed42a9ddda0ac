"""Steps with a loss or a gradient that is not finite change nothing."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from cmae_mm.registry import HOOKS


class Pass(NamedTuple):
    """What is known of one iteration until it is clear whether its step counted."""

    iteration: int
    losses: dict[str, torch.Tensor]
    samples: list


@HOOKS.register_module()
class FiniteStepsHook(Hook):
    """Skips, counts and names the steps whose loss or gradient is not finite.

    A skipped step leaves weights, optimiser and the statistics of BatchNorm as they
    were, bit for bit. So the momentum branch, too, only ever follows finite weights.

    The check stands right before ``optimizer.step()``, behind accumulation, loss
    scaler and the all-reduce of DDP. There the gradients of all ranks are the same,
    and all skip together without a word between them. A loss that is not finite
    although its gradient is (a constant) gets a gradient that is not finite.

    Fused optimisers, our default, skip on the device, and the host reads what
    happened every ``interval`` iterations, in one read. With others it asks at every
    step, which waits for the device.

    The files of skipped batches are named in ``non_finite_rank<r>.jsonl`` in the work
    dir, one line per iteration: its number, its losses, its files. All ranks write,
    as a step is skipped on all of them; the losses tell whose images it was.

    Args:
        limit (int): The run stops when this many steps in a row were skipped, 1 or
            more. A float16 loss scaler skips some steps at its start, halving the
            scale each time. Defaults to 25, which would take 65536 down to 0.002.
        interval (int): Iterations between two looks of the host. Defaults to 25.

    Raises:
        RuntimeError: If the last ``limit`` steps were skipped.
    """

    priority = 'HIGH'  # before whatever saves or logs

    def __init__(self, limit: int = 25, interval: int = 25) -> None:
        self.limit = limit
        self.interval = interval
        self._passes: list[Pass] = []  # of the step that is being made
        self._steps: list[tuple[torch.Tensor, list[Pass]]] = []  # not yet looked at
        self._sick: torch.Tensor | None = None
        self._told_optimizer = False
        self._in_a_row = 0
        self._total = 0

    def before_train(self, runner: Runner) -> None:
        """Put the check before the steps of the optimiser."""
        wrapped, optimizer = runner.model, runner.optim_wrapper.optimizer
        model = wrapped.module if is_model_wrapper(wrapped) else wrapped
        self._handles = [
            model.register_forward_hook(spoil_sick_losses),
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        ]
        self._device = next(model.parameters()).device
        self._ranks_differ = get_world_size() > 1 and not isinstance(
            wrapped, DistributedDataParallel
        )
        self._statistics = [
            buffer
            for module in model.modules()
            if isinstance(module, _NormBase)
            for buffer in module.buffers()
        ]
        self._total = runner.message_hub.get_info('skipped_steps', 0)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Keep what a sick forward pass would spoil, at the start of a step."""
        if not self._passes:
            self._statistics_before = [buffer.clone() for buffer in self._statistics]

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Look at the gradients, and let the optimiser skip sick ones."""
        if hasattr(optimizer, 'found_inf'):  # a loss scaler has looked already
            self._sick = optimizer.found_inf.clone()
            return
        groups = optimizer.param_groups
        params = [param for group in groups for param in group['params']]
        self._sick = are_sick(p.grad for p in params if p.grad is not None)
        if self._ranks_differ:  # shards of gradients: one for all
            dist.all_reduce(self._sick, dist.ReduceOp.MAX)
        if all(group.get('fused') for group in groups):
            optimizer.found_inf = self._sick  # as a loss scaler tells it
            self._told_optimizer = True
        elif self._sick.item():
            for param in params:  # what has no gradient is left alone
                param.grad = None

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Leave the optimiser as it was."""
        if self._told_optimizer:
            del optimizer.found_inf
            self._told_optimizer = False

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Undo what is left of a sick step; now and then, count and stop."""
        losses = {name: value.detach() for name, value in (outputs or {}).items()}
        samples = (data_batch or {}).get('data_samples') or []
        self._passes.append(Pass(runner.iter + 1, losses, samples))
        if runner.optim_wrapper.should_update():
            self._finish_step()
        if self.every_n_train_iters(runner, self.interval):
            self.look(runner)
            if self._total:
                runner.message_hub.update_scalar('train/skipped_steps', self._total)
            self._stop_if_hopeless(runner)

    def _finish_step(self) -> None:
        """Restore the statistics if need be, without waiting for the answer."""
        sick, self._sick = self._sick, None
        if sick is None:  # a loss scaler kept the optimiser from being called
            sick = torch.ones((), device=self._device)
        for buffer, before in zip(
            self._statistics, self._statistics_before, strict=True
        ):
            buffer.copy_(torch.where(sick > 0, before, buffer))
        self._steps.append((sick, self._passes))
        self._passes = []

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Let the count in the checkpoint be complete."""
        self.look(runner)
        checkpoint['message_hub']['runtime_info']['skipped_steps'] = self._total

    def after_train(self, runner: Runner) -> None:
        """Count the last steps, and take the check away."""
        self.look(runner)
        for handle in self._handles:
            handle.remove()

    def look(self, runner: Runner) -> None:
        """Read which of the last steps were skipped; count and name them."""
        steps, self._steps = self._steps, []
        if not steps:
            return
        flags = torch.stack([sick for sick, _ in steps]).tolist()
        for sick, (_, passes) in zip(flags, steps, strict=True):
            self._in_a_row = self._in_a_row + 1 if sick else 0
            if sick:
                self._total += 1
                self._name(runner, passes)
        runner.message_hub.update_info('skipped_steps', self._total)

    def _name(self, runner: Runner, passes: list[Pass]) -> None:
        """Write down the batches of a skipped step."""
        lines = [describe(one) for one in passes]
        file = self._file(runner)
        try:
            with file.open('a', encoding='utf-8') as out:
                out.writelines(json.dumps(line, default=str) + '\n' for line in lines)
            where = f'its files are named in {file}'
        except OSError as error:  # must not end a run that goes on otherwise
            where = f'its files could not be written to {file} ({error})'
        losses = ', '.join(
            f'{k} {float(v):.4g}' for k, v in lines[-1]['losses'].items()
        )
        runner.logger.warning(
            f'The step of iteration {passes[-1].iteration} was skipped: its loss or '
            f'gradient is not finite ({losses}); {where}. Skipped so far: '
            f'{self._total}, now in a row: {self._in_a_row}. A float16 loss scaler '
            'does so now and then; otherwise look at the files.'
        )

    def _stop_if_hopeless(self, runner: Runner) -> None:
        if self._in_a_row < self.limit:
            return
        raise RuntimeError(
            f'{self._in_a_row} steps in a row, up to iteration {runner.iter + 1}, had '
            'a loss or a gradient that is not finite. None of them has changed the '
            f'model, but it trains no more. {self._file(runner)} names the files of '
            'their batches and their losses. If the same files come back, look at '
            'these images. If not, go back to an earlier checkpoint and lower the '
            'learning rate (optim_wrapper.optimizer.lr), clip the gradients '
            '(optim_wrapper.clip_grad.max_norm=1.0), or take bfloat16 where float16 '
            'is.'
        )

    def _file(self, runner: Runner) -> Path:
        return Path(runner.work_dir) / f'non_finite_rank{runner.rank}.jsonl'


def spoil_sick_losses(model: nn.Module, args: Any, outputs: Any) -> Any:
    """A forward hook: losses that are not finite get such gradients, too.

    A finite loss is multiplied by 1, which changes no bit of it or of its gradient.

    Args:
        model (nn.Module): Not used.
        args (tuple): Not used.
        outputs (dict | Any): In mode 'loss', losses and numbers by name.

    Returns:
        dict | Any: The same; losses that are inf or NaN as NaN.
    """
    if not isinstance(outputs, dict):
        return outputs
    return {
        name: value * (1 + 0 * value.detach())
        if 'loss' in name and isinstance(value, torch.Tensor)
        else value
        for name, value in outputs.items()
    }


def are_sick(gradients: Iterable[torch.Tensor]) -> torch.Tensor:
    """Whether a gradient is inf or NaN, without waiting for the device.

    Also one with a norm above 1.8e19, whose square is beyond float32, is sick: it
    would leave inf in Adam's second moment, and its weights would never move again.

    Args:
        gradients (Iterable[Tensor]): Of any shapes.

    Returns:
        Tensor: 1 or 0, a float32 scalar on the device of the gradients.
    """
    norms = torch.stack(torch._foreach_norm(list(gradients)))
    return norms.float().square().isfinite().all().logical_not().float()


def describe(one: Pass) -> dict:
    """An iteration as plain values; what is not finite as text, for strict JSON."""
    losses = {name: float(value) for name, value in one.losses.items()}
    return dict(
        iteration=one.iteration,
        losses={k: v if abs(v) < float('inf') else str(v) for k, v in losses.items()},
        files=[s.get('img_path', s.get('sample_idx')) for s in one.samples],
    )
