import os
import pickle
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from cmae_mm.bridge.errors import ConversionError
from cmae_mm.bridge.files import (
    finished_only,
    read_checkpoint,
    weights_of,
    write_weights,
)


class Bomb:
    """Runs a command of the system when a pickle of it is loaded."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def plain_pickle(content, file):
    file.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize('write', [torch.save, plain_pickle])
def test_no_code_in_a_file_is_run(tmp_path, write):
    marker, file = tmp_path / 'it-ran', tmp_path / 'bad.pth'
    content = dict(model=dict(a=torch.ones(1)), args=Bomb(f'touch {marker}'))
    write(content, file)
    with pytest.raises(ConversionError, match='bad.pth'):
        read_checkpoint(file)
    assert not marker.exists()


def test_what_is_not_wanted_is_passed_over(tmp_path):
    if not hasattr(torch.serialization, 'safe_globals'):
        pytest.skip('this torch refuses such files')
    weights = {'a.weight': torch.randn(2, 2)}
    torch.save(
        dict(
            model=weights,
            args=Namespace(lr=1e-3, more=Namespace()),
            message_hub=dict(loss=HistoryBuffer([1.0, 2.0], [1, 1])),
            best=np.float64(0.5),
            table=np.arange(3),
        ),
        tmp_path / 'full.pth',
    )
    checkpoint = read_checkpoint(tmp_path / 'full.pth')
    assert not isinstance(checkpoint['args'], Namespace)
    assert not isinstance(checkpoint['message_hub']['loss'], HistoryBuffer)
    assert torch.equal(weights_of(checkpoint, Path('x'))['a.weight'], *weights.values())
    # Only within the call: elsewhere torch refuses as before.
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'full.pth', weights_only=True)


def test_an_unknown_object_is_refused_with_a_way_out(tmp_path):
    torch.save(dict(model={}, path=Path('a')), tmp_path / 'a.pth')
    with pytest.raises(ConversionError, match='would run code.*pathlib.*--trust'):
        read_checkpoint(tmp_path / 'a.pth')


def test_weights_are_found_wherever_they_are():
    half = torch.ones(2, dtype=torch.float16)
    step = torch.tensor(3)
    for checkpoint in (
        dict(a=half, step=step),
        dict(state_dict=dict(a=half, step=step, note='x'), epoch=1),
        dict(model=dict(a=half, step=step), optimizer={}),
    ):
        weights = weights_of(checkpoint, Path('x'))
        assert {k: v.dtype for k, v in weights.items()} == {
            'a': torch.float32,
            'step': torch.int64,
        }
    with pytest.raises(ConversionError, match='x.pth holds no weights.*epoch'):
        weights_of(dict(epoch=1), Path('x.pth'))


def test_damaged_files_explain_themselves(tmp_path):
    for name in ('a.pth', 'a.safetensors'):
        (tmp_path / name).write_bytes(b'hello')
        with pytest.raises(ConversionError, match=name):
            read_checkpoint(tmp_path / name)
        with pytest.raises(FileNotFoundError):
            read_checkpoint(tmp_path / f'no-{name}')
    torch.save([torch.ones(1)], tmp_path / 'list.pth')
    with pytest.raises(ConversionError, match='holds a list'):
        read_checkpoint(tmp_path / 'list.pth')


@pytest.mark.parametrize('ending', ['pth', 'safetensors'])
def test_what_is_written_is_what_is_read(tmp_path, ending):
    pytest.importorskip('safetensors')
    table = torch.randn(6, 4)
    weights = {'a': table[:2], 'b': table.t(), 'n': torch.tensor(3)}
    file, meta = tmp_path / f'x.{ending}', dict(heads=3, eps=1e-12)
    write_weights(weights, file, meta)
    checkpoint = read_checkpoint(file)
    assert checkpoint['meta']['bridge'] == meta
    assert checkpoint['state_dict'].keys() == weights.keys()
    for name, tensor in weights.items():
        assert torch.equal(checkpoint['state_dict'][name], tensor)
    # A part of a table is written without the rest of the table.
    write_weights({'a': torch.randn(10000, 4)[:2]}, file)
    assert file.stat().st_size < 10000


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    (tmp_path / 'a.safetensors').write_bytes(b'')
    monkeypatch.setitem(sys.modules, 'safetensors', None)
    with pytest.raises(ConversionError, match=r'safetensors.*cmae-mm\[bridge\]'):
        read_checkpoint(tmp_path / 'a.safetensors')


def test_a_target_appears_only_when_it_is_finished(tmp_path):
    target = tmp_path / 'new' / 'x.pth'
    with pytest.raises(RuntimeError), finished_only(target) as place:
        place.write_text('half')
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    for text in ('one', 'two'):
        with finished_only(target) as place:
            place.write_text(text)
        assert [f.name for f in target.parent.iterdir()] == ['x.pth']
        assert target.read_text() == text


@pytest.mark.parametrize(('umask', 'mode'), [(0o022, 0o644), (0o027, 0o640)])
def test_files_get_the_permissions_of_the_umask(tmp_path, umask, mode):
    pytest.importorskip('safetensors')
    before = os.umask(umask)
    try:
        with finished_only(tmp_path / 'x.safetensors') as place:
            write_weights({'a': torch.ones(1)}, place)
        with finished_only(tmp_path / 'folder') as place:
            place.mkdir()
            write_weights({'a': torch.ones(1)}, place / 'x.safetensors')
    finally:
        os.umask(before)
    for name in ('x.safetensors', 'folder/x.safetensors'):
        assert (tmp_path / name).stat().st_mode & 0o777 == mode


def test_other_files_of_a_folder_stay(tmp_path):
    target = tmp_path / 'model'
    for text in ('one', 'two'):
        with finished_only(target) as place:
            place.mkdir()
            (place / 'config.json').write_text(text)
        (target / 'mine.txt').write_text('x')
        assert (target / 'config.json').read_text() == text
    assert (target / 'mine.txt').read_text() == 'x'
    assert [f.name for f in tmp_path.iterdir()] == ['model']
