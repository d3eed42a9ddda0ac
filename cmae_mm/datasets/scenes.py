# Copyright (c) CMAE-MM contributors. Licensed under Apache-2.0.
"""``scenes``: a small, generated, licence-free data set of labelled shapes.

Every picture is computed from a seed: objects of eight shape classes lie on
procedurally textured backgrounds, under varying light, scale, rotation and
occlusion. Colours are drawn independently of the class. As with real things,
the outline tells what an object is, and so does its surface, most of the time:
four of five objects wear the pattern their class is known for, in any colour and
at any angle.

Two subsets are written, each with a ``train`` and a ``val`` split:

.. code-block:: text

    OUT
    ├── classification              one main object per picture
    │   ├── train/<class>/000000.jpg
    │   └── val/<class>/000000.jpg
    ├── scenes                      one to five objects per picture
    │   ├── images/{train,val}/000000.jpg
    │   ├── labels/{train,val}/000000.png       0 background, 1..8 classes
    │   └── annotations/instances_{train,val}.json              COCO format
    └── meta.json                   parameters, counts, fingerprint

The module needs numpy, OpenCV and Pillow only.
"""

from __future__ import annotations

import colorsys
import hashlib
import json
import math
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

__all__ = [
    'CLASSES',
    'GENERATOR_VERSION',
    'MIN_SIZE',
    'PALETTE',
    'SCENE_LAYOUT',
    'SINGLE_LAYOUT',
    'Instance',
    'Layout',
    'Scene',
    'draw_scene',
    'generate_scenes',
    'mask_to_polygons',
    'measure_shortcuts',
]

CLASSES: tuple[str, ...] = (
    'triangle',
    'square',
    'hexagon',
    'disc',
    'star',
    'cross',
    'ring',
    'crescent',
)
"""Class names. The class id of ``CLASSES[i]`` is ``i + 1``; 0 is background."""

PALETTE: tuple[tuple[int, int, int], ...] = (
    (0, 0, 0),
    (230, 97, 1),
    (94, 60, 153),
    (27, 158, 119),
    (55, 126, 184),
    (240, 200, 40),
    (228, 26, 88),
    (102, 194, 230),
    (166, 118, 60),
)
"""RGB display colours of the background and of the eight classes."""

# To be raised whenever the pictures or labels of a given seed change.
GENERATOR_VERSION = '1.0'

MIN_SIZE = 32

_SUBSETS = ('classification', 'scenes')
_SPLITS = ('train', 'val')
_MIN_PIXELS = 30
_PLACEMENT_TRIES = 40
_SUPERSAMPLING = 3
_JPEG_QUALITY = 92
_CHUNK = 32

Array = np.ndarray
ShapeTest = Callable[[Array, Array], Array]
TextureField = Callable[[np.random.Generator, Array, Array], Array]


@dataclass(frozen=True)
class Layout:
    """How objects and clutter are laid out in a scene.

    Args:
        radius: Smallest and largest object radius, as fractions of the
            picture size.
        margin: Least distance of an object centre from the picture border,
            as a fraction of the picture size.
        min_visible: Fraction of each object's full area, in [0, 1], that has
            to stay visible after occlusion and cropping.
        clutter_behind: Largest number of classless things behind the objects.
        clutter_front: Largest number of classless things before them.
    """

    radius: tuple[float, float]
    margin: float
    min_visible: float
    clutter_behind: int
    clutter_front: int


SCENE_LAYOUT = Layout((0.11, 0.27), 0.10, 0.25, 2, 1)
"""Layout of the ``scenes`` subset: small, overlapping objects."""

SINGLE_LAYOUT = Layout((0.28, 0.44), 0.40, 0.75, 1, 1)
"""Layout of the ``classification`` subset: one big, mostly visible object."""


@dataclass
class Instance:
    """One visible object.

    Args:
        class_id: Class id in 1..8; ``CLASSES[class_id - 1]`` is its name.
        mask: Visible pixels, bool array of shape (H, W).
    """

    class_id: int
    mask: Array


@dataclass
class Scene:
    """One generated picture with its labels.

    Args:
        image: RGB picture, uint8 array of shape (H, W, 3).
        label_map: Class id of every pixel, uint8 array of shape (H, W);
            0 is background, clutter included.
        instances: Visible objects from back to front; their masks are
            disjoint and their union is ``label_map > 0``.
    """

    image: Array
    label_map: Array
    instances: list[Instance]


@dataclass
class _Layer:
    """A thing placed in a picture: class id (0 is clutter) and coverage.

    ``alpha`` is float32 of shape (H, W) in [0, 1]; ``full_area`` counts its
    pixels before the picture border cuts it.
    """

    class_id: int
    alpha: Array
    full_area: int

    @property
    def solid(self) -> Array:
        return self.alpha >= 0.5


# --------------------------------------------------------------------------
# Shapes: tests of local coordinates (u, v), circumscribed radius about one.


