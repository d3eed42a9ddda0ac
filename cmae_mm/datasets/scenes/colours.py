"""Colours: drawn in HSV, returned as RGB, float32 of shape (3,) in [0, 1]."""

import colorsys
from collections.abc import Sequence

import numpy as np

from .classes import CLASSES

# Share of the objects that get the hue of their class.
_TYPICAL_HUE = 0.7


def random_colour(rng: np.random.Generator) -> np.ndarray:
    """A colour of any hue."""
    hue, saturation, value = rng.uniform((0, 0.1, 0.25), (1, 0.8, 1)).tolist()
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)


def related_colour(
    rng: np.random.Generator, colour: np.ndarray, reach: float
) -> np.ndarray:
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


def _class_colour(rng: np.random.Generator, class_id: int) -> np.ndarray:
    """A colour of the hue that a class often has."""
    hue = (class_id / len(CLASSES) + rng.normal(0, 0.04)) % 1
    saturation, value = rng.uniform((0.4, 0.4), (0.9, 1)).tolist()
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)


def contrasting_colour(
    rng: np.random.Generator,
    others: Sequence[np.ndarray],
    class_id: int,
    wanted: float = 0.42,
) -> np.ndarray:
    """A colour away from the given ones, as far as a few tries find.

    Objects often have the hue of their class; clutter has any.

    Args:
        rng (Generator): Source of all randomness.
        others (Sequence[ndarray]): Colours to keep away from.
        class_id (int): Class id in 1..6; 0 is clutter.
        wanted (float): Distance in RGB that is enough. Defaults to 0.42.

    Returns:
        ndarray: The colour.
    """
    best, best_distance = others[0], -1.0
    typical = class_id > 0 and rng.random() < _TYPICAL_HUE
    for _ in range(12):
        colour = _class_colour(rng, class_id) if typical else random_colour(rng)
        distance = min(float(np.linalg.norm(colour - other)) for other in others)
        if distance > best_distance:
            best, best_distance = colour, distance
        if distance >= wanted:
            break
    return best
