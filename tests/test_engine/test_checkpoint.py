import enum
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from cmae_mm.engine.checkpoint import PlainCheckpointHook, to_plain


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


def test_subclasses_of_plain_types_become_plain(tmp_path):
    class Level(enum.IntEnum):
        HIGH = 3

    config = ConfigDict(a=dict(b=1))
    plain = to_plain(dict(config=config, name=np.str_('x'), level=Level.HIGH, yes=True))
    assert plain == dict(config=dict(a=dict(b=1)), name='x', level=3, yes=True)
    torch.save(plain, tmp_path / 'plain.pth')
    assert torch.load(tmp_path / 'plain.pth', weights_only=True) == plain


def test_objects_are_refused_with_their_place():
    with pytest.raises(TypeError, match=r'checkpoint\.meta\.thing.*builtins\.object'):
        to_plain(dict(meta=dict(thing=object())))
