"""Checkpoints that MMEngine wrote with objects in them, as plain ones."""

from pathlib import Path

import torch

from cmae_mm.engine.checkpoint import to_plain
from cmae_mm.pickled_names import unsafe_names
from cmae_mm.safe_loading import load_checkpoint_file

from .errors import ConversionError, UsageError
from .files import finished_only


def make_plain(
    src: str | Path, dst: str | Path, *, trust: bool = False, force: bool = False
) -> list[str]:
    """Turn an old checkpoint of MMEngine into one that can be read safely.

    The only place in this package that runs code from a file. What is written holds
    the same, with its log as tensors, and a training can resume from it.

    Args:
        src (str | Path): The old file.
        dst (str | Path): File to write, ``.pth``.
        trust (bool): Whether code from ``src`` may run. Defaults to False.
        force (bool): Whether ``dst`` may be overwritten. Defaults to False.

    Returns:
        list[str]: Names of the functions and classes that were called.

    Raises:
        UsageError: If the file is not trusted, or the arguments do not fit.
        ConversionError: If it cannot be read, or holds something that has no plain
            form.
    """
    src, dst = Path(src), Path(dst)
    if not src.is_file():
        raise UsageError(f'There is no file {src} (looked in {Path.cwd()}).')
    if dst.suffix != '.pth' or dst.is_dir():
        raise UsageError(f'--from mmengine writes a file .pth; {dst} was given.')
    if dst.exists() and (not force or dst.samefile(src)):
        raise UsageError(
            f'{dst} is there already. Name another place, or add --force to replace '
            'it (the source itself never is).'
        )
    names = unsafe_names(src)
    if not trust:
        raise UsageError(
            f'Reading {src} would call {", ".join(names) or "nothing unusual"}, and '
            'whatever these call. Only if you know who wrote the file, add --trust.'
        )
    with finished_only(dst) as place:
        torch.save(_run_and_flatten(src), place)
        try:
            load_checkpoint_file(str(place))
        except RuntimeError as error:
            raise ConversionError(f'{src} has no plain form: {error}') from error
    return names


def _run_and_flatten(src: Path) -> dict:
    """What a file holds, in tensors and plain types."""
    try:
        checkpoint = torch.load(src, map_location='cpu', weights_only=False)
    except Exception as error:  # anything may happen here
        raise ConversionError(
            f'{src} ({src.stat().st_size} bytes) could not be read, even with its own '
            f'code: {type(error).__name__}: {error}'
        ) from error
    if not isinstance(checkpoint, dict):
        raise ConversionError(
            f'{src} holds a {type(checkpoint).__name__}; a checkpoint of MMEngine is a '
            'dict.'
        )
    try:
        return {key: to_plain(value, where=key) for key, value in checkpoint.items()}
    except TypeError as error:
        raise ConversionError(f'{src} has no plain form: {error}') from error