def _regular_polygon(corners: int) -> ShapeTest:
    angles = 2 * np.pi * np.arange(corners) / corners
    limit = math.cos(math.pi / corners)

    def inside(u: Array, v: Array) -> Array:
        result = np.ones(u.shape, bool)
        for angle in angles:
            result &= u * math.cos(angle) + v * math.sin(angle) <= limit
        return result

    return inside


def _disc(u: Array, v: Array) -> Array:
    return u * u + v * v <= 1


def _star(u: Array, v: Array, inner: float = 0.42) -> Array:
    """Five-pointed star; the plane is folded into half of one point."""
    sector = 2 * np.pi / 5
    angle = np.abs((np.arctan2(v, u) + sector / 2) % sector - sector / 2)
    radius = np.hypot(u, v)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    notch_x = inner * math.cos(sector / 2)
    notch_y = inner * math.sin(sector / 2)
    return (notch_x - 1) * y - notch_y * (x - 1) >= 0


def _cross(u: Array, v: Array, arm: float = 0.33) -> Array:
    u, v = np.abs(u), np.abs(v)
    return (np.minimum(u, v) <= arm) & (np.maximum(u, v) <= 1)


def _ring(u: Array, v: Array) -> Array:
    square = u * u + v * v
    return (square <= 1) & (square >= 0.56**2)


def _crescent(u: Array, v: Array) -> Array:
    # Moved back along u, so that its bulk lies around the placement centre.
    u = u - 0.35
    return _disc(u, v) & ((u - 0.55) ** 2 + v * v >= 0.80**2)


# The factors bring the areas closer together: area must not give the class.
_SHAPES: dict[str, tuple[ShapeTest, float]] = {
    'triangle': (_regular_polygon(3), 1.20),
    'square': (_regular_polygon(4), 1.05),
    'hexagon': (_regular_polygon(6), 0.96),
    'disc': (_disc, 0.90),
    'star': (_star, 1.24),
    'cross': (_cross, 0.98),
    'ring': (_ring, 1.00),
    'crescent': (_crescent, 1.12),
}


def _clutter_shape(rng: np.random.Generator) -> ShapeTest:
    """A shape of no class: a plain bar or a ragged blob."""
    if rng.random() < 0.5:
        width = rng.uniform(0.10, 0.22)
        return lambda u, v: (np.abs(u) <= 1) & (np.abs(v) <= width)
    orders = np.arange(2, 6)
    sizes = rng.uniform(0.10, 0.26, len(orders))
    phases = rng.uniform(0, 2 * np.pi, len(orders))

    def inside(u: Array, v: Array) -> Array:
        angle = np.arctan2(v, u)
        limit = np.full(u.shape, 0.62)
        for order, size, phase in zip(orders, sizes, phases, strict=True):
            limit += 0.6 * size * np.cos(order * angle + phase)
        return np.hypot(u, v) <= limit

    return inside


# --------------------------------------------------------------------------
# Placement: geometry is settled before any colour is drawn.


def _rasterise(
    inside: ShapeTest, centre: Array, transform: Array, size: int
) -> tuple[Array, int]:
    """Draw a shape with anti-aliasing.

    Args:
        inside: Test of local coordinates.
        centre: Centre (x, y) in pixels, float array of shape (2,).
        transform: Local to pixel offsets, float array of shape (2, 2).
        size: Picture side S in pixels.

    Returns:
        Coverage in [0, 1], float32 array of shape (S, S), and the area in
        pixels before cropping.
    """
    reach = 1.45 * float(np.linalg.norm(transform, 2))
    first = np.floor(centre - reach).astype(int)
    count = int(math.ceil(2 * reach)) + 2
    steps = (np.arange(count * _SUPERSAMPLING) + 0.5) / _SUPERSAMPLING
    offset_x = (steps + first[0] - centre[0])[None, :]
    offset_y = (steps + first[1] - centre[1])[:, None]
    inverse = np.linalg.inv(transform)
    hits = inside(
        inverse[0, 0] * offset_x + inverse[0, 1] * offset_y,
        inverse[1, 0] * offset_x + inverse[1, 1] * offset_y,
    )
    blocks = hits.reshape(count, _SUPERSAMPLING, count, _SUPERSAMPLING)
    window = blocks.mean(axis=(1, 3), dtype=np.float32)
    alpha = np.zeros((size, size), np.float32)
    low = np.clip(first, 0, size)
    high = np.clip(first + count, 0, size)
    alpha[low[1] : high[1], low[0] : high[0]] = window[
        low[1] - first[1] : high[1] - first[1],
        low[0] - first[0] : high[0] - first[0],
    ]
    return alpha, int((window >= 0.5).sum())


def _random_transform(rng: np.random.Generator, radius: float) -> Array:
    """Rotation of a mildly stretched and sheared shape, of shape (2, 2)."""
    angle = rng.uniform(0, 2 * np.pi)
    stretch = math.exp(rng.uniform(-0.13, 0.13))
    shear = rng.uniform(-0.12, 0.12)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    return radius * turn @ np.array([[stretch, shear], [0, 1 / stretch]])


