"""The file that is meant, and how to name it for good."""

import hashlib
from pathlib import Path

from cmae_mm.engine.valid_checkpoint import newest_valid

from .errors import UsageError


def find_checkpoint(path: str | Path) -> Path:
    """The file, or the newest checkpoint in a folder of a run that is whole.

    Args:
        path (str | Path): File or folder.

    Raises:
        FileNotFoundError: If there is nothing.
        UsageError: If the folder holds no such checkpoint.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f'There is no {path} (looked in {Path.cwd()}).')
    if not path.is_dir():
        return path
    if (path / 'config.json').is_file():
        raise UsageError(
            f'{path} is a folder of Hugging Face. Convert it once: cmae convert {path} '
            'OURS.pth --from hf --to cmae-mm'
        )
    found = newest_valid(path)
    if found is None:
        raise UsageError(
            f'{path} holds no checkpoint of a training that is whole. A folder of a '
            'run has epoch_<n>.pth in it; for other weights name the file.'
        )
    return found


def digest(path: Path) -> str:
    """SHA-256 of a file, as sha256sum prints it."""
    with path.open('rb') as file:
        found = hashlib.sha256()
        while block := file.read(2**20):
            found.update(block)
    return found.hexdigest()
