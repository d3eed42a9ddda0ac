"""The save, killed at any moment, starved of space, and locked out."""

import errno
import os
import resource
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.fileio import LocalBackend
from mmengine.hooks import Hook

from cmae_mm.engine import DurableCheckpointHook
from cmae_mm.engine.valid_checkpoint import newest_valid, read_valid

PLAIN = dict(type='cmae_mm.PlainCheckpointHook')


@pytest.fixture
def saved(toy_runner, tmp_path):
    """A run after two epochs that keeps two checkpoints; its hook and folder."""
    runner = toy_runner(tmp_path / 'run', checkpoint=dict(max_keep_ckpts=2))
    runner.train()
    hook = next(h for h in runner.hooks if isinstance(h, DurableCheckpointHook))
    return runner, hook, tmp_path / 'run'


def third_save(runner, hook):
    """The save after one more epoch, which deletes the first file."""
    hook._save_checkpoint_with_step(runner, 3, dict(epoch=3, iter=6))


def names(folder, pattern='*.pth*'):
    return sorted(path.name for path in folder.glob(pattern))


def in_child(action):
    """Run something in a process of its own; its exit status and what it printed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        status = 1
        try:
            action()
            status = 0
        except BaseException as error:
            os.write(1, f'{type(error).__name__}: {error}'.encode())
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def file_operations(folder, react):
    """Call react(event, path) before whatever Python does to files in a folder."""

    def audit(event, args):
        if event in ('open', 'os.rename', 'os.remove'):
            path = os.fsdecode(args[0]) if not isinstance(args[0], int) else ''
            if path.startswith(str(folder)):
                react(event, Path(path).name)

    sys.addaudithook(audit)


def kill_at(folder, operation, byte):
    """Die without a word before the nth operation, or in the midst of the write."""
    left = iter(range(operation))

    def react(event, name):
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    def put(self, obj, path):
        with open(path, 'wb') as file:
            file.write(obj[:byte])
            file.flush()
            if byte < len(obj):
                os.kill(os.getpid(), signal.SIGKILL)

    LocalBackend.put = put
    file_operations(folder, react)


def check_survivors(folder, weights):
    """What a run finds after the end of the one before."""
    found = newest_valid(folder)
    assert found is not None and found.name in ('epoch_2.pth', 'epoch_3.pth')
    assert torch.equal(read_valid(found)['state_dict']['layer.weight'], weights)
    assert len(names(folder, '*.pth')) >= 2
    for path in folder.glob('*.pth'):
        read_valid(path)
    read_valid(Path((folder / 'last_checkpoint').read_text()))


@given(
    st.one_of(
        st.tuples(st.just(10**6), st.integers(0, 12_000)),
        st.tuples(st.integers(0, 20), st.just(10**6)),
    )
)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_killed_at_any_moment_of_a_save_a_whole_file_is_there(saved, moment):
    runner, hook, folder = saved
    with tempfile.TemporaryDirectory() as place:
        before = Path(place, 'before')
        shutil.copytree(folder, before)

        def save():
            kill_at(folder, *moment)
            third_save(runner, hook)

        status, said = in_child(save)
        assert status in (0, -signal.SIGKILL), said
        try:
            check_survivors(folder, runner.model.layer.weight)
        finally:
            shutil.rmtree(folder)
            shutil.copytree(before, folder)


def test_a_kill_does_happen_in_each_phase(saved):
    """Or the test above would prove nothing."""
    runner, hook, folder = saved

    def save():
        file_operations(folder, lambda event, name: os.write(1, f'{event}\n'.encode()))
        third_save(runner, hook)

    status, said = in_child(save)
    assert status == 0
    phases = said.split()
    assert 5 < len(phases) < 20  # all within reach of `moment`
    assert {'open', 'os.rename', 'os.remove'} == set(phases)
    assert 5000 < (folder / 'epoch_3.pth').stat().st_size < 12_000


def test_first_saved_then_pointed_to_then_deleted(saved):
    runner, hook, folder = saved

    def save():
        def tell(event, name):
            if event != 'open':
                os.write(1, f'{event} {name}\n'.encode())

        file_operations(folder, tell)
        third_save(runner, hook)

    _, said = in_child(save)
    lines = [line for line in said.splitlines() if line.startswith('os.')]
    moved, pointed, deleted = (
        lines.index('os.rename epoch_3.pth.partial'),
        lines.index('os.rename last_checkpoint.partial'),
        lines.index('os.remove epoch_1.pth'),
    )
    assert moved < pointed < deleted
    assert names(folder) == ['epoch_2.pth', 'epoch_3.pth']


def test_a_full_disk_leaves_what_was_there_and_says_so(saved):
    """A limit on the size of files fails in the middle of a write, as a full disk."""
    runner, hook, folder = saved

    def save():
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        third_save(runner, hook)

    status, said = in_child(save)
    assert status == 1 and 'RuntimeError' in said
    for word in ('epoch_3.pth could not be written', 'epoch_2.pth', 'space', 'resume'):
        assert word in said
    assert names(folder) == ['epoch_1.pth', 'epoch_2.pth']
    check_survivors(folder, runner.model.layer.weight)


def test_a_folder_that_may_not_be_written_to(toy_runner):
    """Root may write anywhere, so that the save is done by nobody."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, 'run')
        runner = toy_runner(folder)
        runner.train()
        hook = next(h for h in runner.hooks if isinstance(h, DurableCheckpointHook))
        os.chmod(place, 0o755)
        os.chmod(folder, 0o555)

        def save():
            if os.getuid() == 0:
                os.setuid(65534)
            third_save(runner, hook)

        status, said = in_child(save)
        os.chmod(folder, 0o755)
        assert status == 1 and 'RuntimeError' in said
        for word in ('Permission denied', 'may write to', 'epoch_2.pth', 'resume'):
            assert word in said
        assert names(folder) == ['epoch_1.pth', 'epoch_2.pth']


