"""Drawing: one scene in memory, with its labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .classes import CLASSES
from .painting import expose, paint_background, paint_layer
from .placement import SCENE_LAYOUT, Layout, place_layers, visible_masks

# To be raised whenever the pictures or labels of a given seed change.
GENERATOR_VERSION = '1.0'

MIN_SIZE = 32
"""Least side of a picture in pixels."""


@dataclass
class Instance:
    """One visible object.

    Args:
        class_id (int): Class id in 1..6; ``CLASSES[class_id - 1]`` is its
            name.
        mask (ndarray): Visible pixels, bool of shape (H, W).
    """

    class_id: int
    mask: np.ndarray


@dataclass
class Scene:
    """One generated picture with its labels.

    Args:
        image (ndarray): RGB picture, uint8 of shape (H, W, 3).
        label_map (ndarray): Class id of every pixel, uint8 of shape (H, W);
            0 is background, clutter included.
        instances (list[Instance]): Visible objects from back to front; their
            masks are disjoint and their union is ``label_map > 0``.
    """

    image: np.ndarray
    label_map: np.ndarray
    instances: list[Instance]


def draw_scene(
    rng: np.random.Generator,
    size: int = 96,
    class_ids: Sequence[int] | None = None,
    layout: Layout = SCENE_LAYOUT,
) -> Scene:
    """Draw one scene in memory.

    Args:
        rng (Generator): Source of all randomness.
        size (int): Side of the square picture in pixels, at least 32.
            Defaults to 96.
        class_ids (Sequence[int] | None): Class ids (1..6) of the objects, back
            to front. By default one to four random ones. Objects for which no
            room is found are left out, but there is always at least one.
        layout (Layout): Scale, place and clutter of the objects. Defaults to
            ``SCENE_LAYOUT``.

    Returns:
        Scene: The picture with its label map and visible instances.

    Raises:
        ValueError: If ``size`` is too small, or ``class_ids`` is empty or
            holds an unknown id.
    """
    if size < MIN_SIZE:
        raise ValueError(f'size must be at least {MIN_SIZE} pixels, got {size}')
    if class_ids is None:
        class_ids = rng.integers(1, len(CLASSES) + 1, int(rng.integers(1, 5))).tolist()
    if not class_ids or not all(1 <= c <= len(CLASSES) for c in class_ids):
        raise ValueError(
            f'class_ids must be one or more ids in 1..{len(CLASSES)}, '
            f'got {list(class_ids)}'
        )
    layers = place_layers(rng, size, class_ids, layout)
    canvas, avoid = paint_background(rng, size)
    for layer in layers:
        canvas = paint_layer(rng, canvas, layer, avoid)

    label_map = np.zeros((size, size), np.uint8)
    instances = []
    for layer, mask in zip(layers, visible_masks(layers), strict=True):
        if layer.class_id:
            label_map[mask] = layer.class_id
            instances.append(Instance(layer.class_id, mask))
    return Scene(expose(rng, canvas), label_map, instances)
