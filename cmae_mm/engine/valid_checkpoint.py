"""Which file a run can go on from."""

import logging
import zipfile
from pathlib import Path

import torch
from mmengine.logging import print_log
from mmengine.runner import Runner

from cmae_mm.safe_loading import load_checkpoint_file

from .main_process import on_main_process

# What MMEngine puts into the checkpoints of a training, and a resume reads.
_NEEDED = ('meta', 'state_dict', 'message_hub', 'optimizer')


def newest_valid(work_dir: str | Path) -> Path | None:
    """Find the newest checkpoint that a training can go on from.

    Newest is what was written last, so that files of an earlier and longer run in
    the same folder do not win. Every byte of the file is read and checked. Damaged
    files are named in the log. The pointer ``last_checkpoint`` is not needed.

    Args:
        work_dir (str | Path): Folder with ``*.pth``. Those that hold weights only,
            such as the best ones, are not meant; nor are unfinished ``*.partial``.

    Returns:
        Path | None: The file, or None if there is none.
    """
    for path in _newest_first(Path(work_dir)):
        try:
            problem = obstacle(read_valid(path))
        except (FileNotFoundError, RuntimeError) as error:
            problem = error
        if problem is None:
            return path
        print_log(f'{path} is skipped: {problem}', 'current', logging.WARNING)
    return None


def read_valid(path: Path) -> dict:
    """Read a checkpoint, and check all of it.

    Args:
        path (Path): The file.

    Returns:
        dict: Its content, on the CPU.

    Raises:
        FileNotFoundError: If it is not there.
        RuntimeError: If it is damaged, holds more than tensors and plain types, or a
            tensor of the model is not finite.
    """
    checkpoint = load_checkpoint_file(str(path), map_location='cpu')
    if not isinstance(checkpoint, dict):
        raise RuntimeError(
            f'{path} holds a {type(checkpoint).__name__}; a checkpoint is a dict.'
        )
    weights = checkpoint.get('state_dict')
    weights = weights if isinstance(weights, dict) else {}
    if sick := not_finite(weights):
        raise RuntimeError(
            f'{len(sick)} of the {len(weights)} tensors of the model in {path} are not '
            f'finite, for example {", ".join(sick[:3])}. No training can go on from '
            'there.'
        )
    return checkpoint


def not_finite(weights: dict[str, torch.Tensor]) -> list[str]:
    """Names of the tensors that hold NaN or infinity."""
    return [
        name
        for name, tensor in weights.items()
        if isinstance(tensor, torch.Tensor) and not _finite(tensor)
    ]


def _finite(tensor: torch.Tensor) -> bool:
    if tensor.is_floating_point() and tensor.element_size() == 1:
        tensor = tensor.float()  # float8, which isfinite does not take
    return bool(torch.isfinite(tensor).all())


def obstacle(checkpoint: dict) -> str | None:
    """Why a training cannot go on from what a file holds, or None if it can.

    Args:
        checkpoint (dict): The content of a file.
    """
    missing = [key for key in _NEEDED if not isinstance(checkpoint.get(key), dict)]
    if missing:
        return f'it holds no {" and no ".join(missing)}'
    meta = checkpoint['meta']
    missing = [key for key in ('epoch', 'iter') if not isinstance(meta.get(key), int)]
    if missing:
        return f'it does not say its {" and ".join(missing)}'
    return None


def choose_start(runner: Runner, folder: Path) -> None:
    """Let a run that is to resume start from a file that is whole.

    Without a named file the newest valid one is taken; an empty folder means a start
    from the beginning, with a notice. To be called on all ranks, before the runner
    loads anything.

    Args:
        runner (Runner): The runner; what it was told to load is replaced.
        folder (Path): Where its checkpoints are.

    Raises:
        RuntimeError: If the named file cannot be resumed from, or if there are
            checkpoints, but none that can.
    """
    if not runner._resume or runner._has_loaded:
        return
    if runner._load_from is not None:
        if '://' not in str(runner._load_from):
            on_main_process(lambda: _check_named(Path(runner._load_from)))
        return
    found = on_main_process(lambda: _newest_or_nothing(folder))
    if found is None:
        runner._resume = False  # MMEngine would follow the pointer to a deleted file
        runner.logger.warning(
            f'NOTHING TO RESUME: {folder} holds no checkpoint of a training. This run '
            'starts from the beginning.'
        )
    else:
        runner._load_from = str(found)
        runner.logger.info(
            f'Resuming from {found}: of the checkpoints in its folder that are whole '
            'and finite it is the one written last.'
        )


def _newest_or_nothing(folder: Path) -> Path | None:
    """The newest valid file, or None if there is no file of a training at all."""
    found = newest_valid(folder)
    if found is None and (damaged := _newest_first(folder)):
        raise RuntimeError(
            f'None of the checkpoints in {folder} can be resumed from: '
            f'{", ".join(path.name for path in damaged)}; the log says why. Starting '
            'from the beginning would overwrite them. Bring back a copy, or move them '
            'away, or name another work_dir.'
        )
    return found


def _check_named(path: Path) -> None:
    """Refuse a file that the user named, and name a better one."""
    try:
        problem = obstacle(read_valid(path))
        if problem:
            problem = (
                f'A training cannot be resumed from {path}: {problem}. To start with '
                'its weights, load it without resuming.'
            )
    except (FileNotFoundError, RuntimeError) as error:
        problem = str(error)
    if problem:
        beside = newest_valid(path.parent)
        advice = f'Valid and newest beside it: {beside}.' if beside else ''
        raise RuntimeError(f'{problem} {advice}'.strip())


def _newest_first(folder: Path) -> list[Path]:
    """Checkpoints of a training, and unreadable files, the last written one first."""
    ages = {path: _age(path) for path in folder.glob('*.pth') if path.is_file()}
    known = [path for path, age in ages.items() if age is not None]
    return sorted(known, key=lambda path: ages[path], reverse=True)


def _age(path: Path) -> tuple[float, int] | None:
    """When a file was written, and at which iteration; None without training state.

    Of a file that cannot be read: when it was changed last.
    """
    written = path.stat().st_mtime
    try:  # mapped, where the format allows it: the tensors are not read
        checkpoint = torch.load(
            str(path), 'cpu', weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except Exception:
        return written, 0
    if not isinstance(checkpoint, dict) or obstacle(checkpoint):
        return None
    meta = checkpoint['meta']
    saved_at = meta.get('saved_at')
    return (saved_at if isinstance(saved_at, float) else written), meta['iter']
