"""The fast pipeline against the reference pipeline, step by step and as a whole."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.registry import TRANSFORMS

from cmae_mm.datasets import FastMasterCrop, TwoViews, jpeg
from cmae_mm.datasets.colour import Colour, DrawColour, apply_colour

DATASETS = Path(__file__).parents[2] / 'configs/_base_/datasets'
COLOURLESS = dict(jitter_prob=0, grey_prob=0, blur_prob=0)


def pipeline_of(name):
    cfg = Config.fromfile(DATASETS / f'{name}.py')
    return cfg.train_dataloader.dataset.pipeline


def build(pipeline):
    return Compose([TRANSFORMS.build(step) for step in pipeline])


def reference(scale, shift_range):
    """The reference pipeline without its colours."""
    pipeline = pipeline_of('imagenet_two-views')
    pipeline[1].scale = scale
    views = pipeline[3].transforms
    views[1][0].shift_range = shift_range
    del views[1][1:]
    return build(pipeline)


def fast(scale, shift_range, name='imagenet_two-views-fast', **colour):
    """The fast pipeline, some of its colour arguments changed."""
    pipeline = pipeline_of(name)
    pipeline[0].scale = scale
    pipeline[1].shift_range = shift_range
    pipeline[1].colour.update(colour)
    return build(pipeline)


@pytest.fixture
def photo(tmp_path):
    """A JPEG file of 300x400 on disk, every colour channel different."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
    path = tmp_path / 'photo.jpg'
    img = cv2.resize(small, (400, 300), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(path), img, [cv2.IMWRITE_JPEG_QUALITY, 92])
    return str(path)


def test_recipe_is_that_of_the_reference_config():
    """The same numbers, under the names of other steps."""
    slow, (crop, views, _) = (
        pipeline_of('imagenet_two-views'),
        pipeline_of('imagenet_two-views-fast'),
    )
    (online,), (shift, _, jitter, grey, _, blur) = slow[3].transforms
    assert crop.scale == slow[1].scale
    assert tuple(crop.crop_ratio_range) == tuple(slow[1].crop_ratio_range)
    assert FastMasterCrop(scale=8).flip_prob == slow[2].prob
    assert views.size == online.size == shift.size
    assert tuple(views.shift_range) == tuple(shift.shift_range)
    factors = {k: v for k, v in jitter.transforms[0].items() if k != 'type'}
    assert dict(views.colour) == dict(
        **factors,
        jitter_prob=jitter.prob,
        grey_prob=grey.p,
        blur_prob=blur.prob,
        blur_sigma=tuple(blur.magnitude_range),
    )
    assert vars(DrawColour()) == vars(DrawColour(**views.colour)), 'the defaults'


@pytest.mark.parametrize(
    'name', ['imagenet_two-views-fast', 'imagenet_two-views-fast-gpu']
)
def test_data_loader_of_the_config(photo, name):
    """It can be built, and gives batches that the model can take."""
    loader = Config.fromfile(DATASETS / f'{name}.py').train_dataloader
    folder = Path(photo).parent
    (folder / 'other.jpg').write_bytes(Path(photo).read_bytes())
    loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    loader.pin_memory = False
    loader.dataset = dict(
        type='CustomDataset',
        data_root=str(folder),
        with_label=False,
        pipeline=loader.dataset.pipeline,
    )
    (batch,) = Runner.build_dataloader(loader, seed=0)
    assert [view.shape for view in batch['inputs']] == [(2, 3, 224, 224)] * 2
    assert {view.dtype for view in batch['inputs']} == {torch.uint8}
    drawn = [sample.get('colour') is not None for sample in batch['data_samples']]
    assert drawn == [name.endswith('gpu')] * 2


@pytest.mark.parametrize(
    ('scale', 'shift_range'),
    [(256, (0, 32)), (255, (0, 31))],
    ids=['released', 'paper'],
)
def test_same_seed_same_views(photo, scale, shift_range):
    """Crop, flip and shift are drawn alike, and pixels differ by a few levels."""
    slow = reference(scale, shift_range)
    quick = fast(scale, shift_range, **COLOURLESS)
    for seed in range(12):
        np.random.seed(seed)
        theirs = slow(dict(img_path=photo))['inputs']
        np.random.seed(seed)
        ours = quick(dict(img_path=photo))['inputs']
        for a, b in zip(ours, theirs, strict=True):
            assert a.shape == b.shape == (3, 224, 224)
            assert a.dtype == b.dtype == torch.uint8
            difference = (a.int() - b.int()).abs()
            assert difference.float().mean() < 0.1 and difference.max() <= 20


