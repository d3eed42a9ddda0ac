import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.models import SelfSupDataPreprocessor

from cmae_mm.models import MultibandDataPreprocessor

MEAN, STD = [1.0, 20.0, 300.0, 4000.0, 0.5], [2.0, 3.0, 50.0, 1000.0, 0.25]


def batch(channels, dtype, views=None):
    images = (torch.rand(2, channels, 4, 6) * 200).to(dtype)
    inputs = images if views is None else [images + view for view in range(views)]
    return dict(inputs=inputs, data_samples=None)


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int16, torch.float32])
def test_each_channel_gets_its_own_mean_and_std(dtype):
    data = batch(5, dtype)
    out = MultibandDataPreprocessor(MEAN, STD)(data)['inputs']
    assert out.dtype == torch.float32
    for channel in range(5):
        expected = (data['inputs'][:, channel].float() - MEAN[channel]) / STD[channel]
        torch.testing.assert_close(out[:, channel], expected)


def test_views_are_normalised_alike():
    data = batch(5, torch.float32, views=2)
    out = MultibandDataPreprocessor(MEAN, STD)(data)['inputs']
    assert len(out) == 2
    single = MultibandDataPreprocessor(MEAN, STD)
    for view, image in zip(out, data['inputs'], strict=True):
        alone = single(dict(inputs=image, data_samples=None))['inputs']
        torch.testing.assert_close(view, alone)


@pytest.mark.parametrize('channels', [1, 3])
def test_equals_the_stock_one_where_that_one_can_do_it(channels):
    mean, std = MEAN[:channels], STD[:channels]
    stock = SelfSupDataPreprocessor(mean=mean, std=std)
    ours = MultibandDataPreprocessor(mean, std)
    data = batch(channels, torch.uint8, views=2)
    for mine, theirs in zip(ours(data)['inputs'], stock(data)['inputs'], strict=True):
        assert torch.equal(mine, theirs)
    with pytest.raises(AssertionError):
        SelfSupDataPreprocessor(mean=MEAN, std=STD)  # why there is one of ours


def test_another_number_of_channels_explains_itself():
    with pytest.raises(ValueError, match='Images of 3 channels .* 5 entries'):
        MultibandDataPreprocessor(MEAN, STD)(batch(3, torch.uint8))


@pytest.mark.parametrize(
    ('mean', 'std'),
    [
        (MEAN, STD[:4]),
        ([], []),
        ([1.0], [0.0]),
        ([1.0], [-1.0]),
        ([float('nan')], [1.0]),
        ([1.0, 1.0], [1.0, float('nan')]),
        ([1.0, 1.0], [float('nan'), 1.0]),
        ([1.0], [float('inf')]),
    ],
)
def test_impossible_numbers_explain_themselves(mean, std):
    with pytest.raises(ValueError, match='one entry per channel'):
        MultibandDataPreprocessor(mean, std)


def test_registered_and_without_a_trace_in_checkpoints():
    module = MODELS.build(
        dict(type='cmae_mm.MultibandDataPreprocessor', mean=MEAN, std=STD)
    )
    assert module.state_dict() == {}
    assert module.to(torch.float64).mean.dtype == torch.float64  # moves with the model
