"""Textures: fields in [0, 1] over coordinates in units of the picture size."""

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

TextureField = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]

# Share of the objects that get the surface of their class.
_TYPICAL_SURFACE = 0.9


def smooth_noise(
    rng: np.random.Generator, shape: Sequence[int], cells: int
) -> np.ndarray:
    """Random field in [0, 1], float32 of shape ``shape``, of so many cells a side."""
    grid = rng.random((cells + 2, cells + 2)).astype(np.float32)
    field = cv2.resize(grid, tuple(shape[::-1]), interpolation=cv2.INTER_CUBIC)
    return np.clip(field, 0, 1)


def _wave(values: np.ndarray, sharpness: float) -> np.ndarray:
    """Bring a sine to [0, 1], between soft and square."""
    return 0.5 + 0.5 * np.tanh(sharpness * values) / math.tanh(sharpness)


def _stripes(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    bend = rng.uniform(0, 0.06) * np.sin(2 * np.pi * rng.uniform(0.5, 2) * y)
    phase = rng.uniform(0, 2 * np.pi)
    frequency = rng.uniform(3, 11)
    return _wave(
        np.sin(2 * np.pi * frequency * (x + bend) + phase), rng.uniform(0.5, 5)
    )


def _checks(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    frequency = 2 * np.pi * rng.uniform(2.5, 6)
    product = np.sin(frequency * x) * np.sin(frequency * y)
    return _wave(product, rng.uniform(2, 8))


def _noise(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    total = np.zeros(x.shape, np.float32)
    start = int(rng.integers(1, 5))
    for octave in range(4):
        total += smooth_noise(rng, x.shape, start << octave) * 0.6**octave
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def _blobs(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    field = smooth_noise(rng, x.shape, int(rng.integers(5, 12)))
    return 1 / (1 + np.exp(-rng.uniform(12, 40) * (field - np.median(field))))


def _gradient(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if rng.random() < 0.5:
        return np.clip(x + 0.5, 0, 1)
    shift_x, shift_y = rng.uniform(-0.5, 0.5, 2)
    return np.clip(np.hypot(x - shift_x, y - shift_y), 0, 1)


def _ripples(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    total = np.zeros_like(x)
    for _ in range(3):
        across, along = rng.normal(0, 4, 2)
        phase = rng.uniform(0, 2 * np.pi)
        total += np.sin(2 * np.pi * (across * x + along * y) + phase)
    return 0.5 + total / 6


def _cells(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Voronoi cells, each of one tone."""
    points = rng.uniform(-0.75, 0.75, (int(rng.integers(14, 50)), 2))
    tones = rng.random(len(points)).astype(np.float32)
    field, nearest = np.zeros_like(x), np.full_like(x, np.inf)
    for (point_x, point_y), tone in zip(points.tolist(), tones, strict=True):
        square = (x - point_x) ** 2 + (y - point_y) ** 2
        field[square < nearest] = tone
        np.minimum(square, nearest, out=nearest)
    return field


def _grain(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Wood: stretched, bent growth lines."""
    bend = smooth_noise(rng, x.shape, 3)
    lines = rng.uniform(4, 9) * (x + 0.25 * bend) + 0.4 * y
    return _wave(np.sin(2 * np.pi * lines), 0.8) * (0.7 + 0.3 * bend)


# The first are in the order of CLASSES: the surface that most objects of a class
# have. All other things have any of the textures.
_TEXTURES: tuple[TextureField, ...] = (
    _stripes,
    _checks,
    _blobs,
    _gradient,
    _noise,
    _cells,
    _grain,
    _ripples,
)


def draw_texture(
    rng: np.random.Generator, size: int, family: int | None = None
) -> np.ndarray:
    """Draw a texture at a random angle.

    Args:
        rng (Generator): Source of all randomness.
        size (int): Picture side S in pixels.
        family (int | None): Index of the texture family; a random one by
            default.

    Returns:
        ndarray: Field in [0, 1], float32 of shape (S, S).
    """
    if family is None:
        family = int(rng.integers(len(_TEXTURES)))
    steps = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = math.cos(angle), math.sin(angle)
    x = cos * steps[None, :] + sin * steps[:, None]
    y = cos * steps[:, None] - sin * steps[None, :]
    return _TEXTURES[family](rng, x, y).astype(np.float32)


def object_texture(rng: np.random.Generator, size: int, class_id: int) -> np.ndarray:
    """Draw the texture of a thing: most often the one its class is known for.

    Args:
        rng (Generator): Source of all randomness.
        size (int): Picture side S in pixels.
        class_id (int): Class id in 1..6; 0 is clutter, which has any texture.

    Returns:
        ndarray: Field in [0, 1], float32 of shape (S, S).
    """
    if class_id and rng.random() < _TYPICAL_SURFACE:
        return draw_texture(rng, size, class_id - 1)
    return draw_texture(rng, size)
