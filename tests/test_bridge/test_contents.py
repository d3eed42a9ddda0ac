"""What a file is told to hold, for files of all origins."""

import os
from argparse import Namespace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version

from cmae_mm.bridge.contents import look_into


class Bomb:
    """Leaves a folder behind when a pickle of it is loaded."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


@pytest.fixture
def training(tiny_cfg, build, tmp_path):
    """A training checkpoint of a toy CMAE."""
    content = dict(
        meta=dict(epoch=3, iter=60, time='20260101_000000', versions=dict(torch='2')),
        state_dict=build(tiny_cfg).state_dict(),
        optimizer={},
        message_hub={},
    )
    torch.save(content, tmp_path / 'epoch_3.pth')
    return tmp_path / 'epoch_3.pth', content


def test_a_training_checkpoint(training):
    path, content = training
    found = look_into(path)
    assert found.kind == 'training checkpoint, CMAE of cmae_mm'
    assert found.sound and found.obstacle is None
    assert found.size == path.stat().st_size
    assert found.facts['epoch'] == 3 and found.facts['torch'] == '2'
    weights = content['state_dict']
    assert sum(part.numbers for part in found.parts.values()) == sum(
        tensor.numel() for tensor in weights.values()
    )
    backbone = [v for k, v in weights.items() if k.startswith('backbone.')]
    assert found.parts['backbone'].tensors == len(backbone)
    assert found.parts['backbone'].dtypes == {'float32'}


@pytest.mark.parametrize(
    ('source', 'kind'),
    [
        ('mae', 'weights only, MAE of facebookresearch/mae'),
        ('timm', 'weights only, ViT of timm, or MAE without its decoder'),
        ('cmae-released', "weights only, CMAE in its authors' format"),
    ],
)
def test_weights_of_others(make_source, source, kind):
    found = look_into(make_source(source))
    assert found.kind == kind and found.sound
    assert 'no optimizer' in found.obstacle


def test_safetensors(tmp_path):
    library = pytest.importorskip('safetensors.torch')
    weights = {
        'patch_embed.projection.weight': torch.ones(2),
        'layers.0.a': torch.ones(1),
    }
    library.save_file(weights, tmp_path / 'a.safetensors')
    found = look_into(tmp_path / 'a.safetensors')
    assert found.kind.endswith('a backbone alone, safetensors') and found.sound
    (tmp_path / 'b.safetensors').write_bytes(b'no')
    assert not look_into(tmp_path / 'b.safetensors').sound


@pytest.mark.skipif(
    not hasattr(torch.serialization, 'safe_globals'), reason='torch is too old for it'
)
def test_known_objects_beside_the_weights_are_read_over(make_source, training):
    """They are named; what they stand for is not looked up."""
    path = make_source('mae')
    content = torch.load(path, weights_only=True)
    torch.save(content | dict(args=Namespace(lr=1)), path)
    found = look_into(path)
    assert found.unsafe == ['argparse.Namespace'] and not found.sound
    assert found.parts['blocks'].tensors > 0
    path, content = training
    torch.save(content | dict(log=HistoryBuffer([1.0], [1])), path)
    found = look_into(path)
    assert found.kind.startswith('training checkpoint') and found.facts['epoch'] == 3
    assert '--from mmengine --trust' in found.obstacle


def test_code_is_named_and_not_run(tmp_path):
    marker = tmp_path / 'it-ran'
    torch.save(dict(state_dict=Bomb(marker)), tmp_path / 'bad.pth')
    found = look_into(tmp_path / 'bad.pth')
    assert found.kind == 'pickle with code' and not found.sound
    assert found.unsafe == ['posix.mkdir']
    assert not marker.exists()


FLOAT8 = pytest.param(
    torch.float8_e4m3fn,
    marks=pytest.mark.skipif(
        digit_version(torch.__version__) < digit_version('2.2.0'),
        reason='torch 2.1 cannot save float8',
    ),
)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, FLOAT8])
def test_weights_that_are_not_finite(tmp_path, dtype):
    weights = {'a.b': torch.tensor([1, float('nan')]).to(dtype), 'c': torch.ones(2)}
    torch.save(weights, tmp_path / 'a.pth')
    found = look_into(tmp_path / 'a.pth')
    assert found.not_finite == ['a.b'] and not found.sound
    assert found.kind == 'weights only, of an unknown network'


def test_a_damaged_file_and_a_missing_one(training):
    path, _ = training
    path.write_bytes(path.read_bytes()[:1000])
    found = look_into(path)
    assert found.kind == 'damaged, or no checkpoint' and '1000 bytes' in found.damage
    assert found.obstacle and not found.sound
    with pytest.raises(FileNotFoundError, match='nothing.pth'):
        look_into('nothing.pth')


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(['meta', 'state_dict', 'model', 'epoch', 'versions', 'a']),
            inner,
            max_size=4,
        )
    ),
)


@given(PLAIN)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_content_will_do(tmp_path, content):
    torch.save(content, tmp_path / 'a.pth')
    found = look_into(tmp_path / 'a.pth')
    assert found.obstacle and not found.unsafe
