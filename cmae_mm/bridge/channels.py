"""From the released weights' blue-green-red to red-green-blue, exactly.

The authors' pipeline shows its networks BGR pictures, normalised with the mean and
the standard deviation of RGB: their first channel is blue, minus the mean of red,
over the deviation of red. Found by running it (the order of the published files is
inferred from that). Ours shows RGB, normalised as RGB. The relation of the two
inputs is linear in every pixel, so the first linear layer can undo it.
"""

import torch

from .errors import ConversionError
from .names import Weights, shape_of

# Of the pixels 0..255 of ImageNet, red, green, blue; both pipelines have these.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
SWAP = [2, 1, 0]  # red and blue; its own inverse


def bgr_to_rgb(weights: Weights) -> Weights:
    """Make a CMAE that was trained on the authors' pictures take ours.

    The encoders take RGB with unchanged features (up to rounding), for images whose
    sides are multiples of the patch size: no padding enters. The rows of the pixel
    decoder's last layer are put in the order of RGB, so that a reconstruction has
    its red in the first channel. That is no exact equality: it learnt pixels whose
    blue lay 0.34 lower and whose red 0.35 higher than ours (the difference of the
    means over the deviation), normalised per patch over all channels together,
    which no fixed layer can undo.

    Args:
        weights (dict[str, Tensor]): State dict of :class:`cmae_mm.CMAE`, three
            channels.

    Returns:
        dict[str, Tensor]: The same, with these layers replaced.

    Raises:
        ConversionError: If one of these layers is incomplete, or not of three channels.
    """
    changed = dict(weights)
    for part in ('backbone', 'target_backbone'):
        name = f'{part}.patch_embed.projection'
        if f'{name}.weight' in weights:
            _check_patch_embedding(weights, name)
            changed[f'{name}.weight'], changed[f'{name}.bias'] = rgb_patch_embedding(
                weights[f'{name}.weight'], weights[f'{name}.bias']
            )
    for kind in ('weight', 'bias'):
        name = f'pixel_decoder.decoder_pred.{kind}'
        if name in weights:
            rows, *_ = shape_of(weights, name, 2 if kind == 'weight' else 1)
            if rows % 3:
                raise ConversionError(
                    f'{name} has {rows} rows; for the colours of pixels they would be '
                    'a multiple of 3.'
                )
            changed[name] = rgb_pixels(weights[name])
    return changed


def _check_patch_embedding(weights: Weights, name: str) -> None:
    """Refuse what the arithmetic would stumble over, or spread."""
    width, channels, *_ = shape_of(weights, f'{name}.weight', 4)
    (biases,) = shape_of(weights, f'{name}.bias', 1)
    if channels != 3 or biases != width:
        raise ConversionError(
            f'{name} has {channels} channels, {width} outputs and {biases} biases; '
            'expected are 3 channels, and one bias per output.'
        )


def rgb_patch_embedding(
    weight: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias for our input that act as the given ones do for theirs.

    Their channel c holds the colour k = SWAP[c]: theirs_c = (pixel_k - mean_c) / std_c,
    and pixel_k = ours_k * std_k + mean_k, hence
    theirs_c = ours_k * std_k / std_c + (mean_k - mean_c) / std_c.

    Args:
        weight (Tensor): (D, 3, P, P).
        bias (Tensor): (D,).

    Returns:
        tuple[Tensor, Tensor]: The same shapes and types; the arithmetic between is
        float64.
    """
    mean = torch.tensor(MEAN, dtype=torch.float64)
    std = torch.tensor(STD, dtype=torch.float64)
    gain = std[SWAP] / std
    offset = (mean[SWAP] - mean) / std
    exact = weight.double()
    new_weight = (exact * gain.view(1, 3, 1, 1))[:, SWAP]
    new_bias = bias.double() + exact.sum(dim=(2, 3)) @ offset
    return new_weight.to(weight.dtype), new_bias.to(bias.dtype)


def rgb_pixels(rows: torch.Tensor) -> torch.Tensor:
    """Swap red and blue in the output of a pixel decoder.

    Args:
        rows (Tensor): Weight (P*P*3, D) or bias (P*P*3,) of its last layer. The
            channel changes fastest, as in ``MAEPretrainHead.patchify``.
    """
    return rows.unflatten(0, (-1, 3))[:, SWAP].flatten(0, 1)


def as_released_input(images: torch.Tensor) -> torch.Tensor:
    """What the authors' network is shown where ours is shown ``images``.

    Args:
        images (Tensor): RGB, normalised as RGB, (B, 3, H, W).
    """
    mean = images.new_tensor(MEAN).view(3, 1, 1)
    std = images.new_tensor(STD).view(3, 1, 1)
    return ((images * std + mean)[:, SWAP] - mean) / std
