"""A trained model and its transform, ready to use; ``cmae_mm.load``."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from cmae_mm.bridge.checkpoints import find_checkpoint
from cmae_mm.bridge.contents import look_into
from cmae_mm.bridge.encoder import Encoder
from cmae_mm.bridge.errors import ConversionError, UsageError
from cmae_mm.bridge.names import part_of
from cmae_mm.bridge.ours import Opened, open_backbone
from cmae_mm.bridge.vit import Hints
from cmae_mm.engine.valid_checkpoint import not_finite

from .transform import Transform

_FROM = {  # other kinds -> the name of the format for the bridge
    "CMAE in its authors' format": 'cmae-released',
    'MAE of facebookresearch/mae': 'mae',
    'ViT of timm, or MAE without its decoder': 'timm',
    'ViT of Hugging Face': 'hf',
}


class Features(NamedTuple):
    """What a network sees in images."""

    vector: torch.Tensor
    """One per image, (N, C): the mean over its patches, which k-NN compares."""
    map: torch.Tensor
    """One vector per patch, (N, C, H, W)."""


class Loaded(nn.Module):
    """A trained encoder with the transform that belongs to it.

    In evaluation mode, and its parameters want no gradient
    (``requires_grad_(True)`` changes that).

    Args:
        path (Path): The file it comes from.
        opened (Opened): What is in it.

    Attributes:
        transform (Transform): Makes a tensor of an image.
        width (int): Length of a vector, C.
        notes (list[str]): What had to be assumed.
        licence (str): What is known of the licence of the weights.
    """

    def __init__(self, path: Path, opened: Opened) -> None:
        super().__init__()
        self.path = path
        self.size = opened.size
        self.width = opened.size.width
        self.licence = opened.licence
        self.notes = [*opened.rules.notes]
        if opened.size.heads_assumed:
            self.notes.append(f'{opened.size.heads} heads are assumed from the width')
        self.encoder = Encoder(part_of(opened.weights, 'backbone'), opened.size)
        self.transform = Transform(opened.rules, opened.size.image)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: torch.Tensor) -> Features:
        """Encode images.

        Args:
            images (Tensor): From ``transform``: (C, H, W), or (N, C, H, W); on any
                device. Other heights and widths may be given, multiples of the
                patch; the positions are interpolated.

        Returns:
            Features: ``vector`` and ``map``, on the device of the network.

        Raises:
            ValueError: If the shape does not fit.
        """
        images = images[None] if images.ndim == 3 else images
        patch, channels = self.size.patch, self.size.channels
        fits = images.ndim == 4 and images.shape[1] == channels
        if not fits or any(side % patch or not side for side in images.shape[2:]):
            raise ValueError(
                f'Images of {tuple(images.shape)} came; expected are (N, {channels}, '
                f'height, width), multiples of the patch of {patch} pixels, or one '
                f'without N. net.transform(image) gives {self.size.image}.'
            )
        weight = next(self.encoder.parameters())
        return Features(*self.encoder(images.to(weight.device, weight.dtype)))


def load(
    path: str | Path, device: str | torch.device = 'cpu', *, heads: int | None = None
) -> Loaded:
    """Load a trained encoder and its transform. Nothing in the file is run.

    .. code-block:: python

        net = cmae_mm.load('epoch_300.pth')
        features = net(net.transform('image.jpg'))
        features.vector, features.map

    Args:
        path (str | Path): A checkpoint of cmae_mm, from pre-training or transfer; a
            folder of a run, of which the newest whole checkpoint is taken; or a
            backbone that ``cmae export --to safetensors`` or ``cmae convert --to
            cmae-mm`` wrote. Architecture, mean, std and size of the images come from
            the config in it, or in the run's folder; or from what the bridge has put
            beside the weights; otherwise from the shapes of the weights.
        device (str | torch.device): Where the network goes. Defaults to 'cpu'.
        heads (int, optional): Attention heads, where nobody tells them.

    Returns:
        Loaded: Images to features.

    Raises:
        FileNotFoundError: If there is no such file.
        UsageError: If a folder holds no checkpoint, or the device cannot be used.
        ConversionError: If it is damaged, foreign, not finite, or asks for code.
    """
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        raise UsageError(
            f'The device {device} cannot be used here: {str(error).splitlines()[0]} '
            "Try 'cpu'."
        ) from error
    path = find_checkpoint(path)
    try:
        opened = open_backbone(path, Hints(heads=heads))
    except ConversionError as error:
        if source := _foreign(path):
            raise ConversionError(
                f'{path} is in a format of others. Convert it once: cmae convert '
                f'{path} OURS.pth --from {source} --to cmae-mm'
            ) from error
        raise
    if sick := not_finite(part_of(opened.weights, 'backbone')):
        raise ConversionError(
            f'{len(sick)} tensors of the backbone in {path} are not finite, such as '
            f'{", ".join(sick[:3])}. Take an earlier checkpoint.'
        )
    return Loaded(path, opened).to(device)


def _foreign(path: Path) -> str | None:
    """The format of a file of others, as the bridge names it."""
    kind = look_into(path).kind
    return next((name for end, name in _FROM.items() if kind.endswith(end)), None)
