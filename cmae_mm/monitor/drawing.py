"""Rows of small pictures, and heat maps on them; all arrays are RGB, uint8."""

import cv2
import numpy as np

GAP = 4  # white pixels between pictures
SIDE = 192  # a picture is enlarged to at least this height
COLOURS = ((255, 80, 80), (90, 220, 255), (255, 220, 60))
WHITE = (255, 255, 255)


def enlarge(image: np.ndarray) -> np.ndarray:
    """Repeat every pixel of (H, W, 3) until the picture is 192 pixels high or more."""
    times = -(-SIDE // image.shape[0])
    return image.repeat(times, axis=0).repeat(times, axis=1)


def row(images: list[np.ndarray]) -> np.ndarray:
    """Pictures of the same size side by side, with thin white gaps."""
    gap = np.full((images[0].shape[0], GAP, 3), 255, np.uint8)
    parts = [part for image in images for part in (image, gap)]
    return np.concatenate(parts[:-1], axis=1)


def column(rows: list[np.ndarray]) -> np.ndarray:
    """Rows of the same width one below the other, with thin white gaps."""
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    parts = [part for one in rows for part in (one, gap)]
    return np.concatenate(parts[:-1], axis=0)


def outline(
    image: np.ndarray,
    place: tuple[float, float],
    patch: float,
    colour: tuple[int, int, int],
    thickness: int = 2,
) -> None:
    """Draw the border of a patch into a picture, in place.

    Args:
        image (ndarray): (H, W, 3).
        place (tuple[float, float]): Row and column, in patches.
        patch (float): Side of a patch in the pixels of this picture.
        colour (tuple[int, int, int]): RGB.
        thickness (int): Pixels. Defaults to 2.
    """
    top, left = (round(p * patch) for p in place)
    right, bottom = round(left + patch) - 1, round(top + patch) - 1
    cv2.rectangle(image, (left, top), (right, bottom), colour, thickness)


def heat(image: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """Lay similarities over a picture that has lost its colours.

    The scale is the same for all maps: 0 and below is dark, 1 is bright yellow.

    Args:
        image (ndarray): (H, W, 3).
        cosines (ndarray): In [-1, 1], (rows, cols); both divide H and W.
    """
    height, width = image.shape[:2]
    levels = np.round(255 * cosines.clip(0, 1)).astype(np.uint8)
    levels = cv2.resize(levels, (width, height), interpolation=cv2.INTER_NEAREST)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]
    grey = image.mean(axis=2, keepdims=True)
    return (0.5 * grey + 0.6 * colours).clip(0, 255).astype(np.uint8)


def match_row(
    masked: np.ndarray,
    target: np.ndarray,
    maps: np.ndarray,
    ids: np.ndarray,
    places: np.ndarray,
    grid: tuple[int, int],
) -> np.ndarray:
    """Three patches of a view, and where the target view resembles each.

    Args:
        masked (ndarray): What the online branch sees, (H, W, 3), H of 192 or more.
        target (ndarray): The target's view, the same size.
        maps (ndarray): Cosines of each patch, (3, L).
        ids (ndarray): Places of the patches in the online view, (3,).
        places (ndarray): True rows and columns in the target view, (3, 2); NaN if
            unknown.
        grid (tuple[int, int]): Rows and columns of patches.

    Returns:
        ndarray: The view with the patches outlined, then for each a heat map with the
        true place outlined in its colour and the best match in white.
    """
    patch = masked.shape[0] / grid[0]
    view, tiles = masked.copy(), []
    for cosines, index, place, colour in zip(maps, ids, places, COLOURS, strict=False):
        outline(view, divmod(int(index), grid[1]), patch, colour)
        tile = heat(target, cosines.reshape(grid))
        outline(tile, divmod(int(cosines.argmax()), grid[1]), patch, WHITE, 1)
        if np.isfinite(place).all():
            outline(tile, tuple(place), patch, colour)
        tiles.append(tile)
    return row([view, *tiles])
