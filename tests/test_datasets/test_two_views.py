"""The reference pipeline of the two views, as a whole."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config

CONFIGS = Path(__file__).parents[2] / 'configs'


def two_views(preset, **colour):
    """The reference pipeline of a preset; probabilities of the colour steps given."""
    cfg = Config.fromfile(CONFIGS / f'_base_/presets/{preset}.py')
    pipeline = cfg.reference_pipeline
    target = pipeline[3].transforms[1]
    if colour:
        target[2].prob = colour['jitter']
        target[3].p = colour['grey']
        target[5].prob = colour['blur']
    from mmpretrain.registry import TRANSFORMS

    return Compose([TRANSFORMS.build(step) for step in pipeline])


@pytest.fixture
def photo(tmp_path):
    """A 300x400 picture on disk, every colour channel different."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
    path = tmp_path / 'photo.png'
    cv2.imwrite(str(path), cv2.resize(small, (400, 300), interpolation=cv2.INTER_CUBIC))
    return str(path)


@pytest.mark.parametrize(('preset', 'largest'), [('released', 31), ('paper', 30)])
def test_views_overlap_by_the_shift(preset, largest, photo):
    """Without colour, one view is the other moved by up to the range's end."""
    pipeline = two_views(preset, jitter=0, grey=0, blur=0)
    seen = set()
    for seed in range(12):
        np.random.seed(seed)
        view, shifted = pipeline(dict(img_path=photo))['inputs']
        assert view.shape == shifted.shape == (3, 224, 224)
        offsets = [
            (down, right)
            for down in range(largest + 1)
            for right in range(largest + 1)
            if torch.equal(
                view[:, down : down + 9, right : right + 9], shifted[:, :9, :9]
            )
            and torch.equal(
                view[:, down:, right:], shifted[:, : 224 - down, : 224 - right]
            )
        ]
        assert len(offsets) == 1, 'same master crop, same flip, within the range'
        seen.update(offsets)
    assert len(seen) > 6


def test_colour_changes_the_target_only(photo):
    """The online view is the same with and without colour augmentation."""
    plain, coloured = (two_views('paper', jitter=p, grey=p, blur=p) for p in (0.0, 1.0))
    np.random.seed(0)
    view, shifted = plain(dict(img_path=photo))['inputs']
    np.random.seed(0)
    torch.manual_seed(0)
    same_view, other_shifted = coloured(dict(img_path=photo))['inputs']
    assert torch.equal(view, same_view)
    assert not torch.equal(shifted, other_shifted)


def test_grey_uses_rgb_weights(tmp_path):
    """A pure red picture becomes 0.299 * 255, as in RGB; BGR would give 0.114."""
    red = np.zeros((300, 300, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes BGR
    path = str(tmp_path / 'red.png')
    cv2.imwrite(path, red)
    view, grey = two_views('paper', jitter=0, grey=1, blur=0)(dict(img_path=path))[
        'inputs'
    ]
    assert view[:, 0, 0].tolist() == [0, 0, 255]  # still BGR before the model
    assert grey.float().mean().item() == pytest.approx(0.299 * 255, abs=1)


def test_the_network_sees_rgb(build, tiny_cfg):
    """The preprocessor turns the BGR of the pipeline into normalised RGB."""
    cfg = Config.fromfile(CONFIGS / '_base_/models/cmae_vit-base-p16.py')
    tiny_cfg['data_preprocessor'] = cfg.model.data_preprocessor
    model = build(tiny_cfg)
    bgr = torch.tensor([10, 100, 200], dtype=torch.uint8).view(1, 3, 1, 1)
    out = model.data_preprocessor(
        dict(inputs=[bgr.expand(1, 3, 16, 16)] * 2, data_samples=None)
    )['inputs'][0]
    rgb = (
        torch.tensor([200.0, 100.0, 10.0]) - torch.tensor([123.675, 116.28, 103.53])
    ) / torch.tensor([58.395, 57.12, 57.375])
    torch.testing.assert_close(out[0, :, 0, 0], rgb)


def test_hue_survives_numpy_2(photo):
    """mmcv 2.1's own hue overflows there on every negative draw."""
    pipeline = two_views('released', jitter=1, grey=0, blur=0)
    for seed in range(10):
        torch.manual_seed(seed)
        pipeline(dict(img_path=photo))


def test_too_small_a_master_crop_explains_itself(photo):
    cfg = Config.fromfile(CONFIGS / '_base_/presets/paper.py')
    pipeline = cfg.reference_pipeline
    pipeline[1].scale = 240
    from mmpretrain.registry import TRANSFORMS

    with pytest.raises(ValueError, match='240x240'):
        Compose([TRANSFORMS.build(step) for step in pipeline])(dict(img_path=photo))
