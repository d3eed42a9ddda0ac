"""Which config is meant by a path or a name on a command line."""

from pathlib import Path

from .zoo import find_root


def find_config(config: str | Path) -> Path:
    """Find a config, and see whether it can be read.

    Args:
        config (str | Path): A file; or the name of a packaged config as ``mim train
            cmae_mm`` takes it, with or without ``.py``, perhaps behind its folder, such
            as ``configs/scenes/NAME.py``.

    Returns:
        Path: The file.

    Raises:
        FileNotFoundError: If there is neither a file nor a packaged config.
        ValueError: If it cannot be read, with the reason.
    """
    config = Path(config)
    file = config if config.is_file() else _packaged(config)
    # Late, because the doctor comes here without it, too.
    from mmengine.config import Config

    try:
        Config.fromfile(file, import_custom_modules=False)
    except SyntaxError as error:  # names no file, and it may be in one of the bases
        line = (error.text or '').strip()
        raise ValueError(
            f'{file}, or a file that it inherits, is no Python: {error.msg}, in line '
            f'{error.lineno}: {line}'
        ) from error
    except Exception as error:  # a config is a program: it may raise anything
        reason = f'{type(error).__name__}: {error}'
        raise ValueError(f'{file} cannot be read as a config: {reason}') from error
    return file


def _packaged(name: Path) -> Path:
    """The packaged config whose path ends with a name."""
    wanted = Path(f'{str(name).removesuffix(".py")}.py')
    root = (find_root() / 'configs').resolve()
    files = {file.name: file for file in root.glob('[!_]*/*.py')}
    file = files.get(wanted.name)
    parts = wanted.parts
    if file and file.relative_to(root.parent).parts[-len(parts) :] == parts:
        return file
    # Late, because it imports every guard of a run.
    from .guards.spelling import nearest

    meant = ' or '.join(nearest(wanted.name, files))
    raise FileNotFoundError(
        f'There is no config {name} (looked in {Path.cwd()}, and among the packaged '
        f'ones in {root}){f"; did you mean {meant}?" if meant else "."}'
    )
