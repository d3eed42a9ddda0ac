"""Checkpoints of ours for use without this package; behind ``cmae export``."""

from collections.abc import Callable
from pathlib import Path

import torch

from cmae_mm.version import __version__

from .checkpoints import digest, find_checkpoint
from .convert import TOLERANCE, Conversion, convert, count
from .encoder import Encoder
from .errors import ConversionError, UsageError
from .files import finished_only
from .graphs import Run, write_onnx, write_program
from .names import part_of
from .ours import Opened, open_backbone
from .vit import Hints

GRAPHS: dict[str, tuple[str, Callable[[Encoder, Path, dict], Run]]] = {
    'torch': ('.pt2', write_program),
    'onnx': ('.onnx', write_onnx),
}
TARGETS = ('timm', 'hf', 'torch', 'onnx', 'safetensors')
_BATCHES = (1, 3)  # the graph must not have learnt one size by heart


def export(
    src: str | Path,
    dst: str | Path,
    target: str,
    *,
    heads: int | None = None,
    force: bool = False,
) -> Conversion:
    """Write a backbone for use elsewhere, and prove it by running what was written.

    Every format takes normalised images; mean, std and the way to the size lie in the
    file (not in those of timm).

    Args:
        src (str | Path): A checkpoint of cmae_mm, a backbone that the bridge wrote,
            or the folder of a run, of which the newest whole checkpoint is taken.
        dst (str | Path): ``.pth`` or ``.safetensors`` for 'timm', a folder for 'hf',
            ``.pt2`` for 'torch', ``.onnx`` for 'onnx', ``.safetensors`` for
            'safetensors'.
        target (str): 'timm', 'hf' or 'safetensors', see
            :func:`cmae_mm.bridge.convert`; 'torch' (a program of torch.export) or
            'onnx', both with the input 'images' (N, C, H, W) for any N, and the
            outputs 'vector' (N, D) and 'map' (N, D, rows, columns).
        heads (int, optional): Attention heads, where the file does not tell them.
        force (bool): Whether ``dst`` may be overwritten. Defaults to False.

    Returns:
        Conversion: What was written, left out, and how far the features differ.

    Raises:
        UsageError: If the arguments do not fit.
        ConversionError: If the source cannot be exported so, a library is missing, or
            the features differ by more than 1e-4. Nothing is left then.
    """
    src, dst = find_checkpoint(src), Path(dst)
    if target not in TARGETS:
        raise UsageError(f'--to {target} is not known; choose {", ".join(TARGETS)}.')
    if target not in GRAPHS:
        return convert(src, dst, 'cmae-mm', target, heads=heads, force=force)
    ending, write = GRAPHS[target]
    if dst.is_dir() or dst.suffix != ending:
        raise UsageError(f'--to {target} writes a file {ending}; {dst} was given.')
    if dst.exists() and not force:
        raise UsageError(f'{dst} is there already. Add --force to replace it.')
    opened = open_backbone(src, Hints(heads=heads))
    encoder = Encoder(part_of(opened.weights, 'backbone'), opened.size)
    with finished_only(dst) as place:
        run = write(encoder, place, _meta(opened, src))
        difference = largest_difference(encoder, run)
        if not difference <= TOLERANCE:  # also where it is not a number
            raise ConversionError(
                f'The features came out different: by {difference:.1e}, allowed are '
                f'{TOLERANCE:.0e}. Nothing was written. Are the weights finite '
                '(`cmae inspect`)?'
            )
    rest = [n for n in opened.weights if not n.startswith('backbone.')]
    return Conversion(
        size=opened.size,
        parts=count(opened.weights.keys() - set(rest)),
        left_out=count([*opened.left_out, *rest]),
        difference=difference,
        notes=_notes(opened, target),
        licence=opened.licence,
        checked=f'run with {" and ".join(map(str, _BATCHES))} images at once',
    )


@torch.no_grad()
def largest_difference(encoder: Encoder, run: Run) -> float:
    """Compare an encoder with what was written of it, on batches of several sizes.

    Args:
        encoder (Encoder): The original.
        run (Callable): The written one.

    Returns:
        float: The largest absolute difference of a feature, over random images; NaN
        if one is.

    Raises:
        ConversionError: If it does not run.
    """
    generator = torch.Generator().manual_seed(0)
    largest = []
    for batch in _BATCHES:
        shape = (batch, encoder.size.channels, *encoder.size.image)
        images = torch.randn(shape, generator=generator)
        try:
            written = run(images)
        except Exception as error:  # each runtime has errors of its own
            raise ConversionError(
                f'What was written does not run with {batch} images: '
                f'{str(error).splitlines()[0]:.200} It was removed. This is torch '
                f'{torch.__version__}; a newer one may write it right.'
            ) from error
        for ours, theirs in zip(encoder(images), written, strict=True):
            largest.append((ours - theirs).abs().max())
    return torch.stack(largest).max().item()


def _meta(opened: Opened, src: Path) -> dict:
    """What the graph does not tell."""
    return {
        'cmae_mm': __version__,
        'network': str(opened.size),
        'checkpoint': src.name,
        'sha256': digest(src),
        'licence': opened.licence,
        **({} if opened.rules.assumed else opened.rules.said()),
    }


def _notes(opened: Opened, target: str) -> list[str]:
    """What the user should know."""
    notes = [*opened.rules.notes]
    if opened.size.heads_assumed:
        notes.append(
            f'{opened.size.heads} heads assumed from the width; the comparison cannot '
            'see it; --heads if not'
        )
    if not opened.rules.assumed:
        where = 'its properties' if target == 'onnx' else 'cmae_mm.json in it'
        notes.append(f'it takes normalised images; mean, std and size lie in {where}')
    return notes