def _random_layer(
    rng: np.random.Generator, size: int, class_id: int, layout: Layout
) -> _Layer:
    if class_id:
        inside, factor = _SHAPES[CLASSES[class_id - 1]]
        margin = layout.margin
        scale = math.exp(rng.uniform(*np.log(layout.radius)))
    else:
        inside, factor, margin = _clutter_shape(rng), 1.0, 0.0
        scale = rng.uniform(0.10, 0.26)
    centre = rng.uniform(margin, 1 - margin, 2) * size
    transform = _random_transform(rng, scale * factor * size)
    alpha, full_area = _rasterise(inside, centre, transform, size)
    return _Layer(class_id, alpha, full_area)


def _visible_masks(layers: Sequence[_Layer]) -> list[Array]:
    """Pixels of each layer, back to front, that no later layer covers."""
    covered = np.zeros(layers[0].alpha.shape, bool)
    masks = []
    for layer in reversed(layers):
        solid = layer.solid
        masks.append(solid & ~covered)
        covered |= solid
    return masks[::-1]


def _all_visible(layers: Sequence[_Layer], min_visible: float) -> bool:
    """Whether enough can be seen of every object; clutter does not matter."""
    return all(
        mask.sum() >= max(_MIN_PIXELS, min_visible * layer.full_area)
        for layer, mask in zip(layers, _visible_masks(layers), strict=True)
        if layer.class_id
    )


def _place_layers(
    rng: np.random.Generator,
    size: int,
    class_ids: Sequence[int],
    layout: Layout,
) -> list[_Layer]:
    """Place clutter and objects, back to front, so that all can be seen.

    A thing that would hide an earlier object, or be hidden by the border, is
    moved; one that finds no room is left out, never the first object.
    """
    behind = int(rng.integers(layout.clutter_behind + 1))
    front = int(rng.integers(layout.clutter_front + 1))
    layers: list[_Layer] = []
    for class_id in [0] * behind + list(class_ids) + [0] * front:
        for _ in range(_PLACEMENT_TRIES):
            trial = [*layers, _random_layer(rng, size, class_id, layout)]
            if _all_visible(trial, layout.min_visible):
                layers = trial
                break
    if not any(layer.class_id for layer in layers):
        raise RuntimeError(f'no object could be placed with {layout}')
    return layers


# --------------------------------------------------------------------------
# Textures: fields in [0, 1] over coordinates in units of the picture size.


def _smooth_noise(rng: np.random.Generator, shape: Sequence[int], cells: int) -> Array:
    grid = rng.random((cells + 2, cells + 2)).astype(np.float32)
    field = cv2.resize(grid, tuple(shape[::-1]), interpolation=cv2.INTER_CUBIC)
    return np.clip(field, 0, 1)


def _wave(values: Array, sharpness: float) -> Array:
    """Bring a sine to [0, 1], between soft and square."""
    return 0.5 + 0.5 * np.tanh(sharpness * values) / math.tanh(sharpness)


def _stripes(rng: np.random.Generator, x: Array, y: Array) -> Array:
    bend = rng.uniform(0, 0.06) * np.sin(2 * np.pi * rng.uniform(0.5, 2) * y)
    phase = rng.uniform(0, 2 * np.pi)
    frequency = rng.uniform(3, 11)
    return _wave(
        np.sin(2 * np.pi * frequency * (x + bend) + phase), rng.uniform(0.5, 5)
    )


def _checks(rng: np.random.Generator, x: Array, y: Array) -> Array:
    frequency = 2 * np.pi * rng.uniform(2.5, 6)
    product = np.sin(frequency * x) * np.sin(frequency * y)
    return _wave(product, rng.uniform(2, 8))


def _noise(rng: np.random.Generator, x: Array, y: Array) -> Array:
    total = np.zeros(x.shape, np.float32)
    start = int(rng.integers(1, 5))
    for octave in range(4):
        total += _smooth_noise(rng, x.shape, start << octave) * 0.6**octave
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def _blobs(rng: np.random.Generator, x: Array, y: Array) -> Array:
    field = _smooth_noise(rng, x.shape, int(rng.integers(5, 12)))
    return 1 / (1 + np.exp(-rng.uniform(12, 40) * (field - np.median(field))))


def _gradient(rng: np.random.Generator, x: Array, y: Array) -> Array:
    if rng.random() < 0.5:
        return np.clip(x + 0.5, 0, 1)
    shift_x, shift_y = rng.uniform(-0.5, 0.5, 2)
    return np.clip(np.hypot(x - shift_x, y - shift_y), 0, 1)


def _ripples(rng: np.random.Generator, x: Array, y: Array) -> Array:
    total = np.zeros_like(x)
    for _ in range(3):
        across, along = rng.normal(0, 4, 2)
        phase = rng.uniform(0, 2 * np.pi)
        total += np.sin(2 * np.pi * (across * x + along * y) + phase)
    return 0.5 + total / 6


