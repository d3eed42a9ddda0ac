"""What a run goes on from when files are damaged, missing, or of another kind."""

import os

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.logging import HistoryBuffer

from cmae_mm.engine import valid_checkpoint
from cmae_mm.engine.valid_checkpoint import newest_valid, obstacle, read_valid


def write(path, iteration, written, **other):
    """A small file with all that a training's has."""
    path.parent.mkdir(exist_ok=True)
    content = dict(
        meta=dict(epoch=iteration // 10, iter=iteration, saved_at=written),
        state_dict=dict(weight=torch.full((20,), float(iteration))),
        optimizer=dict(state={}, param_groups=[]),
        message_hub=dict(),
    )
    torch.save(content | other, path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Three files of one run, the last of them saved between two epochs."""
    write(tmp_path / 'epoch_1.pth', 10, 1.0)
    write(tmp_path / 'epoch_2.pth', 20, 2.0)
    write(tmp_path / 'iter_25.pth', 25, 3.0)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'gone.pth'))
    (tmp_path / 'epoch_9.pth.partial').write_bytes(b'half')
    weights = dict(state_dict={}, meta=dict(iter=99))
    torch.save(weights, tmp_path / 'best_acc.pth')
    torch.save(weights, tmp_path / 'a.pth', _use_new_zipfile_serialization=False)
    (tmp_path / 'folder.pth').mkdir()
    return tmp_path


def cut(path, length):
    path.write_bytes(path.read_bytes()[:length])


def flip(path, bit):
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def tensor_bit(path):
    """Place of a bit in the middle of the weights; torch itself would not notice."""
    data = torch.load(path, weights_only=True)['state_dict']['weight']
    return 8 * (path.read_bytes().index(data.numpy().tobytes()) + 40)


@pytest.fixture
def log(monkeypatch):
    """What is logged."""
    lines = []
    monkeypatch.setattr(
        valid_checkpoint, 'print_log', lambda line, *rest: lines.append(line)
    )
    return lines


def test_the_newest_is_taken_whatever_the_pointer_says(folder, log):
    assert newest_valid(folder).name == 'iter_25.pth'
    assert newest_valid(str(folder)).name == 'iter_25.pth'
    assert log == []


def test_an_empty_folder_has_none(tmp_path):
    assert newest_valid(tmp_path) is None
    assert newest_valid(tmp_path / 'nowhere') is None


@pytest.mark.parametrize(
    'damage',
    [
        lambda path: cut(path, path.stat().st_size // 2),
        lambda path: cut(path, path.stat().st_size - 1),
        lambda path: cut(path, 0),
        lambda path: flip(path, tensor_bit(path)),
        lambda path: path.write_text('hello'),
        lambda path: write(path, 25, 3.0, state_dict=dict(a=torch.tensor(torch.nan))),
        lambda path: write(path, 25, 3.0, log=HistoryBuffer([1.0], [1])),
    ],
    ids=['half', 'one byte less', 'empty', 'bit', 'text', 'nan', 'code'],
)
def test_a_damaged_file_is_named_and_skipped(folder, damage, log):
    damage(folder / 'iter_25.pth')
    assert newest_valid(folder).name == 'epoch_2.pth'
    assert len(log) == 1 and 'iter_25.pth' in log[0]


def test_torch_alone_would_take_the_flipped_bit(folder):
    """Or the checksums would not be needed."""
    path = folder / 'iter_25.pth'
    flip(path, tensor_bit(path))
    assert torch.load(path, weights_only=True)['state_dict']['weight'][10] != 25
    with pytest.raises(RuntimeError, match='checksum'):
        read_valid(path)


@given(st.data())
@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_damage_gets_through(folder, data):
    """One bit anywhere, or a cut anywhere: refused, or the same numbers."""
    path = write(folder / 'iter_25.pth', 25, 3.0)
    size = path.stat().st_size
    if data.draw(st.booleans()):
        cut(path, data.draw(st.integers(0, size - 1)))
    else:
        flip(path, data.draw(st.integers(0, 8 * size - 1)))
    found = newest_valid(folder)
    assert found.name in ('iter_25.pth', 'epoch_2.pth')
    expected = 25.0 if found.name == 'iter_25.pth' else 20.0
    weight = read_valid(found)['state_dict']['weight']
    assert torch.equal(weight, torch.full((20,), expected))


def test_an_earlier_longer_run_in_the_same_folder_does_not_win(folder):
    write(folder / 'epoch_300.pth', 3000, 0.5)
    assert newest_valid(folder).name == 'iter_25.pth'


def test_files_that_do_not_say_when_go_by_the_time_of_the_file(tmp_path):
    for n in (2, 10, 9):
        path = write(tmp_path / f'epoch_{n}.pth', n, 0, meta=dict(epoch=n, iter=n))
        os.utime(path, (n, n))
    assert newest_valid(tmp_path).name == 'epoch_10.pth'


def test_what_keeps_a_training_from_going_on():
    meta = dict(epoch=1, iter=1)
    whole = dict(meta=meta, state_dict={}, message_hub={}, optimizer={})
    assert obstacle(whole) is None
    assert 'no optimizer' in obstacle({k: whole[k] for k in list(whole)[:3]})
    assert 'its iter' in obstacle(whole | dict(meta=dict(epoch=1)))


def test_a_run_resumes_from_the_newest_whole_file(toy_runner, tmp_path, capsys):
    run = tmp_path / 'run'
    unbroken = toy_runner(run, epochs=3).train().layer.weight
    cut(run / 'epoch_3.pth', 3000)
    capsys.readouterr()
    runner = toy_runner(run, epochs=3, resume=True, log_level='INFO')
    weight = runner.train().layer.weight
    said = capsys.readouterr().out
    assert 'epoch_3.pth (3000 bytes)' in said
    assert f'Resuming from {run}/epoch_2.pth: of the checkpoints' in said
    assert 'resumed epoch: 2, iter: 4' in said
    assert torch.equal(weight, unbroken)  # the toy draws nothing but the order
    assert newest_valid(run).name == 'epoch_3.pth'


@pytest.mark.parametrize(
    ('out_dir', 'place'), [('big-disk', 'big-disk/run'), ('run', 'run')]
)
def test_checkpoints_are_found_where_they_are_saved(
    toy_runner, tmp_path, out_dir, place
):
    options = dict(checkpoint=dict(out_dir=str(tmp_path / out_dir)))
    toy_runner(tmp_path / 'run', epochs=1, **options).train()
    runner = toy_runner(tmp_path / 'run', resume=True, **options)
    runner.train()
    assert runner._load_from == str(tmp_path / place / 'epoch_1.pth')


def test_nothing_to_resume_is_said(toy_runner, tmp_path, capsys):
    run = tmp_path / 'run'
    run.mkdir()
    (run / 'last_checkpoint').write_text(str(run / 'gone.pth'))
    toy_runner(run, epochs=1, resume=True).train()
    assert 'NOTHING TO RESUME' in capsys.readouterr().out
    assert newest_valid(run).name == 'epoch_1.pth'


def test_a_run_with_damaged_files_only_is_not_started_over(toy_runner, tmp_path):
    run = tmp_path / 'run'
    run.mkdir()
    (run / 'epoch_1.pth').write_bytes(b'damaged')
    with pytest.raises(RuntimeError, match='None of the checkpoints.*epoch_1.pth'):
        toy_runner(run, resume=True).train()
    assert (run / 'epoch_1.pth').read_bytes() == b'damaged'


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('iter_25.pth', 'cannot be read as a checkpoint'),
        ('best_acc.pth', 'it holds no message_hub and no optimizer'),
        ('gone.pth', 'There is no checkpoint'),
    ],
)
def test_a_named_file_is_refused_with_a_better_one(
    toy_runner, folder, tmp_path, name, reason
):
    cut(folder / 'iter_25.pth', 100)
    runner = toy_runner(tmp_path / 'run', resume=True, load_from=str(folder / name))
    with pytest.raises(RuntimeError) as error:
        runner.train()
    assert reason in str(error.value)
    assert f'newest beside it: {folder / "epoch_2.pth"}' in str(error.value)


def test_weights_alone_are_loaded_as_ever(toy_runner, tmp_path):
    """Only a resume is looked at."""
    toy_runner(tmp_path / 'run', epochs=1).train()
    weights = dict(
        state_dict=read_valid(tmp_path / 'run' / 'epoch_1.pth')['state_dict']
    )
    torch.save(weights, tmp_path / 'weights.pth')
    toy_runner(
        tmp_path / 'other', epochs=1, load_from=str(tmp_path / 'weights.pth')
    ).train()
