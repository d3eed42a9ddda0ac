"""Size of ConvMAE's hybrid encoder, read off its tensors."""

from dataclasses import dataclass, field

from .errors import ConversionError
from .names import Weights, shape_of
from .vit import Hints, find_grid, find_heads


@dataclass(frozen=True)
class HybridSize:
    """What has to be known to build a :class:`cmae_mm.models.ConvViT`.

    Args:
        widths (tuple[int, ...]): Numbers per place, of each stage.
        depths (tuple[int, ...]): Blocks of each stage.
        strides (tuple[int, ...]): Side of a patch, in places of the stage before.
        heads (int): Attention heads of the last stage.
        hidden (int): Width inside the MLPs of the last stage.
        grid (tuple[int, int]): Rows and columns of patches of the last stage.
        channels (int): Channels of an image.
        scales (bool): Whether the maps of all stages are added in front of the last
            LayerNorm, as in pre-training.
        pooled (bool): See :class:`cmae_mm.bridge.vit.ViTSize`.
        final_norm (bool): See there.
        heads_assumed (bool): See there.
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    strides: tuple[int, ...]
    heads: int
    hidden: int
    grid: tuple[int, int]
    channels: int
    scales: bool
    pooled: bool
    final_norm: bool
    heads_assumed: bool = field(default=False, compare=False)

    eps = 1e-6  # of all LayerNorms; the class knows no other

    @property
    def width(self) -> int:
        """Numbers per token."""
        return self.widths[-1]

    @property
    def patch(self) -> int:
        """Side of a patch of the last stage, pixels."""
        side = 1
        for stride in self.strides:
            side *= stride
        return side

    @property
    def image(self) -> tuple[int, int]:
        """Height and width of the images, pixels."""
        return self.grid[0] * self.patch, self.grid[1] * self.patch

    def __str__(self) -> str:
        height, width = self.image
        return (
            f'ConvViT of widths {self.widths}, depths {self.depths}, {self.heads} '
            f'heads, patch {self.patch}, for {height}x{width} images of '
            f'{self.channels} channels'
        )


def is_hybrid(backbone: Weights) -> bool:
    """Whether these are tensors of ConvMAE's hybrid."""
    return any(name.startswith('stages.') for name in backbone)


def measure_hybrid(backbone: Weights, hints: Hints) -> HybridSize:
    """Find the size of a hybrid backbone.

    Args:
        backbone (dict[str, Tensor]): State dict in the names of
            :class:`cmae_mm.models.ConvViT`.
        hints (Hints): What its tensors do not tell.

    Returns:
        HybridSize: Its size.

    Raises:
        ConversionError: If tensors are missing, or something that they do not tell.
    """
    parts = [*(f'stages.{i}.' for i in range(_stages(backbone))), '']
    try:
        kernels = [
            shape_of(backbone, f'{part}patch_embed.projection.weight', 4)
            for part in parts
        ]
        _, positions, width = shape_of(backbone, 'pos_embed', 3)
        hidden, _ = shape_of(backbone, 'layers.0.ffn.layers.0.0.weight', 2)
    except ConversionError as error:
        raise ConversionError(
            f"The backbone looks like ConvMAE's hybrid, but is incomplete: {error}"
        ) from error
    blocks = [f'{part}blocks.' if part else 'layers.' for part in parts]
    pooled = 'ln2.weight' in backbone
    return HybridSize(
        widths=tuple(kernel[0] for kernel in kernels),
        depths=tuple(
            sum(n.startswith(start) and n.endswith('.ln1.weight') for n in backbone)
            for start in blocks
        ),
        strides=tuple(kernel[2] for kernel in kernels),
        heads=find_heads(width, hints.heads),
        hidden=hidden,
        grid=find_grid(positions, hints.grid),
        channels=kernels[0][1],
        scales=any(name.startswith('scale_projs.') for name in backbone),
        pooled=pooled,
        final_norm='ln1.weight' in backbone or not pooled,
        heads_assumed=hints.heads is None,
    )


def _stages(backbone: Weights) -> int:
    """How many stages of convolutions there are; a gap shows when one is missing."""
    numbers = set()
    for name in backbone:
        if name.startswith('stages.'):
            number = name.split('.')[1]
            if not number.isdecimal():
                raise ConversionError(
                    f"The backbone looks like ConvMAE's hybrid, but {name} is in it, "
                    'and stages have numbers there. The file is of another network.'
                )
            numbers.add(int(number))
    return len(numbers)


def plain_only(size: object, library: str) -> None:
    """Refuse a hybrid where there is no class for it.

    Args:
        size (ViTSize | HybridSize): Of what is to be written.
        library (str): Its name, for the error.

    Raises:
        ConversionError: If it is a hybrid.
    """
    if isinstance(size, HybridSize):
        raise ConversionError(
            f"This is ConvMAE's hybrid of convolutions and attention, for which "
            f'{library} has no class. It can go to torch, onnx, safetensors and '
            'cmae-mm.'
        )
