"""COCO annotations: masks as polygons, and the records of a split in one file."""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from .classes import CLASSES
from .drawing import GENERATOR_VERSION, Instance


def _pixel_outlines(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    """Closed outlines of a mask along pixel borders.

    Args:
        mask (ndarray): Bool of shape (H, W).

    Returns:
        list[list[tuple[int, int]]]: Corner points (x, y) of each outline:
        clockwise (as seen, y down) around 4-connected parts, counter-clockwise
        around holes.
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


def mask_to_polygons(mask: np.ndarray) -> list[list[int]]:
    """Turn a mask into COCO polygons that decode to exactly that mask.

    The polygons run along pixel borders. COCO polygons have no holes, so a
    part with a hole (a ring) is cut in two along a row through the hole.
    Polygons rather than run lengths, since not every reader accepts the
    latter for ``iscrowd=0``.

    Args:
        mask (ndarray): Bool of shape (H, W).

    Returns:
        list[list[int]]: Polygons as flat lists ``[x0, y0, x1, y1, ...]`` in
        pixels; empty for an empty mask.
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


def coco_annotation(instance: Instance) -> dict[str, Any]:
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


def coco_dataset(records: Iterable[dict[str, Any]], size: int) -> dict[str, Any]:
    """Join the records of one split into one COCO dictionary.

    Args:
        records (Iterable[dict]): One per picture, with ``index`` (int), ``path``
            (str) and ``annotations``, the results of :func:`coco_annotation`.
        size (int): Side of the pictures in pixels.

    Returns:
        dict: The content of an annotation file.
    """
    images, annotations = [], []
    for record in records:
        image_id = record['index'] + 1
        images.append(
            {
                'id': image_id,
                'file_name': PurePosixPath(record['path']).name,
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
