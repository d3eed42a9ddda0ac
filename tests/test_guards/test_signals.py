"""A signal ends the step, then a checkpoint is written, then the process exits.

The file is a test, and also the script of a training without a terminal.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import FlexibleRunner, Runner
from torch.utils.data import Dataset

from cmae_mm.guards import signals
from cmae_mm.guards.signals import STOPPED

STEPS = 6  # of an epoch
# Without importing everything once more; the processes inherit what stands here.
fork = multiprocessing.get_context('fork')


class Numbers(Dataset):
    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        return dict(inputs=torch.ones(1))


class Counter(BaseModel):
    """Its weight is the number of steps that were finished.

    Args:
        during: Called in each step, with its number (from 1), before the update.
    """

    def __init__(self, during=lambda step: None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.during = during
        self.steps = 0
        self.validated = 0

    def forward(self, inputs, mode='tensor'):
        if mode == 'predict':
            self.validated += 1
            self.during(-self.validated)
            return [{}]
        self.steps += 1
        self.during(self.steps)
        return dict(loss=-self.weight.sum())  # a gradient of -1


class Saver(Hook):
    """What DurableCheckpointHook is to others: a hook with ``save_now``."""

    def save_now(self, runner):
        name = f'iter_{runner.iter + 1}.pth'
        runner.save_checkpoint(runner.work_dir, name, by_epoch=False)


class Nothing(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(nothing=0.0)


def build(work_dir, during=lambda step: None, hooks=None, workers=0, **settings):
    loader = dict(
        batch_size=1,
        num_workers=workers,
        sampler=dict(type=settings.pop('sampler', 'DefaultSampler'), shuffle=False),
        dataset=Numbers(),
    )
    settings.setdefault('train_cfg', dict(by_epoch=True, max_epochs=2))
    if 'val_cfg' in settings:
        settings.update(val_dataloader=dict(loader), val_evaluator=[Nothing()])
    # The hooks that save are theirs; the stock one would save after the epoch.
    return Runner(
        Counter(during),
        str(work_dir),
        train_dataloader=loader,
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=1.0), **settings.pop('optim_wrapper', {})
        ),
        default_hooks=dict(checkpoint=None),
        custom_hooks=[
            dict(type='cmae_mm.PlainCheckpointHook'),
            dict(type='cmae_mm.StopOnSignalHook'),
            *([Saver()] if hooks is None else hooks),
        ],
        randomness=dict(seed=0),
        default_scope='mmpretrain',
        experiment_name=f'signals-{work_dir}'.replace('/', '-'),
        log_level='ERROR',
        **settings,
    )


def send(number, at):
    """Something to do in a step: this process gets a signal in step ``at``."""
    return lambda step: step == at and os.kill(os.getpid(), number)


def saved(work_dir):
    """Iterations of all checkpoints, and the weight in each."""
    files = Path(work_dir).glob('*.pth')
    found = [torch.load(file, weights_only=True) for file in files]
    return {f['meta']['iter']: f['state_dict']['weight'].item() for f in found}


@pytest.fixture(autouse=True)
def handlers(monkeypatch):
    """All three signals raise in the test, unless the hook takes them."""
    before = {number: signal.getsignal(number) for number in signals.SIGNALS}
    for number in before:
        signal.signal(number, reached)
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


class Reached(Exception):
    """A signal came to where it would have without the hook."""


def reached(number, frame):
    raise Reached(number)


def assert_given_back():
    assert all(signal.getsignal(number) is reached for number in signals.SIGNALS)


@pytest.mark.parametrize('number', signals.SIGNALS)
def test_a_signal_ends_the_step_saves_and_exits(tmp_path, number, capfd):
    runner = build(tmp_path, send(number, at=3))
    with pytest.raises(SystemExit) as stop:
        runner.train()
    assert stop.value.code == STOPPED == 75
    assert saved(tmp_path) == {3: 3.0}
    assert_given_back()
    name = signal.Signals(number).name
    assert f'{name}: this step will be finished' in capfd.readouterr().err


@pytest.mark.parametrize('at', [1, STEPS - 1, STEPS, 2 * STEPS])
def test_a_stopped_run_goes_on_and_ends_like_the_unbroken_one(tmp_path, at):
    """By iterations, where the stock loop goes on in the middle of an epoch."""

    def by_iterations(where, during=lambda step: None):
        loop = dict(by_epoch=False, max_iters=2 * STEPS)
        return build(where, during, train_cfg=loop, sampler='InfiniteSampler')

    whole = by_iterations(tmp_path / 'whole').train()
    with pytest.raises(SystemExit):
        by_iterations(tmp_path, send(signal.SIGTERM, at)).train()
    second = by_iterations(tmp_path / 'second')
    second.resume(str(tmp_path / f'iter_{at}.pth'))
    second.train()
    assert second.model.steps == 2 * STEPS - at
    assert torch.equal(second.model.weight, whole.weight)


def test_a_second_signal_acts_as_without_the_hook(tmp_path, monkeypatch):
    monkeypatch.setattr(signals, 'SAME_WISH', 0.05)

    def twice(step):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Reached, match=f'{signal.SIGINT.value}'):
        build(tmp_path, twice).train()
    assert saved(tmp_path) == {}
    assert_given_back()


def test_a_signal_that_comes_along_two_ways_counts_once(tmp_path):
    def twice(step):
        if step == 2:
            os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit):
        build(tmp_path, twice).train()
    assert saved(tmp_path) == {2: 2.0}


def test_gradients_that_wait_for_an_update_are_waited_for(tmp_path):
    runner = build(
        tmp_path, send(signal.SIGTERM, at=1), optim_wrapper=dict(accumulative_counts=3)
    )
    with pytest.raises(SystemExit):
        runner.train()
    assert saved(tmp_path) == {3: 1.0}


def test_a_signal_during_validation_waits_for_the_next_step(tmp_path):
    runner = build(tmp_path, send(signal.SIGTERM, at=-2), val_cfg=dict())
    with pytest.raises(SystemExit):
        runner.train()
    assert runner.model.validated == STEPS
    assert saved(tmp_path) == {STEPS + 1: STEPS + 1.0}


def test_a_signal_during_the_last_validation_is_too_late(tmp_path):
    last = send(signal.SIGTERM, at=-2 * STEPS)
    build(tmp_path, last, val_cfg=dict()).train()
    assert saved(tmp_path) == {}
    assert_given_back()


def test_handlers_are_given_back_after_the_training(tmp_path):
    seen = []
    build(tmp_path, lambda step: seen.append(signal.getsignal(signal.SIGTERM))).train()
    assert reached not in seen
    assert_given_back()


def test_after_an_error_signals_act_as_always(tmp_path):
    """Nobody tells the hooks that the training is over; think of a notebook."""

    def fail(step):
        raise ValueError('no more')

    with pytest.raises(ValueError, match='no more'):
        build(tmp_path, fail).train()
    with pytest.raises(Reached):
        os.kill(os.getpid(), signal.SIGTERM)
    assert_given_back()


def test_the_same_runner_may_train_again_after_an_error(tmp_path):
    def fail_once(step):
        if step == 1:
            raise ValueError('once')
        send(signal.SIGTERM, at=3)(step)

    runner = build(tmp_path, fail_once)
    with pytest.raises(ValueError, match='once'):
        runner.train()
    with pytest.raises(SystemExit):
        runner.train()
    assert_given_back()


def test_in_another_thread_nothing_is_installed(tmp_path):
    seen = []
    runner = build(tmp_path, lambda _: seen.append(signal.getsignal(signal.SIGTERM)))
    thread = threading.Thread(target=runner.train)
    thread.start()
    thread.join()
    assert runner.model.weight.item() == 2 * STEPS
    assert set(seen) == {reached}


def test_the_flexible_runner_trains_too():
    seen = []

    class Stopped(FlexibleRunner):
        def __init__(self):
            pass

        @property
        def _train_loop(self):
            seen.append(signals._trains(sys._getframe()))

    with pytest.raises(RuntimeError, match='should not be None'):
        Stopped().train()
    assert seen == [True]
    assert not signals._trains(sys._getframe())


def test_without_a_hook_that_saves_signals_act_as_always(tmp_path):
    runner = build(tmp_path, send(signal.SIGTERM, at=2), hooks=[])
    said = []
    runner.logger.warning = said.append
    with pytest.raises(Reached):
        runner.train()
    assert any('DurableCheckpointHook' in line for line in said)


def test_what_was_ignored_stays_ignored(tmp_path):
    """As SIGINT is for what a script starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    model = build(tmp_path, send(signal.SIGINT, at=2)).train()
    assert model.weight.item() == 2 * STEPS
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def in_new_process(target, *arguments):
    """Start a process in a group of its own, with the system's handlers."""

    def run():
        os.setpgid(0, 0)
        for number in signals.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        target(*arguments)

    process = fork.Process(target=run)
    process.start()
    return process


