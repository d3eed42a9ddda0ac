from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from . import huggingface, mae, ours, released, timm_vit
from .errors import ConversionError, UsageError
from .files import finished_only
from .hybrid import HybridSize
from .source import Features, Source, largest_difference
from .vit import Hints, ViTSize

TOLERANCE = 1e-4  # of float32 features behind a LayerNorm, thus of about 1
READERS: dict[str, Callable[..., Source]] = {
    'cmae-released': released.read,
    'mae': mae.read,
    'timm': timm_vit.read,
    'hf': huggingface.read,
    'cmae-mm': ours.read,
}
WRITERS: dict[str, Callable[[Source, Path], tuple[Features, list[str]]]] = {
    'cmae-mm': ours.write,
    'timm': timm_vit.write,
    'hf': huggingface.write,
    'safetensors': ours.write_safetensors,
}
ENDINGS = {
    'cmae-mm': ('.pth',),
    'timm': ('.pth', '.safetensors'),
    'safetensors': ('.safetensors',),
}


@dataclass
class Conversion:
    """What was done.

    Args:
        size (ViTSize | HybridSize): Size of the backbone.
        parts (dict[str, int]): Tensors written, by part of CMAE.
        left_out (dict[str, int]): Tensors not written, by part of the source.
        difference (float): Largest absolute difference between a feature of the
            source and of what was written, on random images.
        notes (list[str]): What the user should know.
        licence (str): What is known of the licence of the weights.
        checked (str): How what was written was read back.
    """

    size: ViTSize | HybridSize
    parts: dict[str, int]
    left_out: dict[str, int]
    difference: float
    notes: list[str]
    licence: str
    checked: str = 'loaded strictly'


def convert(
    src: str | Path,
    dst: str | Path,
    source: str,
    target: str,
    *,
    heads: int | None = None,
    grid: tuple[int, int] | None = None,
    channels: str | None = None,
    force: bool = False,
) -> Conversion:
    """Convert a checkpoint, and prove where every tensor went.

    What is written is read back, loaded strictly into the target's own class, and
    compared with the source's features on random images. Only then it takes the
    place of ``dst``. Nothing in ``src`` is executed.

    The comparison proves the tensors, not what they do not tell: both sides are
    built with the same number of heads and the same eps of the LayerNorms, so
    neither would show if it were wrong. Heads that nobody said are in the notes; an
    eps that nobody said is that of the source's format (1e-12 for 'hf', else 1e-6).

    Args:
        src (str | Path): File to read, or a folder of Hugging Face.
        dst (str | Path): ``.pth`` for 'cmae-mm', ``.pth`` or ``.safetensors`` for
            'timm', ``.safetensors`` for 'safetensors', a folder for 'hf'.
        source (str): 'cmae-released', 'mae', 'timm', 'hf' or 'cmae-mm'.
        target (str): 'cmae-mm' (a checkpoint for ``load_from`` or ``init_cfg``),
            'timm', 'hf' or 'safetensors' (the backbone, in mmpretrain's names).
        heads (int, optional): Attention heads. Defaults to those that the source
            says, or those of ViT-S, B, L and H.
        grid (tuple[int, int], optional): Rows and columns of patches. Defaults to a
            square.
        channels (str, optional): Of 'cmae-released': 'bgr' (default) or 'rgb'.
        force (bool): Whether ``dst`` may be overwritten. Defaults to False.

    Returns:
        Conversion: What was written, left out, and how far the features differ.

    Raises:
        UsageError: If the arguments contradict each other or the files.
        ConversionError: If the source cannot be converted, a library is missing, or
            the features differ by more than 1e-4.
    """
    src, dst = Path(src), Path(dst)
    _check_arguments(src, dst, source, target, channels, force)
    options = {'channels': channels} if channels else {}
    found = READERS[source](src, Hints(heads=heads, grid=grid), **options)
    with finished_only(dst) as place:
        features, rest = WRITERS[target](found, place)
        difference = largest_difference(found.features, features, found.size)
        if not difference <= TOLERANCE:  # also where it is not a number
            raise ConversionError(
                f'The features came out different: by {difference:.1e}, allowed are '
                f'{TOLERANCE:.0e}. Nothing was written. Are the weights finite '
                '(`cmae inspect`)?'
            )
    return Conversion(
        size=found.size,
        parts=count(found.weights.keys() - set(rest)),
        left_out=count([*found.left_out, *rest]),
        difference=difference,
        notes=[*found.notes, *_notes(found, source, target)],
        licence=found.licence,
    )


