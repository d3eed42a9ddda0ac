"""Outlines: of the six classes, and of clutter, which is of no class.

A shape is a test of local coordinates (u, v): its centre is the origin, the
circle around it has a radius of about one.
"""

import math
from collections.abc import Callable

import numpy as np

ShapeTest = Callable[[np.ndarray, np.ndarray], np.ndarray]

# Samples of each pixel along each axis.
_SUPERSAMPLING = 3


def _regular_polygon(corners: int) -> ShapeTest:
    angles = 2 * np.pi * np.arange(corners) / corners
    limit = math.cos(math.pi / corners)

    def inside(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        result = np.ones(u.shape, bool)
        for angle in angles:
            result &= u * math.cos(angle) + v * math.sin(angle) <= limit
        return result

    return inside


def _disc(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return u * u + v * v <= 1


def _star(u: np.ndarray, v: np.ndarray, inner: float = 0.42) -> np.ndarray:
    """Five-pointed star; the plane is folded into half of one point."""
    sector = 2 * np.pi / 5
    angle = np.abs((np.arctan2(v, u) + sector / 2) % sector - sector / 2)
    radius = np.hypot(u, v)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    notch_x = inner * math.cos(sector / 2)
    notch_y = inner * math.sin(sector / 2)
    return (notch_x - 1) * y - notch_y * (x - 1) >= 0


def _cross(u: np.ndarray, v: np.ndarray, arm: float = 0.33) -> np.ndarray:
    u, v = np.abs(u), np.abs(v)
    return (np.minimum(u, v) <= arm) & (np.maximum(u, v) <= 1)


def _ring(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    square = u * u + v * v
    return (square <= 1) & (square >= 0.56**2)


# The factors bring the areas closer together: area must not give the class.
SHAPES: dict[str, tuple[ShapeTest, float]] = {
    'triangle': (_regular_polygon(3), 1.20),
    'square': (_regular_polygon(4), 1.05),
    'disc': (_disc, 0.90),
    'star': (_star, 1.24),
    'cross': (_cross, 0.98),
    'ring': (_ring, 1.00),
}


def clutter_shape(rng: np.random.Generator) -> ShapeTest:
    """A shape of no class: a plain bar or a ragged blob."""
    if rng.random() < 0.5:
        width = rng.uniform(0.10, 0.22)
        return lambda u, v: (np.abs(u) <= 1) & (np.abs(v) <= width)
    orders = np.arange(2, 6)
    sizes = rng.uniform(0.10, 0.26, len(orders))
    phases = rng.uniform(0, 2 * np.pi, len(orders))

    def inside(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        angle = np.arctan2(v, u)
        limit = np.full(u.shape, 0.62)
        for order, size, phase in zip(orders, sizes, phases, strict=True):
            limit += 0.6 * size * np.cos(order * angle + phase)
        return np.hypot(u, v) <= limit

    return inside


def rasterise(
    inside: ShapeTest, centre: np.ndarray, transform: np.ndarray, size: int
) -> tuple[np.ndarray, int]:
    """Draw a shape with anti-aliasing.

    Args:
        inside (Callable): Test of local coordinates.
        centre (ndarray): Centre (x, y) in pixels, float of shape (2,).
        transform (ndarray): Local to pixel offsets, float of shape (2, 2).
        size (int): Picture side S in pixels.

    Returns:
        tuple[ndarray, int]: Coverage in [0, 1], float32 of shape (S, S), and
        the area in pixels before cropping.
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