def _cells(rng: np.random.Generator, x: Array, y: Array) -> Array:
    """Voronoi cells, each of one tone."""
    points = rng.uniform(-0.75, 0.75, (int(rng.integers(14, 50)), 2))
    tones = rng.random(len(points)).astype(np.float32)
    field, nearest = np.zeros_like(x), np.full_like(x, np.inf)
    for (point_x, point_y), tone in zip(points.tolist(), tones, strict=True):
        square = (x - point_x) ** 2 + (y - point_y) ** 2
        field[square < nearest] = tone
        np.minimum(square, nearest, out=nearest)
    return field


def _grain(rng: np.random.Generator, x: Array, y: Array) -> Array:
    """Wood: stretched, bent growth lines."""
    bend = _smooth_noise(rng, x.shape, 3)
    lines = rng.uniform(4, 9) * (x + 0.25 * bend) + 0.4 * y
    return _wave(np.sin(2 * np.pi * lines), 0.8) * (0.7 + 0.3 * bend)


# In the order of CLASSES: the surface that most objects of a class have.
_TEXTURES: tuple[TextureField, ...] = (
    _stripes,
    _cells,
    _checks,
    _blobs,
    _gradient,
    _grain,
    _ripples,
    _noise,
)
_TYPICAL_SURFACE = 0.8


def _texture(rng: np.random.Generator, size: int, family: int | None = None) -> Array:
    """A texture at a random angle, float32 of shape (S, S) in [0, 1].

    Args:
        rng: Source of all randomness.
        size: Picture side S in pixels.
        family: Index of the texture family; a random one by default.
    """
    if family is None:
        family = int(rng.integers(len(_TEXTURES)))
    steps = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = math.cos(angle), math.sin(angle)
    x = cos * steps[None, :] + sin * steps[:, None]
    y = cos * steps[:, None] - sin * steps[None, :]
    return _TEXTURES[family](rng, x, y).astype(np.float32)


def _surface(rng: np.random.Generator, size: int, class_id: int) -> Array:
    """Texture of an object: most often the one its class is known for."""
    if class_id and rng.random() < _TYPICAL_SURFACE:
        return _texture(rng, size, class_id - 1)
    return _texture(rng, size)


# --------------------------------------------------------------------------
# Painting: float32 RGB in [0, 1].


def _random_colour(rng: np.random.Generator) -> Array:
    hue, saturation, value = rng.uniform((0, 0.1, 0.25), (1, 0.8, 1)).tolist()
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)


def _related_colour(rng: np.random.Generator, colour: Array, reach: float) -> Array:
    """A neighbour of an RGB colour: other hue, saturation and value."""
    hue, saturation, value = colorsys.rgb_to_hsv(*colour.tolist())
    shift = rng.uniform(-reach, reach, 3).tolist()
    # Towards the middle of the value range, so that it cannot clip away.
    darker = value > 0.6
    value += (-1 if darker else 1) * (0.4 * reach + abs(shift[2]))
    saturation = float(np.clip(saturation + shift[1], 0, 0.9))
    value = float(np.clip(value, 0.1, 1))
    hue = (hue + 0.4 * shift[0]) % 1
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)


def _contrasting_colour(
    rng: np.random.Generator, others: Sequence[Array], wanted: float = 0.42
) -> Array:
    """A random colour away from the given ones, as far as a few tries find."""
    best, best_distance = others[0], -1.0
    for _ in range(12):
        colour = _random_colour(rng)
        distance = min(float(np.linalg.norm(colour - other)) for other in others)
        if distance > best_distance:
            best, best_distance = colour, distance
        if distance >= wanted:
            break
    return best


def _mix(first: Array, second: Array, share: Array) -> Array:
    """Blend colours or pictures; ``share`` (H, W) is the part of the second."""
    return first + (second - first) * share[..., None]


def _paint_background(
    rng: np.random.Generator, size: int
) -> tuple[Array, tuple[Array, Array]]:
    """A textured picture of shape (S, S, 3) and its two main colours."""
    first = _random_colour(rng)
    second = _related_colour(rng, first, 0.25)
    canvas = _mix(first, second, rng.uniform(0.2, 0.7) * _texture(rng, size))
    third = _related_colour(rng, first, 0.25)
    share = 0.45 * rng.random() * _smooth_noise(rng, (size, size), 3)
    return _mix(canvas, third, share), (first, second)


def _paint_layer(
    rng: np.random.Generator,
    canvas: Array,
    layer: _Layer,
    avoid: Sequence[Array],
) -> Array:
    """Paint one thing, with its shadow, over a picture of shape (S, S, 3)."""
    size = len(canvas)
    if rng.random() < 0.6:
        canvas = canvas * (1 - _shadow(rng, layer.alpha))[..., None]
    colour = _contrasting_colour(rng, avoid)
    second = _related_colour(rng, colour, 0.6)
    surface = rng.uniform(0.6, 1) * _surface(rng, size, layer.class_id)
    body = _mix(colour, second, surface)
    body = body * _light(rng, size, 0.25)[..., None]
    if rng.random() < 0.5:
        body = body * _rim(rng, layer.alpha)[..., None]
    return _mix(canvas, np.clip(body, 0, 1), layer.alpha)


