import numpy as np
import torch

from cmae_mm.pictures import outline_instances, overlay_labels, reconstruct


def test_visible_patches_are_shown_as_they_are(build, tiny_cfg):
    tiny_cfg['data_preprocessor'] = dict(
        type='SelfSupDataPreprocessor', mean=[120.0] * 3, std=[60.0] * 3, to_rgb=True
    )
    model = build(tiny_cfg)
    views = [torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8) for _ in 'ab']
    shown = reconstruct(model, views)
    assert len(shown) == 2
    for i, pictures in enumerate(shown):
        rgb = views[0][i].numpy()[::-1].transpose(1, 2, 0)
        assert np.array_equal(pictures['input'], rgb)
        shifted = views[1][i].numpy()[::-1].transpose(1, 2, 0)
        assert np.array_equal(pictures['target view'], shifted)
        same = (pictures['masked'] == rgb).all(-1)
        assert 0.3 < same.mean() < 0.7  # half of the cells are visible
        assert np.array_equal(pictures['reconstruction'][same], rgb[same])
        assert not np.array_equal(pictures['reconstruction'][~same], rgb[~same])


def test_overlay_leaves_label_zero_clear():
    image = np.full((2, 2, 3), 100, np.uint8)
    labels = np.array([[0, 1], [0, 0]])
    palette = np.array([[0, 0, 0], [200, 0, 100]], np.uint8)
    out = overlay_labels(image, labels, palette, opacity=0.5)
    assert out[0, 1].tolist() == [150, 50, 100]
    assert (out[labels == 0] == 100).all()


def test_outlines_stay_inside_the_picture():
    image = np.zeros((8, 8, 3), np.uint8)
    mask = np.zeros((1, 8, 8), bool)
    mask[0, 2:4, 2:4] = True
    boxes = np.array([[-1.0, 1.0, 9.0, 6.0]])
    out = outline_instances(image, boxes, mask, np.array([0]), [[250, 0, 0]])
    assert out[1, 3].tolist() == [250, 0, 0]  # upper edge of the box
    assert out[3, 3].tolist() == [150, 0, 0]  # mask at 60 %
    assert not image.any()