def test_without_simplejpeg_the_views_are_the_same(photo, monkeypatch):
    quick = fast(255, (0, 31))
    views = []
    for _ in range(2):
        np.random.seed(3)
        views.append(quick(dict(img_path=photo))['inputs'])
        monkeypatch.setattr(jpeg, 'simplejpeg', None)
    assert all(torch.equal(a, b) for a, b in zip(*views, strict=True))


def test_colour_changes_the_target_only(photo):
    plain = fast(255, (0, 31), **COLOURLESS)
    coloured = fast(255, (0, 31), jitter_prob=1, grey_prob=1, blur_prob=1)
    views = []
    for pipeline in (plain, coloured):
        np.random.seed(0)
        views.append(pipeline(dict(img_path=photo))['inputs'])
    assert torch.equal(views[0][0], views[1][0])
    grey = views[1][1]
    assert not torch.equal(views[0][1], grey)
    assert torch.equal(grey[0], grey[2])


def test_device_gets_the_uncoloured_view_and_what_was_drawn(photo):
    """Drawn in the worker, the colours are those it would have applied."""
    np.random.seed(5)
    here = fast(255, (0, 31))(dict(img_path=photo))['inputs'][1]
    np.random.seed(5)
    packed = fast(255, (0, 31), 'imagenet_two-views-fast-gpu')(dict(img_path=photo))
    target, colour = packed['inputs'][1], packed['data_samples'].colour
    assert not torch.equal(here, target)
    coloured = apply_colour(target.permute(1, 2, 0).contiguous().numpy(), colour)
    assert np.array_equal(coloured, here.permute(1, 2, 0).numpy())


def test_colour_none_leaves_the_shifted_master(photo):
    np.random.seed(1)
    master = FastMasterCrop(scale=255)(dict(img_path=photo))
    views = TwoViews(size=224, colour=None)(dict(master))
    down, right = views['pixel_shift']
    expected = torch.from_numpy(master['img']).permute(2, 0, 1)
    assert torch.equal(views['img'][0], expected[:, :224, :224])
    shifted = expected[:, down : down + 224, right : right + 224]
    assert torch.equal(views['img'][1], shifted)
    assert 'colour' not in views


def test_colours_come_in_the_order_drawn():
    img = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    values = dict(brightness=1.4, contrast=0.6, saturation=1.3, hue=0.1)
    orders = [(0, 1, 2, 3), (3, 2, 1, 0)]
    first, last = (apply_colour(img, Colour(order, **values)) for order in orders)
    assert not np.array_equal(first, last)
    one_by_one = img
    for name in ('hue', 'saturation', 'contrast', 'brightness'):
        one_by_one = apply_colour(one_by_one, Colour(**{name: values[name]}))
    assert np.array_equal(last, one_by_one)
    assert np.array_equal(apply_colour(img, Colour()), img)


def test_draws_have_the_probabilities_of_the_recipe():
    np.random.seed(0)
    drawn = [DrawColour().draw() for _ in range(4000)]
    jittered = [c for c in drawn if c.brightness != 1]
    blurred = [c.sigma for c in drawn if c.sigma]
    assert len(jittered) / 4000 == pytest.approx(0.8, abs=0.02)
    assert sum(c.grey for c in drawn) / 4000 == pytest.approx(0.2, abs=0.02)
    assert len(blurred) / 4000 == pytest.approx(0.5, abs=0.025)
    assert len({c.order for c in jittered}) == 24
    for name, low, high in (
        ('brightness', 0.6, 1.4),
        ('contrast', 0.6, 1.4),
        ('saturation', 0.6, 1.4),
        ('hue', -0.1, 0.1),
    ):
        values = [getattr(c, name) for c in jittered]
        span = high - low
        assert low <= min(values) < low + 0.01 * span
        assert high - 0.01 * span < max(values) <= high
        assert np.mean(values) == pytest.approx((low + high) / 2, abs=0.02 * span)
    assert 0.1 <= min(blurred) < 0.12 and 1.98 < max(blurred) <= 2


def test_broken_file_names_itself(tmp_path):
    path = tmp_path / 'broken.jpg'
    path.write_bytes(b'\xff\xd8 nothing more')
    with pytest.raises(ValueError, match='broken.jpg cannot be read'):
        FastMasterCrop(scale=32)(dict(img_path=str(path)))


def test_too_small_a_master_explains_itself(photo):
    with pytest.raises(ValueError, match='240x240'):
        fast(240, (0, 31))(dict(img_path=photo))


def test_impossible_arguments_explain_themselves():
    with pytest.raises(ValueError, match='colour_on'):
        TwoViews(size=8, colour_on='gpu')
    with pytest.raises(ValueError, match='hue=0.6'):
        TwoViews(size=8, colour=dict(hue=0.6))
    with pytest.raises(ValueError, match='blur_sigma'):
        DrawColour(blur_sigma=(2, 1))