def _shadow(rng: np.random.Generator, alpha: Array) -> Array:
    """Soft, shifted shadow of a coverage map; strength per pixel, (S, S)."""
    size = len(alpha)
    shift_x, shift_y = rng.uniform(-0.035, 0.035, 2) * size
    move = np.array([[1, 0, shift_x], [0, 1, shift_y]], np.float32)
    moved = cv2.warpAffine(alpha, move, (size, size))
    blurred = cv2.GaussianBlur(moved, (0, 0), rng.uniform(0.01, 0.035) * size)
    return rng.uniform(0.2, 0.5) * blurred


def _rim(rng: np.random.Generator, alpha: Array) -> Array:
    """Brightness factor (S, S) that sets the edge of an object off."""
    inner = cv2.GaussianBlur(alpha, (0, 0), 0.016 * len(alpha))
    return 1 + rng.uniform(-0.6, 0.4) * (1 - np.clip(2 * inner - 1, 0, 1))


def _light(rng: np.random.Generator, size: int, strength: float) -> Array:
    """Brightness factor (S, S): a ramp of random direction, 1 on average."""
    steps = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    ramp = math.cos(angle) * steps[None, :] + math.sin(angle) * steps[:, None]
    return 1 + 2 * rng.uniform(0, strength) * ramp


def _expose(rng: np.random.Generator, canvas: Array) -> Array:
    """Scene light, exposure and sensor noise; returns uint8 (S, S, 3)."""
    canvas = canvas * _light(rng, len(canvas), 0.45)[..., None]
    canvas = canvas * rng.uniform(0.7, 1.15)
    noise = rng.standard_normal(canvas.shape, np.float32)
    canvas = 255 * canvas + rng.uniform(1, 6) * noise
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


def draw_scene(
    rng: np.random.Generator,
    size: int = 96,
    class_ids: Sequence[int] | None = None,
    layout: Layout = SCENE_LAYOUT,
) -> Scene:
    """Draw one scene in memory.

    Args:
        rng: Source of all randomness.
        size: Side of the square picture in pixels, at least 32.
        class_ids: Class ids (1..8) of the objects, back to front. By default
            one to five random ones. Objects for which no room is found are
            left out, but there is always at least one.
        layout: Scale, place and clutter of the objects.

    Returns:
        The picture with its label map and visible instances.

    Raises:
        ValueError: If ``size`` is too small, or ``class_ids`` is empty or
            holds an unknown id.
    """
    if size < MIN_SIZE:
        raise ValueError(f'size must be at least {MIN_SIZE} pixels, got {size}')
    if class_ids is None:
        class_ids = rng.integers(1, len(CLASSES) + 1, int(rng.integers(1, 6))).tolist()
    if not class_ids or not all(1 <= c <= len(CLASSES) for c in class_ids):
        raise ValueError(
            f'class_ids must be one or more ids in 1..{len(CLASSES)}, '
            f'got {list(class_ids)}'
        )
    layers = _place_layers(rng, size, class_ids, layout)
    canvas, avoid = _paint_background(rng, size)
    for layer in layers:
        canvas = _paint_layer(rng, canvas, layer, avoid)

    label_map = np.zeros((size, size), np.uint8)
    instances = []
    for layer, mask in zip(layers, _visible_masks(layers), strict=True):
        if layer.class_id:
            label_map[mask] = layer.class_id
            instances.append(Instance(layer.class_id, mask))
    return Scene(_expose(rng, canvas), label_map, instances)


# --------------------------------------------------------------------------
# COCO annotations.


def _pixel_outlines(mask: Array) -> list[list[tuple[int, int]]]:
    """Closed outlines of a mask along pixel borders.

    Args:
        mask: Bool array of shape (H, W).

    Returns:
        Corner points (x, y) of each outline: clockwise (as seen, y down)
        around 4-connected parts, counter-clockwise around holes.
    """
    padded = np.pad(mask, 1).astype(np.int8)
    # Unit edges by starting corner, directed with the inside on the right.
    edges: dict[tuple[int, int], list[tuple[int, int]]] = {}
    down = np.diff(padded, axis=0)[:, 1:-1]
    right = np.diff(padded, axis=1)[1:-1]
    for found, start, step in (
        (down == 1, (0, 0), (1, 0)),
        (down == -1, (1, 0), (-1, 0)),
        (right == 1, (0, 1), (0, -1)),
        (right == -1, (0, 0), (0, 1)),
    ):
        for y, x in np.argwhere(found).tolist():
            edges.setdefault((x + start[0], y + start[1]), []).append(step)
    outlines = []
    while edges:
        outlines.append(_follow_outline(edges))
    return outlines


