"""What the machine does to a training is explained, and the run can go on."""

import multiprocessing
import os
import signal
import time

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset

from cmae_mm.guards.failures import explain_failures
from cmae_mm.guards.workers import TIMEOUT, set_workers_apart, with_timeout

STEPS = 6  # of an epoch


class Numbers(Dataset):
    """Six times the number of the process that reads; the last one may take a while.

    Args:
        file: Open in the worker while it sleeps.
        pause: Seconds.
    """

    def __init__(self, file=os.devnull, pause=0):
        self.file, self.pause = file, pause

    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        if index == STEPS - 1:
            with open(self.file):
                time.sleep(self.pause)
        return dict(inputs=torch.tensor([os.getpid()]))


class Model(BaseModel):
    """Its weight is the number of steps.

    Args:
        during: Called in each step, with its number (from 1) and the process that has
            read the image.
    """

    def __init__(self, during=lambda *_: None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.during = during
        self.steps = 0

    def forward(self, inputs, mode='tensor'):
        self.steps += 1
        self.during(self.steps, int(inputs[0]))
        return dict(loss=-self.weight.sum())


def build(work_dir, during=lambda *_: None, dataset=None, workers=1, **loader):
    return Runner(
        Model(during),
        str(work_dir),
        train_dataloader=dict(
            batch_size=1,
            num_workers=workers,
            sampler=dict(type='cmae_mm.SeededSampler', shuffle=False),
            dataset=dataset or Numbers(),
            **loader,
        ),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.0)),
        train_cfg=dict(type='cmae_mm.EndlessEpochLoop', max_epochs=2),
        custom_hooks=[dict(type='cmae_mm.PlainCheckpointHook')],
        randomness=dict(seed=0),
        default_scope='mmpretrain',
        experiment_name=f'failures-{time.monotonic()}',
        log_level='ERROR',
    )


def assert_goes_on(work_dir):
    """The epoch before the failure was saved, and only the next one is trained."""
    runner = build(work_dir)
    runner._resume = True
    model = runner.train()
    assert (model.steps, model.weight.item()) == (STEPS, 2 * STEPS)


def kill_a_worker(step, worker):
    if step == STEPS + 2:
        os.kill(worker, signal.SIGKILL)


def test_a_killed_worker_is_explained_and_the_run_goes_on(tmp_path):
    # Few batches held ready, so that more are needed; a time for the rare case that
    # torch's notice gets lost.
    loader = dict(prefetch_factor=1, timeout=5)
    with pytest.raises(RuntimeError, match='A worker that loads images') as failure:
        build(tmp_path, kill_a_worker, **loader).train()
    text = str(failure.value)
    assert 'train_dataloader.num_workers (now 1)' in text
    assert 'train_dataloader.prefetch_factor=1' in text
    assert '--mem' in text
    # By which of its ways torch notices is a matter of microseconds.
    assert isinstance(
        failure.value.__cause__, (RuntimeError, ConnectionError, EOFError)
    )
    assert_goes_on(tmp_path)


def test_a_worker_that_hangs_is_explained_with_the_file_it_reads(tmp_path):
    file = tmp_path / 'on-a-dead-disk.jpg'
    file.touch()
    numbers = Numbers(file, pause=60)
    with pytest.raises(RuntimeError, match='A worker gave no batch for 1 s') as failure:
        build(tmp_path, dataset=numbers, timeout=1).train()
    text = str(failure.value)
    assert f'open in the workers: {file}. ' in text  # and nothing else
    assert 'train_dataloader.timeout=4' in text
    assert 'train_dataloader.num_workers=0' in text
    assert 'timed out after 1 seconds' in str(failure.value.__cause__)


def test_a_full_gpu_is_explained_and_the_run_goes_on(tmp_path):
    full = torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB.')

    def fail(step, worker):
        if step == STEPS + 2:
            raise full

    with pytest.raises(RuntimeError, match='memory of the GPU is full') as failure:
        build(tmp_path, fail, workers=0).train()
    assert failure.value.__cause__ is full
    for way in ('micro_batches=2', 'train_dataloader.batch_size', 'nvidia-smi'):
        assert way in str(failure.value)
    assert_goes_on(tmp_path)


