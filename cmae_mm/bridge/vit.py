"""Size of a vision transformer, read off its tensors."""

from dataclasses import dataclass, field, replace
from math import isfinite, isqrt

from .errors import ConversionError
from .names import Weights, shape_of, some_of

# Heads leave no trace in the tensors: 64 numbers per head in ViT-S, B and L, 80 in
# ViT-H. The comparison of the features cannot prove these guesses: both sides are
# built with them. Any other width may have any number (ours of 192 has 6, DeiT-Ti
# has 3).
STANDARD_HEADS = {384: 6, 768: 12, 1024: 16, 1280: 16}


@dataclass(frozen=True)
class ViTSize:
    """What has to be known to build a plain vision transformer.

    Args:
        width (int): Numbers per token.
        depth (int): Blocks.
        heads (int): Attention heads per block.
        hidden (int): Width inside the MLPs.
        patch (int): Side of a patch, pixels.
        grid (tuple[int, int]): Rows and columns of patches.
        channels (int): Channels of an image.
        pooled (bool): Whether a LayerNorm stands after the mean over the patches, as
            in fine-tuned models.
        eps (float): Of all LayerNorms.
        final_norm (bool): Whether one follows the last block, at every token. Most
            pooled models have it no more; where both stand, this one acts first.
        heads_assumed (bool): Whether nobody said ``heads``; those that are usual at
            this width were taken. Two sizes are equal without it.
    """

    width: int
    depth: int
    heads: int
    hidden: int
    patch: int
    grid: tuple[int, int]
    channels: int
    pooled: bool
    eps: float = 1e-6
    final_norm: bool = True
    heads_assumed: bool = field(default=False, compare=False)

    @property
    def image(self) -> tuple[int, int]:
        """Height and width of the images, pixels."""
        return self.grid[0] * self.patch, self.grid[1] * self.patch

    def __str__(self) -> str:
        height, width = self.image
        return (
            f'ViT of width {self.width}, depth {self.depth}, {self.heads} heads, '
            f'patch {self.patch}, for {height}x{width} images of {self.channels} '
            'channels'
        )


@dataclass(frozen=True)
class Hints:
    """What the tensors do not tell; None where nobody said it.

    Args:
        heads (int, optional): Attention heads; otherwise those of ViT-S, B, L or H.
        grid (tuple[int, int], optional): Rows and columns of patches; otherwise a
            square.
        eps (float, optional): Of the LayerNorms; otherwise mmpretrain's 1e-6.
    """

    heads: int | None = None
    grid: tuple[int, int] | None = None
    eps: float | None = None

    def or_else(self, **said) -> 'Hints':
        """These, completed by the same from a second place."""
        mine = {k: v for k, v in vars(self).items() if v is not None}
        return replace(self, **{**said, **mine})


def measure(backbone: Weights, hints: Hints) -> ViTSize:
    """Find the size of a backbone.

    Args:
        backbone (dict[str, Tensor]): State dict in the names of
            :class:`mmpretrain.VisionTransformer`.
        hints (Hints): What its tensors do not tell.

    Returns:
        ViTSize: Its size.

    Raises:
        ConversionError: If it is not a plain vision transformer, or something that
            its tensors do not tell is missing or does not fit.
    """
    depth = sum(name.endswith('.ln1.weight') for name in backbone)
    last = [norm for norm in ('ln1', 'ln2') if f'{norm}.weight' in backbone]
    _check_names(set(backbone), _names(depth, last or ['ln1']))

    kernel = shape_of(backbone, 'patch_embed.projection.weight', 4)
    width, channels, patch, _ = kernel
    if kernel[3] != patch:
        raise ConversionError(
            f'The patch embedding is a tensor of {kernel}; needed: width, channels, '
            'and the side of a square patch twice.'
        )
    _, positions, _ = shape_of(backbone, 'pos_embed', 3)
    hidden, _ = shape_of(backbone, 'layers.0.ffn.layers.0.0.weight', 2)
    return ViTSize(
        width=width,
        depth=depth,
        heads=find_heads(width, hints.heads),
        hidden=hidden,
        patch=patch,
        grid=find_grid(positions - 1, hints.grid),
        channels=channels,
        pooled='ln2' in last,
        eps=_eps(hints.eps),
        final_norm='ln1' in last,
        heads_assumed=hints.heads is None,
    )