def _follow_outline(
    edges: dict[tuple[int, int], list[tuple[int, int]]],
) -> list[tuple[int, int]]:
    """Take one closed outline out of ``edges``; return its corners."""
    start = point = next(iter(edges))
    step: tuple[int, int] | None = None
    first_step = None
    corners: list[tuple[int, int]] = []
    while True:
        choices = edges.get(point, [])
        # Where two parts touch at a corner, a right turn stays on this part.
        right = None if step is None else (-step[1], step[0])
        if point == start and step is not None and right not in choices:
            break
        following = right if right in choices else choices[0]
        choices.remove(following)
        if not choices:
            del edges[point]
        if step is None:
            first_step = following
        elif following != step:
            corners.append(point)
        step = following
        point = (point[0] + step[0], point[1] + step[1])
    if step != first_step:
        corners.append(start)
    return corners


def _is_hole(outline: Sequence[tuple[int, int]]) -> bool:
    points = np.array(outline)
    following = np.roll(points, -1, axis=0)
    cross = points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1]
    return int(cross.sum()) < 0


def mask_to_polygons(mask: Array) -> list[list[int]]:
    """Turn a mask into COCO polygons that decode to exactly that mask.

    The polygons run along pixel borders. COCO polygons have no holes, so a
    part with a hole (a ring) is cut in two along a row through the hole.
    Polygons rather than run lengths, since not every reader accepts the
    latter for ``iscrowd=0``.

    Args:
        mask: Bool array of shape (H, W).

    Returns:
        Polygons as flat lists ``[x0, y0, x1, y1, ...]`` in pixels; empty
        for an empty mask.
    """
    outlines = _pixel_outlines(mask)
    hole = next((outline for outline in outlines if _is_hole(outline)), None)
    if hole is None:
        return [[value for point in outline for value in point] for outline in outlines]
    rows = [y for _, y in hole]
    cut = (min(rows) + max(rows)) // 2
    above, below = mask.copy(), mask.copy()
    above[cut:] = False
    below[:cut] = False
    return mask_to_polygons(above) + mask_to_polygons(below)


def _coco_annotation(instance: Instance) -> dict[str, Any]:
    """COCO annotation of one instance, still without ids."""
    ys, xs = np.nonzero(instance.mask)
    x, y = int(xs.min()), int(ys.min())
    return {
        'category_id': instance.class_id,
        'bbox': [x, y, int(xs.max()) + 1 - x, int(ys.max()) + 1 - y],
        'area': len(xs),
        'iscrowd': 0,
        'segmentation': mask_to_polygons(instance.mask),
    }


def _coco_dataset(records: Iterable[dict[str, Any]], size: int) -> dict[str, Any]:
    """Join the records of one split into one COCO dictionary."""
    images, annotations = [], []
    for record in records:
        image_id = record['index'] + 1
        images.append(
            {
                'id': image_id,
                'file_name': _file_name(record['index'], 'jpg'),
                'width': size,
                'height': size,
            }
        )
        for annotation in record['annotations']:
            ids = {'id': len(annotations) + 1, 'image_id': image_id}
            annotations.append({**ids, **annotation})
    categories = [
        {'id': i, 'name': name, 'supercategory': 'shape'}
        for i, name in enumerate(CLASSES, 1)
    ]
    return {
        'info': {'description': 'cmae_mm scenes', 'version': GENERATOR_VERSION},
        'licenses': [],
        'images': images,
        'annotations': annotations,
        'categories': categories,
    }


# --------------------------------------------------------------------------
# Writing.


def _file_name(index: int, suffix: str) -> str:
    return f'{index:06d}.{suffix}'


def _image_rng(seed: int, subset: str, split: str, index: int) -> np.random.Generator:
    """Own generator for every picture, so that the work can be split at will."""
    key = [seed, _SUBSETS.index(subset), _SPLITS.index(split), index]
    return np.random.default_rng(np.random.SeedSequence(key))


def _write_image(path: Path, image: Array) -> None:
    Image.fromarray(image).save(path, quality=_JPEG_QUALITY)


def _write_one(
    root: Path, subset: str, split: str, index: int, size: int, seed: int
) -> dict[str, Any]:
    """Draw and write one picture; return what the data set has to know of it."""
    rng = _image_rng(seed, subset, split, index)
    name = _file_name(index, 'jpg')
    if subset == 'classification':
        class_id = index % len(CLASSES) + 1
        scene = draw_scene(rng, size, [class_id], SINGLE_LAYOUT)
        target = Path(subset, split, CLASSES[class_id - 1], name)
    else:
        scene = draw_scene(rng, size)
        target = Path(subset, 'images', split, name)
        labels = Image.fromarray(scene.label_map)
        labels.save(root / subset / 'labels' / split / _file_name(index, 'png'))
    _write_image(root / target, scene.image)
    annotated = subset == 'scenes'
    return {
        'index': index,
        'path': target.as_posix(),
        'classes': [instance.class_id for instance in scene.instances],
        'label_digest': hashlib.sha256(scene.label_map.tobytes()).hexdigest(),
        'annotations': [_coco_annotation(i) for i in scene.instances if annotated],
    }


@dataclass(frozen=True)
class _Chunk:
    """Consecutive pictures of one split, for one worker."""

    root: Path
    subset: str
    split: str
    indices: range
    size: int
    seed: int


