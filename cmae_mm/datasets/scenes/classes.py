"""The classes: names, in the order of their ids, and colours for display."""

CLASSES: tuple[str, ...] = (
    'triangle',
    'square',
    'disc',
    'star',
    'cross',
    'ring',
)
"""Class names. The class id of ``CLASSES[i]`` is ``i + 1``; 0 is background."""

PALETTE: tuple[tuple[int, int, int], ...] = (
    (0, 0, 0),
    (230, 97, 1),
    (94, 60, 153),
    (27, 158, 119),
    (240, 200, 40),
    (228, 26, 88),
    (102, 194, 230),
)
"""RGB display colours of the background and of the six classes."""