def raised(error, workers=2):
    """What becomes of an error in the training."""
    loader = DataLoader([0], num_workers=workers)
    with pytest.raises(Exception) as found:  # noqa: B017, PT011
        with explain_failures(loader):
            raise error
    return found.value


@pytest.mark.parametrize(
    'text',
    [
        # torch 2.11, with 4 MiB of /dev/shm; older versions; a bus error.
        'Caught RuntimeError in DataLoader worker process 0.\nRuntimeError: unable to '
        'allocate shared memory(shm) for file </torch_18943_898348414_0>: Resource '
        'temporarily unavailable (11)',
        'unable to write to file </torch_9_2>: No space left on device (28)',
        'DataLoader worker (pid 7) is killed by signal: Bus error. It is possible '
        "that dataloader's workers are out of shared memory. Please try to raise your "
        'shared memory limit.',
    ],
)
def test_full_shared_memory_is_explained(text):
    error = RuntimeError(text)
    found = raised(error)
    assert found.__cause__ is error
    for words in ('in /dev/shm', '--shm-size', 'prefetch_factor=1', 'num_workers=0'):
        assert words in str(found)


@pytest.mark.parametrize(
    'error',
    [
        RuntimeError('DataLoader worker (pid(s) 5, 6) exited unexpectedly'),
        ConnectionResetError(104, 'Connection reset by peer'),
        EOFError(),
    ],
)
def test_workers_that_are_gone_are_told_in_several_ways(error):
    found = raised(error)
    assert 'A worker that loads images was killed' in str(found)
    assert 'train_dataloader.num_workers (now 2)' in str(found)
    assert 'hold fewer batches ready (now 4)' in str(found)
    assert found.__cause__ is error


@pytest.mark.parametrize(
    'error',
    [
        ValueError('anything else'),
        KeyboardInterrupt(),
        OSError(28, 'No space left on device'),  # the disk of the checkpoints
        FileNotFoundError('Caught FileNotFoundError in DataLoader worker process 0.'),
        # A living worker whose file server hung up.
        ConnectionResetError(
            'Caught ConnectionResetError in DataLoader worker process 0.'
        ),
        RuntimeError(
            'unable to open shared memory object </torch_1> in read-write mode: Too '
            'many open files (24)'
        ),
    ],
)
def test_other_errors_pass_unchanged(error):
    with pytest.raises(type(error)) as found:
        with explain_failures(DataLoader([0], num_workers=2)):
            raise error
    assert found.value is error


def test_without_workers_a_broken_pipe_is_something_else():
    error = ConnectionResetError(104, 'Connection reset by peer')
    assert raised(error, workers=0) is error


def test_only_loaders_with_workers_get_a_time():
    assert with_timeout(dict(num_workers=8))['timeout'] == TIMEOUT == 300
    assert with_timeout(dict(num_workers=8, timeout=20))['timeout'] == 20
    assert 'timeout' not in with_timeout(dict(num_workers=0))
    assert 'timeout' not in with_timeout(dict())
    loader = DataLoader([0], num_workers=1)
    assert with_timeout(loader) is loader and loader.timeout == 0


@pytest.mark.parametrize('workers, timeout', [(0, 0), (1, TIMEOUT)])
def test_the_loop_gives_its_workers_a_time(tmp_path, workers, timeout):
    runner = build(tmp_path, workers=workers)
    runner.train()
    assert runner.train_dataloader.timeout == timeout


def test_workers_get_groups_of_their_own():
    batches = iter(DataLoader(Numbers(), num_workers=2))
    next(batches)
    workers = [worker.pid for worker in multiprocessing.active_children()]
    assert {os.getpgid(worker) for worker in workers} == {os.getpgrp()}
    set_workers_apart()
    assert [os.getpgid(worker) for worker in workers] == workers
    assert len(list(batches)) == STEPS - 1