def _write_chunk(chunk: _Chunk) -> list[dict[str, Any]]:
    return [
        _write_one(chunk.root, chunk.subset, chunk.split, index, chunk.size, chunk.seed)
        for index in chunk.indices
    ]


def _init_worker() -> None:
    # The processes already share the cores out; and OpenCV's thread pool does
    # not survive a fork.
    cv2.setNumThreads(0)


def _run_chunks(
    chunks: Sequence[_Chunk], workers: int
) -> Iterator[list[dict[str, Any]]]:
    """Results of the chunks in their own order."""
    if workers == 1:
        yield from map(_write_chunk, chunks)
        return
    # Forked workers start at once; spawned ones would import the package,
    # with torch, and re-run scripts that lack a main guard.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context('fork' if 'fork' in methods else None)
    with ProcessPoolExecutor(workers, context, _init_worker) as pool:
        yield from pool.map(_write_chunk, chunks)


def _make_folders(root: Path) -> None:
    for split in _SPLITS:
        for name in CLASSES:
            (root / 'classification' / split / name).mkdir(parents=True)
        for kind in ('images', 'labels'):
            (root / 'scenes' / kind / split).mkdir(parents=True)
    (root / 'scenes' / 'annotations').mkdir()


def _existing_meta(root: Path, parameters: dict[str, int]) -> dict[str, Any] | None:
    """Meta of a finished data set of the same kind, or None if ``root`` is free.

    Raises:
        ValueError: If ``root`` holds anything else.
    """
    advice = 'choose another folder, or delete this one to generate it anew'
    if root.exists() and not root.is_dir():
        raise ValueError(f'{root} is a file, not a folder; {advice}')
    if not root.exists() or not any(root.iterdir()):
        return None
    path = root / 'meta.json'
    if not path.exists():
        raise ValueError(
            f'{root} is not empty and has no meta.json (an interrupted run, or '
            f'other data); {advice}'
        )
    try:
        meta = json.loads(path.read_text(encoding='utf-8'))
        found = {'version': meta['version'], **meta['parameters']}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path} was not written by this generator ({error!r}); {advice}'
        ) from error
    wanted = {'version': GENERATOR_VERSION, **parameters}
    if found != wanted:
        raise ValueError(
            f'{root} was generated with {found}, but {wanted} was asked for; {advice}'
        )
    return meta


def _check_parameters(parameters: dict[str, int], workers: int | None) -> None:
    least = {
        'num_train': len(CLASSES),
        'num_val': len(CLASSES),
        'size': MIN_SIZE,
        'seed': 0,
    }
    for name, value in parameters.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f'{name} must be an integer, got {value!r}')
        if value < least[name]:
            why = ' (one image per class)' if name.startswith('num_') else ''
            raise ValueError(f'{name} must be at least {least[name]}{why}, got {value}')
    if workers is not None and workers < 1:
        raise ValueError(f'workers must be at least 1, got {workers}')


def _usable_cores() -> int:
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _count_classes(records: Iterable[dict[str, Any]]) -> dict[str, int]:
    counts = dict.fromkeys(CLASSES, 0)
    for record in records:
        for class_id in record['classes']:
            counts[CLASSES[class_id - 1]] += 1
    return counts


def _write_text(path: Path, text: str) -> None:
    """Write a file that is either there in full or not at all."""
    partial = path.with_name(path.name + '.part')
    partial.write_text(text, encoding='utf-8')
    os.replace(partial, path)


def _finish(
    root: Path,
    parameters: dict[str, int],
    records: dict[tuple[str, str], list[dict[str, Any]]],
) -> dict[str, Any]:
    """Write the annotation files and, last, ``meta.json``."""
    fingerprint = hashlib.sha256()
    counts: dict[str, dict[str, Any]] = {subset: {} for subset in _SUBSETS}
    for (subset, split), found in records.items():
        counts[subset][split] = {
            'images': len(found),
            'objects': _count_classes(found),
        }
        for record in found:
            line = f'{record["path"]} {record["label_digest"]}\n'
            fingerprint.update(line.encode())
        if subset == 'scenes':
            text = json.dumps(_coco_dataset(found, parameters['size']))
            fingerprint.update(text.encode())
            _write_text(root / subset / 'annotations' / f'instances_{split}.json', text)
    meta = {
        'dataset': 'scenes',
        'version': GENERATOR_VERSION,
        'parameters': parameters,
        'classes': list(CLASSES),
        'palette': [list(colour) for colour in PALETTE],
        'counts': counts,
        'fingerprint': fingerprint.hexdigest(),
    }
    _write_text(root / 'meta.json', json.dumps(meta, indent=2) + '\n')
    return meta


