"""Placement: the geometry of a scene, settled before any colour is drawn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .classes import CLASSES
from .shapes import SHAPES, clutter_shape, rasterise

# Visible pixels that every object has at least.
_MIN_PIXELS = 30
_PLACEMENT_TRIES = 40


@dataclass(frozen=True)
class Layout:
    """How objects and clutter are laid out in a scene.

    Args:
        radius (tuple[float, float]): Smallest and largest object radius, as
            fractions of the picture size.
        margin (float): Least distance of an object centre from the picture
            border, as a fraction of the picture size.
        min_visible (float): Fraction of each object's full area, in [0, 1],
            that has to stay visible after occlusion and cropping.
        clutter_behind (int): Largest number of classless things behind the
            objects.
        clutter_front (int): Largest number of classless things before them.
    """

    radius: tuple[float, float]
    margin: float
    min_visible: float
    clutter_behind: int
    clutter_front: int


SCENE_LAYOUT = Layout((0.18, 0.36), 0.15, 0.30, 1, 1)
"""Layout of the ``scenes`` subset: small, overlapping objects."""

SINGLE_LAYOUT = Layout((0.28, 0.44), 0.40, 0.75, 1, 1)
"""Layout of the ``classification`` subset: one big, mostly visible object."""


@dataclass
class Layer:
    """A thing placed in a picture.

    Args:
        class_id (int): Class id in 1..6; 0 is clutter.
        alpha (ndarray): Coverage in [0, 1], float32 of shape (H, W).
        full_area (int): Its pixels before the picture border cuts it.
    """

    class_id: int
    alpha: np.ndarray
    full_area: int

    @property
    def solid(self) -> np.ndarray:
        """Pixels that it covers, bool of shape (H, W)."""
        return self.alpha >= 0.5


def _random_transform(rng: np.random.Generator, radius: float) -> np.ndarray:
    """Rotation of a mildly stretched and sheared shape, of shape (2, 2)."""
    angle = rng.uniform(0, 2 * np.pi)
    stretch = math.exp(rng.uniform(-0.13, 0.13))
    shear = rng.uniform(-0.12, 0.12)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    return radius * turn @ np.array([[stretch, shear], [0, 1 / stretch]])


def _random_layer(
    rng: np.random.Generator, size: int, class_id: int, layout: Layout
) -> Layer:
    if class_id:
        inside, factor = SHAPES[CLASSES[class_id - 1]]
        margin = layout.margin
        scale = math.exp(rng.uniform(*np.log(layout.radius)))
    else:
        inside, factor, margin = clutter_shape(rng), 1.0, 0.0
        scale = rng.uniform(0.10, 0.26)
    centre = rng.uniform(margin, 1 - margin, 2) * size
    transform = _random_transform(rng, scale * factor * size)
    alpha, full_area = rasterise(inside, centre, transform, size)
    return Layer(class_id, alpha, full_area)


def visible_masks(layers: Sequence[Layer]) -> list[np.ndarray]:
    """Pixels of each layer, back to front, that no later layer covers."""
    covered = np.zeros(layers[0].alpha.shape, bool)
    masks = []
    for layer in reversed(layers):
        solid = layer.solid
        masks.append(solid & ~covered)
        covered |= solid
    return masks[::-1]


def _all_visible(layers: Sequence[Layer], min_visible: float) -> bool:
    """Whether enough can be seen of every object; clutter does not matter."""
    return all(
        mask.sum() >= max(_MIN_PIXELS, min_visible * layer.full_area)
        for layer, mask in zip(layers, visible_masks(layers), strict=True)
        if layer.class_id
    )


def place_layers(
    rng: np.random.Generator,
    size: int,
    class_ids: Sequence[int],
    layout: Layout,
) -> list[Layer]:
    """Place clutter and objects, back to front, so that all can be seen.

    A thing that would hide an earlier object, or be hidden by the border, is
    moved; one that finds no room is left out, but one object always stays.

    Args:
        rng (Generator): Source of all randomness.
        size (int): Picture side S in pixels.
        class_ids (Sequence[int]): Class ids (1..6) of the objects.
        layout (Layout): Scale, place and clutter of the objects.

    Returns:
        list[Layer]: From back to front.

    Raises:
        RuntimeError: If no object at all finds room, for too strict a layout.
    """
    behind = int(rng.integers(layout.clutter_behind + 1))
    front = int(rng.integers(layout.clutter_front + 1))
    layers: list[Layer] = []
    for class_id in [0] * behind + list(class_ids) + [0] * front:
        for _ in range(_PLACEMENT_TRIES):
            trial = [*layers, _random_layer(rng, size, class_id, layout)]
            if _all_visible(trial, layout.min_visible):
                layers = trial
                break
    if not any(layer.class_id for layer in layers):
        raise RuntimeError(f'no object could be placed with {layout}')
    return layers
