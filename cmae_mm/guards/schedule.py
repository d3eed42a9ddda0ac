"""Schedules that do not fit the length of the training."""

from mmengine.optim import (
    ConstantParamScheduler,
    LinearParamScheduler,
    _ParamScheduler,
)
from mmengine.optim.scheduler.param_scheduler import INF
from mmengine.runner import Runner

# After these the rate stands where it should stay.
WARM_UPS = (ConstantParamScheduler, LinearParamScheduler)


def check_schedule(runner: Runner) -> list[str]:
    """Compare where schedules begin and end with where the training ends.

    Args:
        runner (Runner): About to train.

    Returns:
        list[str]: One remark per misfit. None is impossible: a run may be a trial, or
        the first part of a longer one.
    """
    groups = runner.param_schedulers or []
    groups = groups.values() if isinstance(groups, dict) else [groups]
    return [remark for group in groups if group for remark in _check(group, runner)]


def _check(schedulers: list[_ParamScheduler], runner: Runner) -> list[str]:
    """Schedules of one optimiser."""
    remarks = []
    for scheduler in schedulers:
        total = _length(scheduler, runner)
        begin, end, over = (
            _when(step, scheduler, runner)
            for step in (scheduler.begin, scheduler.end, total)
        )
        what = f'param_scheduler: {type(scheduler).__name__} of {scheduler.param_name}'
        if scheduler.begin >= total:
            remarks.append(
                f'{what} begins at {begin}, but the training ends at {over}.'
            )
        elif total < scheduler.end < INF:
            remarks.append(
                f'{what} ends at {end}, the training at {over}: it stops on its way.'
            )
        elif scheduler.end < total and _is_last(scheduler, schedulers, runner):
            remarks.append(
                f'{what} ends at {end}, the training at {over}: between the two, '
                'nothing changes any more.'
            )
    return remarks


def _length(scheduler: _ParamScheduler, runner: Runner) -> int:
    """Length of the training in the steps of a schedule."""
    return runner.max_epochs if scheduler.by_epoch else runner.max_iters


def _is_last(
    scheduler: _ParamScheduler, schedulers: list[_ParamScheduler], runner: Runner
) -> bool:
    """Whether a schedule has the last word, and a word that should not last."""
    ends = [one.end / _length(one, runner) for one in schedulers]
    last = schedulers[ends.index(max(ends))]
    return scheduler is last and not isinstance(scheduler, WARM_UPS)


def _when(step: int, scheduler: _ParamScheduler, runner: Runner) -> str:
    """A step in words, in epochs where these are counted."""
    if scheduler.by_epoch:
        return f'epoch {step}'
    epoch = step * runner.max_epochs / runner.max_iters
    return f'iteration {step}' + f' (epoch {epoch:g})' * (runner.max_epochs > 1)