def generate_scenes(
    out_dir: str | os.PathLike[str],
    num_train: int = 2000,
    num_val: int = 500,
    size: int = 96,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Generate the data set, or return the meta of an equal, finished one.

    Every picture depends on (seed, subset, split, index) alone, so the result
    does not depend on ``workers``, and a longer split begins with the pictures
    of a shorter one. ``meta.json`` is written last: its presence means that
    all else is complete.

    Args:
        out_dir: Folder to write to; must be absent, empty, or hold a data set
            of the same parameters.
        num_train: Training pictures of each of the two subsets, at least 8.
        num_val: Validation pictures of each of the two subsets, at least 8.
        size: Side of the square pictures in pixels, at least 32.
        seed: Seed of the data set, at least 0.
        workers: Number of processes; by default one per usable core. With 1
            all work is done in the calling process.
        progress: Called as ``progress(done, total)``, in pictures, now and
            then.

    Returns:
        The content of ``meta.json``: ``dataset``, ``version``,
        ``parameters``, ``classes``, ``palette``, ``counts`` (images, and
        objects by class, of every subset and split) and ``fingerprint``
        (SHA-256 over paths, label maps and annotations).

    Raises:
        ValueError: If a parameter is out of range, or if ``out_dir`` holds
            other data, an interrupted run or a data set of other parameters.
    """
    parameters = {
        'num_train': num_train,
        'num_val': num_val,
        'size': size,
        'seed': seed,
    }
    _check_parameters(parameters, workers)
    root = Path(out_dir)
    meta = _existing_meta(root, parameters)
    if meta is not None:
        return meta
    _make_folders(root)
    lengths = {'train': num_train, 'val': num_val}
    chunks = [
        _Chunk(root, subset, split, range(length)[start : start + _CHUNK], size, seed)
        for subset in _SUBSETS
        for split, length in lengths.items()
        for start in range(0, length, _CHUNK)
    ]
    records: dict[tuple[str, str], list[dict[str, Any]]] = {}
    workers = min(workers or _usable_cores(), len(chunks))
    done, total = 0, 2 * (num_train + num_val)
    for chunk, found in zip(chunks, _run_chunks(chunks, workers), strict=True):
        records.setdefault((chunk.subset, chunk.split), []).extend(found)
        done += len(found)
        if progress is not None:
            progress(done, total)
    return _finish(root, parameters, records)


# --------------------------------------------------------------------------
# Shortcuts: what can be guessed without seeing shapes.


def _load_split(root: Path, split: str, size: int) -> tuple[Array, Array]:
    """Pictures, float32 (N, size, size, 3) in [0, 1], and class indices (N,)."""
    images, targets = [], []
    for target, name in enumerate(CLASSES):
        for path in sorted((root / 'classification' / split / name).glob('*.jpg')):
            with Image.open(path) as image:
                small = image.convert('RGB').resize((size, size), Image.BOX)
            images.append(np.asarray(small, np.float32) / 255)
            targets.append(target)
    if not images:
        raise ValueError(f'no classification pictures of {split} under {root}')
    return np.stack(images), np.array(targets)


def _knn_accuracy(
    train: tuple[Array, Array], val: tuple[Array, Array], neighbours: int
) -> float:
    """Accuracy of a majority vote; ties go to the class of the nearest."""
    train_x, val_x = (x.reshape(len(x), -1) for x in (train[0], val[0]))
    # The squared length of the query is the same for all, hence left out.
    distances = (train_x**2).sum(1)[None] - 2 * val_x @ train_x.T
    nearest = np.argsort(distances, axis=1, kind='stable')[:, :neighbours]
    votes = np.zeros((len(val_x), len(CLASSES)))
    rows = np.arange(len(val_x))
    for rank in range(nearest.shape[1]):
        votes[rows, train[1][nearest[:, rank]]] += 1 - 1e-3 * rank
    return float((votes.argmax(1) == val[1]).mean())


def measure_shortcuts(
    out_dir: str | os.PathLike[str], neighbours: int = 5, size: int = 32
) -> dict[str, float]:
    """Measure how far colour and raw pixels alone give the class.

    A k-nearest-neighbour vote is fitted on ``classification/train`` and
    scored on ``classification/val``. Learned features have to beat these
    figures to be worth anything.

    Args:
        out_dir: Folder of a generated data set.
        neighbours: Number k of votes, at least 1.
        size: Side in pixels to which pictures are reduced first.

    Returns:
        Accuracies in [0, 1]: ``chance`` (the most frequent class of ``val``),
        ``pixel_knn_rgb``, ``pixel_knn_grey`` and ``mean_colour_knn``.

    Raises:
        ValueError: If ``neighbours`` or ``size`` is below 1, or if there are
            no pictures under ``out_dir``.
    """
    if neighbours < 1 or size < 1:
        raise ValueError(
            f'neighbours and size must be at least 1, got {neighbours} and {size}'
        )
    root = Path(out_dir)
    train, val = (_load_split(root, split, size) for split in _SPLITS)
    views: dict[str, Callable[[Array], Array]] = {
        'pixel_knn_rgb': lambda x: x,
        'pixel_knn_grey': lambda x: x.mean(-1),
        'mean_colour_knn': lambda x: x.mean((1, 2)),
    }
    shortcuts = {'chance': float(np.bincount(val[1]).max() / len(val[1]))}
    for name, view in views.items():
        shortcuts[name] = _knn_accuracy(
            (view(train[0]), train[1]), (view(val[0]), val[1]), neighbours
        )
    return shortcuts