def one_last_norm(size: ViTSize, network: str) -> None:
    """Refuse a backbone with both last norms where there is a place for one.

    No folding is exact: what the first makes of each token depends on this token.

    Args:
        size (ViTSize): Of what is read or to be written.
        network (str): Who has a place for one, for the error.

    Raises:
        ConversionError: If it has both.
    """
    if size.final_norm and size.pooled:
        raise ConversionError(
            'This backbone has a last norm at every token and another after the mean '
            f'over the patches. {network} has a place for one of them, and the two '
            'cannot be made one. torch, onnx, safetensors and cmae-mm hold both.'
        )


def find_heads(width: int, said: int | None) -> int:
    """Number of attention heads.

    Args:
        width (int): Numbers per token.
        said (int, optional): By the user or the file.

    Raises:
        ConversionError: If nobody said it and it cannot be guessed, or it makes no
            sense.
    """
    if said is None and width not in STANDARD_HEADS:
        raise ConversionError(
            f'The number of heads of a ViT of width {width} cannot be read off its '
            'tensors. Say it: --heads N, in Python heads=N (the width per head is '
            'mostly 32 or 64).'
        )
    heads = STANDARD_HEADS[width] if said is None else said
    if type(heads) is not int:
        raise ConversionError(
            f'The number of heads is said to be {heads!r}, which is no whole number. '
            'Say it: --heads N.'
        )
    if heads < 1 or width % heads:
        raise ConversionError(f'{heads} heads do not divide the width of {width}.')
    return heads


def find_grid(patches: int, said: tuple[int, int] | None) -> tuple[int, int]:
    """Rows and columns of patches.

    Args:
        patches (int): How many there are.
        said (tuple[int, int], optional): By the user or the file.

    Raises:
        ConversionError: If they are not as many, or no square and nobody said more.
    """
    sides = said or (isqrt(max(patches, 0)),) * 2
    # What a file says may be anything.
    whole = isinstance(sides, (list, tuple)) and [type(n) for n in sides] == [int, int]
    if not whole or min(sides) < 1 or sides[0] * sides[1] != patches:
        shown = 'x'.join(map(str, sides)) if whole else repr(sides)
        raise ConversionError(
            f'The positions, less that of a class token, are those of {patches} '
            f'patches, which are not {shown}. Say what they are: --grid ROWS COLUMNS.'
        )
    return tuple(sides)


def _eps(said: float | None) -> float:
    """Eps of the LayerNorms."""
    if said is None:
        return 1e-6
    if type(said) not in (int, float) or not (isfinite(said) and said >= 0):
        raise ConversionError(
            f'The eps of the LayerNorms is said to be {said!r}; a small number such '
            'as 1e-06 is expected. Mend the file that says so (config.json, or what '
            'the bridge wrote beside the weights).'
        )
    return said


def _names(depth: int, last: list[str]) -> set[str]:
    """All names of a plain vision transformer that ends in these norms."""
    inside = ('ln1', 'attn.qkv', 'attn.proj', 'ln2', 'ffn.layers.0.0', 'ffn.layers.1')
    layers = [f'layers.{i}.{layer}' for i in range(max(depth, 1)) for layer in inside]
    modules = ['patch_embed.projection', *layers, *last]
    return {
        'cls_token',
        'pos_embed',
        *(f'{module}.{kind}' for module in modules for kind in ('weight', 'bias')),
    }


def _check_names(came: set[str], wanted: set[str]) -> None:
    """Refuse a backbone of another architecture, and say why."""
    missing, strange = sorted(wanted - came), sorted(came - wanted)
    if missing or strange:
        raise ConversionError(
            'The backbone is no plain vision transformer in the names of mmpretrain. '
            f'Missing: {some_of(missing)}; not expected: {some_of(strange)}. '
            'Weights of others go through cmae convert, by the --from of their format.'
        )
