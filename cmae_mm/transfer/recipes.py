"""The packaged configs that transfer takes its settings from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """A packaged config, and what has to be known to change its batch and length.

    Args:
        config (str): Its file, below ``configs``.
        batch (int): Images per step that its learning rate is for.
        each (int): Images per GPU and step.
        side (int): Of crops or images at most, pixels.
        passes (int): How often it sees a training image.
    """

    config: str
    batch: int
    each: int
    side: int
    passes: int


def by_width(recipes: dict[int, Recipe], width: int, small: Recipe) -> Recipe:
    """The recipe of the next smaller encoder.

    Args:
        recipes (dict[int, Recipe]): By the width from which on they serve.
        width (int): Of the encoder.
        small (Recipe): For those below all of them.

    Returns:
        Recipe: One of them.
    """
    fitting = [least for least in recipes if least <= width]
    return recipes[max(fitting)] if fitting else small
