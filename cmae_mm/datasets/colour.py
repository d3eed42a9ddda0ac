"""What the target view's colours go through, as numbers drawn per image."""

from typing import NamedTuple

import numpy as np

from . import fast_ops


class Colour(NamedTuple):
    """One draw of the colour augmentation; by default it changes nothing."""

    order: tuple[int, int, int, int] = (0, 1, 2, 3)
    """In which order brightness (0), contrast, saturation and hue (3) change."""
    brightness: float = 1.0
    """Factor, 0 or more."""
    contrast: float = 1.0
    """Factor, 0 or more."""
    saturation: float = 1.0
    """Factor, 0 or more."""
    hue: float = 0.0
    """Share of the full circle, in [-0.5, 0.5]."""
    grey: bool = False
    """Whether colour is taken out after that."""
    sigma: float = 0.0
    """Standard deviation of the blur at the end, in pixels; 0 for none."""


class DrawColour:
    """Draws the colours of a target view, of which the defaults are the recipe.

    Args:
        brightness (float): Factors come from [max(0, 1 - this), 1 + this]; so do
            those of contrast and saturation. Defaults to 0.4.
        contrast (float): Defaults to 0.4.
        saturation (float): Defaults to 0.4.
        hue (float): Shifts come from [-this, this], at most 0.5. Defaults to 0.1.
        jitter_prob (float): Of these four, together. Defaults to 0.8.
        grey_prob (float): Of losing colour. Defaults to 0.2.
        blur_prob (float): Defaults to 0.5.
        blur_sigma (tuple[float, float]): Range of the standard deviation in
            pixels. Defaults to (0.1, 2.0).

    Raises:
        ValueError: If a number is out of its range.
    """

    def __init__(
        self,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.4,
        hue: float = 0.1,
        jitter_prob: float = 0.8,
        grey_prob: float = 0.2,
        blur_prob: float = 0.5,
        blur_sigma: tuple[float, float] = (0.1, 2.0),
    ) -> None:
        for name, value, high in (
            ('brightness', brightness, float('inf')),
            ('contrast', contrast, float('inf')),
            ('saturation', saturation, float('inf')),
            ('hue', hue, 0.5),
            ('jitter_prob', jitter_prob, 1),
            ('grey_prob', grey_prob, 1),
            ('blur_prob', blur_prob, 1),
        ):
            if not 0 <= value <= high:
                raise ValueError(f'{name}={value} is outside [0, {high}].')
        if len(blur_sigma) != 2 or not 0 <= blur_sigma[0] <= blur_sigma[1]:
            raise ValueError(
                f'blur_sigma={blur_sigma!r}; it takes (low, high) in pixels with '
                '0 <= low <= high, such as (0.1, 2.0).'
            )
        self.factors = (brightness, contrast, saturation)
        self.hue = hue
        self.probs = (jitter_prob, grey_prob, blur_prob)
        self.blur_sigma = tuple(blur_sigma)

    def draw(self) -> Colour:
        """Draw from NumPy's global generator."""
        jitter, grey, blur = np.random.rand(3) < self.probs
        colour = Colour(grey=bool(grey))
        if jitter:
            factors = [np.random.uniform(max(0, 1 - f), 1 + f) for f in self.factors]
            hue = np.random.uniform(-self.hue, self.hue)
            order = tuple(np.random.permutation(4).tolist())
            colour = Colour(order, *factors, hue, bool(grey))
        if blur:
            colour = colour._replace(sigma=np.random.uniform(*self.blur_sigma))
        return colour

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(factors={self.factors}, hue={self.hue}, '
            f'probs={self.probs}, blur_sigma={self.blur_sigma})'
        )


def apply_colour(img: np.ndarray, colour: Colour) -> np.ndarray:
    """Do what was drawn.

    Args:
        img (ndarray): uint8, (H, W, 3), BGR.
        colour (Colour): The draw.

    Returns:
        ndarray: The same shape and type.
    """
    steps = (
        (fast_ops.adjust_brightness, colour.brightness, 1),
        (fast_ops.adjust_contrast, colour.contrast, 1),
        (fast_ops.adjust_saturation, colour.saturation, 1),
        (fast_ops.adjust_hue, colour.hue, 0),
    )
    for step, value, neutral in (steps[i] for i in colour.order):
        if value != neutral:
            img = step(img, value)
    if colour.grey:
        img = fast_ops.to_grey(img)
    if colour.sigma:
        img = fast_ops.gaussian_blur(img, colour.sigma)
    return img
