"""Painting: backgrounds, things and light, on float32 RGB pictures in [0, 1]."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from .colours import contrasting_colour, random_colour, related_colour
from .placement import Layer
from .textures import draw_texture, object_texture, smooth_noise


def _mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Blend colours or pictures; ``share`` (H, W) is the part of the second."""
    return first + (second - first) * share[..., None]


def paint_background(
    rng: np.random.Generator, size: int
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """A textured picture of shape (S, S, 3) and its two main colours."""
    first = random_colour(rng)
    second = related_colour(rng, first, 0.25)
    canvas = _mix(first, second, rng.uniform(0.2, 0.7) * draw_texture(rng, size))
    third = related_colour(rng, first, 0.25)
    share = 0.45 * rng.random() * smooth_noise(rng, (size, size), 3)
    return _mix(canvas, third, share), (first, second)


def paint_layer(
    rng: np.random.Generator,
    canvas: np.ndarray,
    layer: Layer,
    avoid: Sequence[np.ndarray],
) -> np.ndarray:
    """Paint one thing, often with a shadow, over a picture.

    Args:
        rng (Generator): Source of all randomness.
        canvas (ndarray): Picture of shape (S, S, 3); left as it is.
        layer (Layer): The thing, with a coverage of shape (S, S).
        avoid (Sequence[ndarray]): Colours the thing has to stand out from.

    Returns:
        ndarray: The new picture, of the same shape.
    """
    size = len(canvas)
    if rng.random() < 0.6:
        canvas = canvas * (1 - _shadow(rng, layer.alpha))[..., None]
    colour = contrasting_colour(rng, avoid, layer.class_id)
    second = related_colour(rng, colour, 0.6)
    surface = rng.uniform(0.6, 1) * object_texture(rng, size, layer.class_id)
    body = _mix(colour, second, surface)
    body = body * _light(rng, size, 0.25)[..., None]
    if rng.random() < 0.5:
        body = body * _rim(rng, layer.alpha)[..., None]
    return _mix(canvas, np.clip(body, 0, 1), layer.alpha)


def _shadow(rng: np.random.Generator, alpha: np.ndarray) -> np.ndarray:
    """Soft, shifted shadow of a coverage map; strength per pixel, (S, S)."""
    size = len(alpha)
    shift_x, shift_y = rng.uniform(-0.035, 0.035, 2) * size
    move = np.array([[1, 0, shift_x], [0, 1, shift_y]], np.float32)
    moved = cv2.warpAffine(alpha, move, (size, size))
    blurred = cv2.GaussianBlur(moved, (0, 0), rng.uniform(0.01, 0.035) * size)
    return rng.uniform(0.2, 0.5) * blurred


def _rim(rng: np.random.Generator, alpha: np.ndarray) -> np.ndarray:
    """Brightness factor (S, S) that sets the edge of an object off."""
    inner = cv2.GaussianBlur(alpha, (0, 0), 0.016 * len(alpha))
    return 1 + rng.uniform(-0.6, 0.4) * (1 - np.clip(2 * inner - 1, 0, 1))


def _light(rng: np.random.Generator, size: int, strength: float) -> np.ndarray:
    """Brightness factor (S, S): a ramp of random direction, 1 on average."""
    steps = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    ramp = math.cos(angle) * steps[None, :] + math.sin(angle) * steps[:, None]
    return 1 + 2 * rng.uniform(0, strength) * ramp


def expose(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Scene light, exposure and sensor noise; returns uint8 (S, S, 3)."""
    canvas = canvas * _light(rng, len(canvas), 0.45)[..., None]
    canvas = canvas * rng.uniform(0.7, 1.15)
    noise = rng.standard_normal(canvas.shape, np.float32)
    canvas = 255 * canvas + rng.uniform(1, 6) * noise
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