def wait_for(file):
    while not file.exists():
        time.sleep(0.01)


def train_slowly(work_dir, pause, workers):
    def during(step):
        if step == 2:
            (work_dir / 'step').touch()
            time.sleep(pause)

    build(work_dir, during, workers=workers).train()


@pytest.mark.parametrize('number', signals.SIGNALS)
def test_a_signal_to_the_whole_group_leaves_the_workers_alive(tmp_path, number):
    """What Slurm, torchrun and Ctrl-C do. Dead workers would end the step."""
    process = in_new_process(train_slowly, tmp_path, 1, 2)
    wait_for(tmp_path / 'step')
    os.killpg(process.pid, number)
    process.join(60)
    assert process.exitcode == STOPPED
    assert saved(tmp_path) == {2: 2.0}


def test_a_second_signal_kills_the_process(tmp_path):
    process = in_new_process(train_slowly, tmp_path, 30, 0)
    wait_for(tmp_path / 'step')
    os.kill(process.pid, signal.SIGUSR1)
    time.sleep(signals.SAME_WISH + 0.2)
    os.kill(process.pid, signal.SIGTERM)
    process.join(20)
    assert process.exitcode == -signal.SIGTERM
    assert saved(tmp_path) == {}


def train_rank(rank, work_dir, asked):
    os.environ.update(RANK=str(rank), WORLD_SIZE='2', LOCAL_RANK=str(rank))
    dist.init_process_group('gloo', f'file://{work_dir}/store', rank=rank, world_size=2)

    def during(step):
        if rank == 0:
            time.sleep(0.05)  # the ranks do not run in step
        if rank == asked and step == 3:
            os.kill(os.getpid(), signal.SIGUSR1)

    runner = build(work_dir / f'{rank}', during, hooks=[ManyRanksSaver()])
    # MMEngine would ask for GPUs in wrapping the model; here each rank trains alone,
    # and only the signal has to cross.
    try:
        runner.train()
    finally:
        found = saved(work_dir / '0')
        (work_dir / f'end-{rank}').write_text(f'{runner.model.steps}, saved {found}')