def describe(done: Conversion) -> list[str]:
    """Say what was converted, what was not, and how well.

    Args:
        done (Conversion): From :func:`convert` or :func:`cmae_mm.bridge.export.export`.

    Returns:
        list[str]: Lines.
    """
    written = ', '.join(f'{part} ({n} tensors)' for part, n in done.parts.items())
    left_out = ', '.join(f'{part} ({n} tensors)' for part, n in done.left_out.items())
    return [
        str(done.size),
        f'written: {written}',
        f'left out: {left_out or "nothing"}',
        *(f'note: {note}' for note in done.notes),
        f'{done.checked}; largest difference of the features on random images: '
        f'{done.difference:.1e} (allowed: {TOLERANCE:.0e})',
        f'licence: {done.licence}',
    ]


def _check_arguments(
    src: Path, dst: Path, source: str, target: str, channels: str | None, force: bool
) -> None:
    """Refuse what can be refused before anything slow."""
    for name, known, came in (('--from', READERS, source), ('--to', WRITERS, target)):
        if came not in known:
            raise UsageError(f'{name} {came} is not known; choose {", ".join(known)}.')
    if channels and source != 'cmae-released':
        raise UsageError(f'--channels is for --from cmae-released, not for {source}.')
    if not src.exists():
        raise UsageError(f'There is no {src} (looked in {Path.cwd()}).')
    if src.is_dir() and source != 'hf':
        raise UsageError(f'{src} is a folder; --from {source} wants a file.')
    if target == 'hf':
        if dst.is_file() or dst.suffix in ('.pth', '.safetensors', '.bin'):
            raise UsageError(f'--to hf writes a folder; {dst} names a file.')
    elif dst.is_dir() or dst.suffix not in ENDINGS[target]:
        endings = ' or '.join(ENDINGS[target])
        raise UsageError(f'--to {target} writes a file {endings}; {dst} was given.')
    if dst.exists() and not force:
        raise UsageError(f'{dst} is there already. Add --force to replace it.')
    # A folder is written into, and so would be the source in it.
    if dst.exists() and dst.samefile(
        src.parent if dst.is_dir() and src.is_file() else src
    ):
        raise UsageError(
            f'{dst} is the source itself, or its folder. Name another place.'
        )


def _notes(found: Source, source: str, target: str) -> list[str]:
    """What the written file does not say itself."""
    size, rules = found.size, found.rules
    notes = [*rules.notes] if rules else []
    if size.heads_assumed:
        notes.append(
            f'{size.heads} heads assumed from the width; the comparison cannot see it; '
            '--heads if not'
        )
    if size.eps != 1e-6 and target != 'hf':
        build = (
            f'norm_layer=partial(nn.LayerNorm, eps={size.eps:g})'
            if target == 'timm'
            else f"norm_cfg=dict(type='LN', eps={size.eps:g})"
        )
        notes.append(
            f'the eps of the source is {size.eps:g}, the default of the target 1e-6; '
            f'for the very same features build it with {build}'
        )
    if target == 'timm':
        notes.append(f'build it with {_timm_line(size)}')
    if (source == 'timm') != (target == 'timm'):
        height, width = size.image
        notes.append(
            f'compared at {height}x{width}; for other sizes timm stretches the '
            'positions otherwise, and features differ (docs/take-along.md)'
        )
    if target == 'timm' and rules:
        notes.append(
            f'it tells no mean and std; of {rules.order.upper()} from 0 to 255 they '
            f'are {list(rules.mean)} and {list(rules.std)}'
        )
    if target == 'hf':
        notes.append(
            'load it with ViTModel.from_pretrained(DST, add_pooling_layer=False)'
        )
    return notes


def _timm_line(size: ViTSize) -> str:
    """How timm builds a network of this size."""
    # timm multiplies by the width again, and rounds down.
    uneven = size.hidden % size.width
    ratio = (size.hidden + 0.5) / size.width if uneven else size.hidden // size.width
    pool = "global_pool='avg', " if size.pooled else ''
    return (
        f'VisionTransformer(img_size={size.image}, patch_size={size.patch}, '
        f'in_chans={size.channels}, embed_dim={size.width}, depth={size.depth}, '
        f'num_heads={size.heads}, mlp_ratio={ratio}, {pool}num_classes=0)'
    )


def count(names: Iterable[str]) -> dict[str, int]:
    """Count tensors by the first component of their names.

    Args:
        names (Iterable[str]): Names of tensors.
    """
    return dict(sorted(Counter(name.split('.')[0] for name in names).items()))
