"""What crop and pixel shift of a config do to the images at hand."""

from collections.abc import Iterator, Sequence
from math import prod
from statistics import mean, median
from typing import Any

from mmpretrain.datasets.transforms import RandomResizedCrop

from cmae_mm.datasets import PixelShift
from cmae_mm.datasets.decoder import read_file
from cmae_mm.datasets.headers import read_header
from cmae_mm.datasets.refused import Refused

from .finding import Finding

_SAMPLED = 64  # images whose size is looked at
_MUCH = 0.9  # share of enlarged crops from which on it is said


def look_at_views(dataset: Any) -> Iterator[Finding]:
    """Say how much both views share, and how many crops small images make blurred.

    Args:
        dataset (Dataset): Training images of a pre-training, with the pipeline.

    Yields:
        Finding: One, if there are a random crop and a pixel shift in the pipeline and
        the size of some image is known; otherwise none.
    """
    steps = [*_all_steps(_pipeline_of(dataset))]
    crops = [step for step in steps if isinstance(step, RandomResizedCrop)]
    shifts = [step for step in steps if isinstance(step, PixelShift)]
    sizes = _sizes_of(dataset) if crops and shifts else []
    if not sizes:
        return
    crop, shift = crops[0], shifts[-1]  # the target view is the last
    least, average, most = share_in_common(shift.size, shift.shift_range)
    enlarged = share_enlarged(sizes, crop.scale, crop.crop_ratio_range)
    height, width = (round(median(side)) for side in zip(*sizes, strict=True))
    low, high = shift.shift_range
    text = (
        f'shifted by {low} to {high - 1} of {_by(shift.size)} pixels, both show the '
        f'same {least:.0%} to {most:.0%}, {average:.0%} on average; of images of '
        f'{_by((height, width))} (median of {len(sizes)}), {enlarged:.0%} of the '
        f'crops are enlarged to {_by(crop.scale)}'
    )
    if enlarged > _MUCH:
        text += (
            '. Those are blurred: take a smaller view with its crop and img_size, '
            'or larger images'
        )
    yield Finding('note' if enlarged > _MUCH else 'ok', 'views', text)


def share_in_common(
    size: Sequence[int], shift_range: Sequence[int]
) -> tuple[float, float, float]:
    """What online and target view both show, of the area of one.

    Args:
        size (tuple[int, int]): Height and width of a view in pixels.
        shift_range (tuple[int, int]): Half-open range of the shift in pixels, which is
            drawn uniformly, and for both axes independently.

    Returns:
        tuple[float, float, float]: Least, mean and most, each within [0, 1].
    """

    shares = [[max(0, side - s) / side for s in range(*shift_range)] for side in size]
    least, average, most = (prod(map(of, shares)) for of in (min, mean, max))
    return least, average, most


def share_enlarged(
    sizes: Sequence[tuple[int, int]],
    scale: Sequence[int],
    ratio_range: Sequence[float],
) -> float:
    """How often a random crop has less area than what it is resized to.

    The area is drawn uniformly; what an aspect ratio leaves of it is not looked at.

    Args:
        sizes (list[tuple[int, int]]): Height and width of images in pixels, not empty.
        scale (tuple[int, int]): What crops are resized to.
        ratio_range (tuple[float, float]): Area of a crop, as a share of the image.

    Returns:
        float: Within [0, 1].
    """
    low, high = ratio_range
    wanted = scale[0] * scale[1]
    shares = []
    for height, width in sizes:
        needed = wanted / (height * width)
        if high > low:
            shares.append(min(1.0, max(0.0, (needed - low) / (high - low))))
        else:
            shares.append(float(needed > low))
    return mean(shares)


def _by(size: Sequence[int]) -> str:
    return f'{size[0]}x{size[1]}'


def _pipeline_of(dataset: Any) -> Any:
    """That of the images themselves, inside any wrappers; None if there is none."""
    while dataset is not None and not hasattr(dataset, 'pipeline'):
        inner = getattr(dataset, 'datasets', None)
        dataset = inner[0] if inner else getattr(dataset, 'dataset', None)
    return getattr(dataset, 'pipeline', None)


def _all_steps(step: Any) -> Iterator[Any]:
    """Transforms, and those inside of them, in their order."""
    yield step
    for inner in getattr(step, 'transforms', ()):
        yield from _all_steps(inner)
    if hasattr(step, 'shift'):  # TwoViews
        yield from _all_steps(step.shift)


def _sizes_of(dataset: Any) -> list[tuple[int, int]]:
    """Height and width of some images, those that can be read."""
    sizes: list[tuple[int, int]] = []
    if not hasattr(dataset, 'get_data_info'):  # a class of somebody's own
        return sizes
    for i in range(0, len(dataset), -(-len(dataset) // _SAMPLED)):
        try:
            header = read_header(read_file(dataset.get_data_info(i)['img_path']))
        except (Refused, OSError, KeyError):
            continue
        sizes.append((header.height, header.width))
    return sizes