class ManyRanksSaver(Saver):
    """Rank 0 takes its time, and the others wait for it."""

    def save_now(self, runner):
        if runner.rank == 0:
            time.sleep(0.5)
        super().save_now(runner)
        dist.barrier()


@pytest.mark.parametrize('asked', [0, 1])
def test_two_ranks_stop_after_the_same_step(tmp_path, asked):
    """The signal reaches one of them; the one behind its step is the last."""
    ranks = [in_new_process(train_rank, rank, tmp_path, asked) for rank in (0, 1)]
    for process in ranks:
        process.join(60)
    assert [process.exitcode for process in ranks] == [STOPPED, STOPPED]
    ends = {(tmp_path / f'end-{rank}').read_text() for rank in (0, 1)}
    assert ends == {'4, saved {4: 4.0}'}


@pytest.mark.slow
def test_without_home_and_terminal(tmp_path):
    """A program of its own, as a scheduler starts it."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', __file__, tmp_path],
        env={key: value for key, value in os.environ.items() if key != 'HOME'},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        timeout=300,
    )
    assert done.returncode == STOPPED, done.stderr
    assert saved(tmp_path) == {2: 2.0}
    assert 'Traceback' not in done.stderr


if __name__ == '__main__':
    build(sys.argv[1], send(signal.SIGTERM, at=2), workers=1).train()
