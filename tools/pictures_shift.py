"""The figure of the pixel shift: which part of the master crop each view sees."""

import numpy as np
from pictures_canvas import BLUE, ORANGE, Sheet
from pictures_views import draw_master, read_recipe

WIDTH, HEIGHT = 830, 388
SIDE, TOP = 240, 24  # of a master crop as shown
LEFTS = (28, 295, 562)
PLACE = 6  # row and column of the patch that is marked in both views
ORANGE_DASHES = dict(color=ORANGE, dashed=True)


def seen_by_both(shift: tuple[int, int], view: int) -> float:
    """Share of a view that the other one sees as well, in [0, 1]."""
    return (view - shift[0]) * (view - shift[1]) / view**2


def tint(master: np.ndarray, shift: tuple[int, int], view: int) -> np.ndarray:
    """Mark what only one view sees.

    Args:
        master (ndarray): RGB, uint8 (M, M, 3).
        shift (tuple[int, int]): Of the target view, down and right, in pixels.
        view (int): Side of a view in pixels.

    Returns:
        ndarray: The master crop: as it is where both see it, blueish or orange where
        one does, pale where none does.
    """
    down, right = shift
    online, target = np.zeros((2, *master.shape[:2]), bool)
    online[:view, :view] = True
    target[down : down + view, right : right + view] = True
    tinted = master.astype(float)
    for where, colour, share in (
        (online & ~target, (29, 78, 216), 0.55),
        (target & ~online, (234, 120, 40), 0.55),
        (~online & ~target, (255, 255, 255), 0.75),
    ):
        tinted[where] += share * (np.array(colour) - tinted[where])
    return tinted.round().astype(np.uint8)


def draw_shift() -> Sheet:
    """Draw the figure of the pixel shift."""
    cfg = read_recipe()
    crop, views = cfg.train_dataloader.dataset.pipeline[:2]
    largest = views.shift_range[1] - 1
    master = draw_master(crop.scale)
    scale, patch = SIDE / crop.scale, cfg.model.backbone.patch_size
    sheet = Sheet(WIDTH, HEIGHT)
    shifts = ((0, 0), (largest // 2, largest // 2 + 1), (largest, largest))
    for left, shift in zip(LEFTS, shifts, strict=True):
        sheet.picture(left, TOP, SIDE, tint(master, shift, views.size))
        views_shown = (((0, 0), dict(color=BLUE)), (shift, ORANGE_DASHES))
        for (down, right), style in views_shown:
            corner = (left + scale * right, TOP + scale * down)
            # Without a shift both frames are at one place; the dashes then let the
            # other show.
            halo = style is not ORANGE_DASHES or any(shift)
            sheet.frame(*corner, scale * views.size, halo=halo, **style)
            marked = (start + scale * patch * PLACE for start in corner)
            sheet.frame(*marked, scale * patch, halo=halo, **style)
        middle, common = left + SIDE / 2, seen_by_both(shift, views.size)
        title = f'{shift[0]} down, {shift[1]} right'
        sheet.words(middle, TOP + SIDE + 26, title, 19.5, weight='bold')
        sheet.words(
            middle, TOP + SIDE + 52, f'{common:.0%} in common'.replace('%', ' %')
        )
    draw_key(sheet)
    return sheet


def draw_key(sheet: Sheet) -> None:
    """What the frames mean."""
    sheet.frame(LEFTS[0] + 40, 346, 16, BLUE, halo=False)
    sheet.words(LEFTS[0] + 66, 354, 'online view', ha='left')
    sheet.frame(LEFTS[1] - 30, 346, 16, halo=False, **ORANGE_DASHES)
    sheet.words(LEFTS[1] - 4, 354, 'target view', ha='left')
    words = 'small squares: the same patch'
    sheet.words(LEFTS[1] + 152, 354, words, ha='left')
