"""The target view's colours on the device of the model, a batch at a time.

Colour jitter, loss of colour and blur of the reference pipeline, as drawn by
:class:`cmae_mm.TwoViews`. Computed in float32 with the roundings of Pillow, so that
each operation gives its pixels (measured on 60 photos of ImageNet): brightness,
contrast, saturation and grey differ by 0.0003 levels in the mean and 1 at most, hue
by 0.003 and 6, and the blur as the one of :mod:`cmae_mm.datasets.fast_ops` does.

Images are (N, 3, H, W), float, BGR, in levels 0 to 255; values per image (N,).
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from cmae_mm.datasets.colour import Colour
from cmae_mm.datasets.fast_ops import blur_taps


@torch.no_grad()
def colour_batch(images: torch.Tensor, colours: Sequence[Colour]) -> torch.Tensor:
    """Give each image of a batch its own colours.

    Every image passes through the operations that were drawn for it, and no
    other: images that share one are picked out, changed and put back. Which ones,
    the host knows, so the device is never waited for.

    Args:
        images (Tensor): uint8 or float, (B, 3, H, W), BGR, 0 to 255.
        colours (Sequence[Colour]): One draw per image.

    Returns:
        Tensor: float32, (B, 3, H, W), whole levels from 0 to 255.
    """
    # A copy also of float images: those of the caller stay as they are.
    images = images.to(torch.float32, copy=True)
    # AMP wraps the preprocessor, too; half precision cannot tell levels apart.
    with torch.autocast(images.device.type, enabled=False):
        for slot in range(4):
            for step, (change, name, neutral) in enumerate(_JITTER):
                values = {
                    i: getattr(colour, name)
                    for i, colour in enumerate(colours)
                    if colour.order[slot] == step and getattr(colour, name) != neutral
                }
                _change(images, values, change)
        _change(images, {i: 0.0 for i, c in enumerate(colours) if c.grey}, _to_grey)
        _change(images, _all_taps(colours), _blur)
    return images


def _change(images: torch.Tensor, values: dict, change: Callable) -> None:
    """Change some images in place, each by its own value."""
    if not values:
        return
    chosen = _send(torch.tensor(list(values)), images.device)
    amounts = np.array(list(values.values()), dtype=np.float32)
    amounts = _send(torch.from_numpy(amounts), images.device)
    images.index_copy_(0, chosen, change(images.index_select(0, chosen), amounts))


def _send(numbers: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Move a few numbers to the device without waiting for it."""
    if device.type == 'cuda':
        numbers = numbers.pin_memory()
    return numbers.to(device, non_blocking=True)


def _luma(images: torch.Tensor) -> torch.Tensor:
    """Grey level (N, 1, H, W), rounded."""
    blue, green, red = images.unbind(1)
    # The weights 0.114, 0.587 and 0.299 in 65536ths: exact in float32.
    total = 7471 * blue + 38470 * green + 19595 * red
    return ((total + 32768) / 65536).floor()[:, None]


def _blend(
    images: torch.Tensor, base: torch.Tensor | float, factor: torch.Tensor
) -> torch.Tensor:
    """Move away from ``base`` by ``factor``; the fraction is cut off."""
    out = base + factor.view(-1, 1, 1, 1) * (images - base)
    return out.clamp_(0, 255).floor_()


def _brightness(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return _blend(images, 0.0, factor)


def _contrast(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    mean = (_luma(images).mean(dim=(1, 2, 3), keepdim=True) + 0.5).floor()
    return _blend(images, mean, factor)


def _saturation(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return _blend(images, _luma(images), factor)


def _hue(images: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Turn the hue by a share of the circle, through HSV in 8 bits."""
    blue, green, red = images.unbind(1)
    value, low = images.amax(1), images.amin(1)
    chroma = value - low
    safe = chroma.clamp(min=1)  # where chroma is 0, saturation will be 0
    sixths = torch.where(
        red == value,
        (green - blue) / safe,
        torch.where(green == value, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    hue = ((sixths / 6) % 1 * 255).floor()
    saturation = (255 * chroma / value.clamp(min=1)).floor() / 255
    hue = (hue + (shift * 255).trunc().view(-1, 1, 1)) % 256
    # Of each channel, how far round the circle it is from where it is strongest.
    away = torch.stack([hue * (6 / 255) + start for start in (1, 3, 5)], dim=1) % 6
    lost = torch.minimum(away, 4 - away).clamp_(0, 1)
    return (value[:, None] * (1 - saturation[:, None] * lost) + 0.5).floor()


def _to_grey(images: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    return _luma(images).expand_as(images)


def _all_taps(colours: Sequence[Colour]) -> dict[int, np.ndarray]:
    """Filters of the images that are to be blurred, all of the same length."""
    taps = {i: blur_taps(c.sigma) for i, c in enumerate(colours) if c.sigma}
    longest = max((len(t) for t in taps.values()), default=0)
    return {i: np.pad(t, (longest - len(t)) // 2) for i, t in taps.items()}


def _blur(images: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
    """Filter rows and columns of each image by its own taps (N, K), K odd."""
    count, channels, height, width = images.shape
    reach = taps.shape[1] // 2
    weight = taps.repeat_interleave(channels, dim=0)[:, None, None]  # (N*3, 1, 1, K)
    out = F.pad(images, [reach] * 4, mode='replicate')
    out = out.reshape(1, count * channels, *out.shape[2:])
    out = F.conv2d(out, weight, groups=count * channels)
    out = F.conv2d(out, weight.transpose(2, 3), groups=count * channels)
    return out.view(count, channels, height, width).add_(0.5).floor_()


_JITTER = (
    (_brightness, 'brightness', 1),
    (_contrast, 'contrast', 1),
    (_saturation, 'saturation', 1),
    (_hue, 'hue', 0),
)
