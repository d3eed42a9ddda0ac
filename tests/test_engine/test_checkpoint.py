import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from cmae_mm.engine.checkpoint import (
    PlainCheckpointHook,
    load_checkpoint_file,
    to_plain,
)


class Bomb:
    """Leaves a file behind when a pickle of it is loaded."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return Path.touch, (self.place,)


def test_history_buffers_survive_the_round_trip(tmp_path):
    buffer = HistoryBuffer([1.5, 2.5], [1, 2], max_length=7)
    checkpoint = dict(message_hub=dict(log_scalars={'train/loss': buffer}))
    hook = PlainCheckpointHook()
    hook.before_save_checkpoint(None, checkpoint)
    torch.save(checkpoint, tmp_path / 'a.pth')
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))
    hook.after_load_checkpoint(None, loaded)
    back = loaded['message_hub']['log_scalars']['train/loss']
    assert isinstance(back, HistoryBuffer)
    for mine, theirs in zip(back.data, buffer.data, strict=True):
        assert np.array_equal(mine, theirs)
    assert back.max_length == 7
    back.update(3.5)
    assert back.mean() == pytest.approx((1.5 + 2.5 + 3.5) / 4)


def test_plain_values_stay_what_they_are():
    weights = OrderedDict(a=torch.ones(2))
    value = dict(weights=weights, text='x', number=1, none=None, pair=(1, [2.5, True]))
    plain = to_plain(dict(value))
    assert plain == value
    assert isinstance(plain['weights'], OrderedDict)


def test_numpy_becomes_python():
    plain = to_plain(dict(a=np.float64(1.5), b=np.arange(3), c=np.int32(2)))
    assert plain == dict(a=1.5, b=[0, 1, 2], c=2)
    assert type(plain['a']) is float


def test_objects_are_refused_with_their_place():
    with pytest.raises(TypeError, match=r'checkpoint\.meta\.thing.*Bomb'):
        to_plain(dict(meta=dict(thing=Bomb(None))))


def test_code_in_a_file_is_not_run(tmp_path):
    marker = tmp_path / 'it-ran'
    torch.save(dict(state_dict=Bomb(marker)), tmp_path / 'bad.pth')
    with pytest.raises(RuntimeError, match='would run code'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'bad.pth'))
    assert not marker.exists()
    with open(tmp_path / 'bad.pth', 'wb') as file:
        pickle.dump(Bomb(marker), file)
    with pytest.raises(RuntimeError):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'bad.pth'))
    assert not marker.exists()


def test_a_stock_file_says_how_to_write_a_better_one(tmp_path):
    torch.save(dict(log=HistoryBuffer([1.0], [1])), tmp_path / 'stock.pth')
    with pytest.raises(RuntimeError, match='cmae_mm.PlainCheckpointHook'):
        load_checkpoint_file(str(tmp_path / 'stock.pth'))


def test_missing_and_broken_files_explain_themselves(tmp_path):
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        load_checkpoint_file(str(tmp_path / 'nothing.pth'))
    torch.save(dict(a=torch.ones(1000)), tmp_path / 'whole.pth')
    whole = (tmp_path / 'whole.pth').read_bytes()
    (tmp_path / 'cut.pth').write_bytes(whole[:1000])
    (tmp_path / 'empty.pth').write_bytes(b'')
    (tmp_path / 'text.pth').write_text('hello')
    for name in ('cut.pth', 'empty.pth', 'text.pth'):
        with pytest.raises(RuntimeError, match=name):
            load_checkpoint_file(str(tmp_path / name))
