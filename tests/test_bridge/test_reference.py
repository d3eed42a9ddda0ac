import pytest
import torch
from mmpretrain.models import VisionTransformer

from cmae_mm.bridge.reference import RELEASED_ROLES, features
from cmae_mm.bridge.vit import Hints, measure


@pytest.mark.parametrize('pooled', [False, True])
def test_the_reference_is_a_vision_transformer(pooled, randomise):
    arch = dict(embed_dims=16, num_layers=2, num_heads=4, feedforward_channels=24)
    model = VisionTransformer(
        arch,
        img_size=(8, 12),
        patch_size=4,
        in_channels=2,
        final_norm=not pooled,
        out_type='avg_featmap' if pooled else 'raw',
    )
    weights = randomise(model).state_dict()
    size = measure(weights, Hints(heads=4, grid=(2, 3)))
    images = torch.randn(3, 2, 8, 12)
    roles = {**RELEASED_ROLES, 'last_pooled': 'ln2'}
    torch.testing.assert_close(
        features(weights, roles, size, images), model(images)[-1], rtol=0, atol=2e-6
    )