def test_a_folder_that_cannot_be_made(toy_runner, tmp_path):
    (tmp_path / 'file').write_text('')
    elsewhere = dict(out_dir=str(tmp_path / 'file'))
    with pytest.raises(RuntimeError, match='could not be written.*name another'):
        toy_runner(tmp_path / 'run', checkpoint=elsewhere).train()


def test_a_pointer_that_cannot_be_written(saved, monkeypatch):
    runner, hook, folder = saved
    real = os.replace

    def replace(source, target):
        if Path(target).name == 'last_checkpoint':
            raise OSError(errno.EDQUOT, 'Disk quota exceeded')
        real(source, target)

    monkeypatch.setattr(os, 'replace', replace)
    with pytest.raises(RuntimeError, match='epoch_3.pth is saved, but.*quota'):
        third_save(runner, hook)
    assert names(folder) == ['epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth']
    read_valid(Path((folder / 'last_checkpoint').read_text()))


class Spoil(Hook):
    """Puts NaN into the weights at the end of the third epoch."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 5:
            runner.model.layer.bias.data.fill_(float('nan'))


def test_a_model_with_nan_is_never_kept(toy_runner, tmp_path):
    runner = toy_runner(tmp_path / 'run', epochs=3, hooks=[PLAIN, Spoil()])
    with pytest.raises(RuntimeError) as error:
        runner.train()
    for word in ('epoch_3.pth was not kept', '1 of the 2', 'layer.bias', 'epoch_2.pth'):
        assert word in str(error.value)
    assert names(tmp_path / 'run') == ['epoch_1.pth', 'epoch_2.pth']
    assert newest_valid(tmp_path / 'run').name == 'epoch_2.pth'


def test_one_checkpoint_is_too_few():
    with pytest.raises(ValueError, match='whole run would be lost. Keep 2'):
        DurableCheckpointHook(max_keep_ckpts=1)


@pytest.mark.parametrize(
    'option', [dict(out_dir='s3://bucket'), dict(backend_args=dict(backend='petrel'))]
)
def test_other_storage_is_refused(option):
    with pytest.raises(ValueError, match="type='CheckpointHook'"):
        DurableCheckpointHook(**option)


def test_files_that_no_resume_would_find_are_refused():
    with pytest.raises(ValueError, match='must end in .pth'):
        DurableCheckpointHook(filename_tmpl='epoch_{}.pt')


class SaveNow(Hook):
    """Saves in the middle of the second epoch, as after a signal."""

    priority = 'LOWEST'

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 2:
            hook = next(h for h in runner.hooks if isinstance(h, DurableCheckpointHook))
            hook.save_now(runner)


def test_a_save_in_between_takes_part_in_the_rotation(toy_runner, tmp_path):
    folder = tmp_path / 'run'
    options = dict(checkpoint=dict(max_keep_ckpts=2), hooks=[PLAIN, SaveNow()])
    toy_runner(folder, epochs=2, **options).train()
    assert names(folder) == ['epoch_2.pth', 'iter_3.pth']
    meta = read_valid(folder / 'iter_3.pth')['meta']
    assert (meta['epoch'], meta['iter']) == (1, 3)
    toy_runner(folder, epochs=4, resume=True, **options).train()
    assert names(folder) == ['epoch_3.pth', 'epoch_4.pth']


def test_what_a_killed_run_did_not_delete_the_next_one_does(saved, toy_runner):
    runner, hook, folder = saved
    hook._delete = lambda *args: None
    third_save(runner, hook)
    assert len(names(folder)) == 3
    toy_runner(folder, epochs=4, resume=True, checkpoint=dict(max_keep_ckpts=2)).train()
    assert names(folder) == ['epoch_3.pth', 'epoch_4.pth']


def test_unfinished_files_are_removed_at_the_next_start(saved, toy_runner, capsys):
    _, _, folder = saved
    (folder / 'epoch_3.pth.partial').write_bytes(b'half')
    toy_runner(folder, epochs=3, resume=True).train()
    assert names(folder) == ['epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth']
    assert 'killed: epoch_3.pth.partial' in capsys.readouterr().out


class Metric(Hook):
    """Better and better, told to the hook as after a validation."""

    def after_train_epoch(self, runner):
        hook = next(h for h in runner.hooks if isinstance(h, DurableCheckpointHook))
        hook.after_val_epoch(runner, dict(acc=float(runner.epoch)))


def test_the_best_checkpoint_is_replaced_only_by_a_whole_one(
    toy_runner, tmp_path, monkeypatch
):
    folder = tmp_path / 'run'
    best = dict(save_best='acc', interval=100, save_last=False)
    runner = toy_runner(folder, checkpoint=best, hooks=[PLAIN, Metric()])
    runner.train()
    assert names(folder) == ['best_acc_epoch_1.pth']
    assert 'optimizer' not in read_valid(folder / 'best_acc_epoch_1.pth')

    def put(self, obj, path):
        Path(path).write_bytes(obj[: len(obj) // 2])
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(LocalBackend, 'put', put)
    hook = next(h for h in runner.hooks if isinstance(h, DurableCheckpointHook))
    with pytest.raises(RuntimeError, match='No space left'):
        hook.after_val_epoch(runner, dict(acc=9.0))
    assert names(folder) == ['best_acc_epoch_1.pth']
    read_valid(folder / 'best_acc_epoch_1.pth')


def test_the_best_checkpoint_is_not_deleted_when_it_keeps_its_name(
    toy_runner, tmp_path
):
    folder = tmp_path / 'run'
    runner = toy_runner(folder, epochs=1, checkpoint=dict(save_best='acc'))
    runner.train()
    hook = next(h for h in runner.hooks if isinstance(h, DurableCheckpointHook))
    for acc in (1.0, 2.0):
        hook.after_val_epoch(runner, dict(acc=acc))
        assert names(folder, 'best*') == ['best_acc_epoch_1.pth']


class Gather(Hook):
    """Collects something on every rank before each save."""

    def __init__(self):
        self.calls = []

    def prepare_checkpoint(self, runner):
        self.calls.append('prepare')

    def before_save_checkpoint(self, runner, checkpoint):
        self.calls.append('save')
        checkpoint['states'] = [torch.ones(2)]


def test_hooks_are_asked_before_each_save(toy_runner, tmp_path):
    gather = Gather()
    toy_runner(tmp_path / 'run', hooks=[PLAIN, gather]).train()
    assert gather.calls == ['prepare', 'save'] * 2
    file = read_valid(tmp_path / 'run' / 'epoch_2.pth')
    assert torch.equal(file['states'][0], torch.ones(2))
    assert set(file['meta']['versions']) == {'cmae_mm', 'torch'}
