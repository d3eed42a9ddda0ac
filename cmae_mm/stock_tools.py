"""The training and test tools of the library that a config is for."""

import importlib.util
import runpy
import sys
from pathlib import Path

from mmengine.config import Config

# Scope of a config -> its package's name for pip.
LIBRARIES = {'mmpretrain': 'mmpretrain', 'mmseg': 'mmsegmentation', 'mmdet': 'mmdet'}


def run_tool(name: str) -> None:
    """Run mmpretrain's, mmseg's or mmdet's tool, with this process's command line.

    The first argument that is a file is the config; its ``default_scope`` says which
    library it is for. Without one (``--help``), mmpretrain's tool answers.

    Args:
        name (str): Of the tool, 'train.py' or 'test.py'.
    """
    configs = [arg for arg in sys.argv[1:] if arg.endswith('.py')]
    try:
        scope = scope_of(configs[0]) if configs else 'mmpretrain'
        tool = find_tool(scope, name)
    except (ValueError, ImportError, FileNotFoundError) as error:
        sys.exit(f'{name}: {error}')
    sys.argv[0] = str(tool)
    runpy.run_path(str(tool), run_name='__main__')


def scope_of(config: str) -> str:
    """The library that a config is for.

    Args:
        config (str): Path of a config.

    Returns:
        str: A name in :data:`LIBRARIES`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is for another library, or names none.
    """
    scope = Config.fromfile(config, import_custom_modules=False).get('default_scope')
    if scope not in LIBRARIES:
        raise ValueError(
            f'{config} has default_scope = {scope!r}; expected one of '
            f'{", ".join(LIBRARIES)}. Inherit from one of the configs of cmae_mm.'
        )
    return scope


def find_tool(scope: str, name: str) -> Path:
    """Where the tool of an installed library lies.

    Args:
        scope (str): A name in :data:`LIBRARIES`.
        name (str): File name of the tool.

    Returns:
        Path: The tool.

    Raises:
        ImportError: If the library is not installed.
    """
    found = importlib.util.find_spec(scope)
    if found is None or found.origin is None:
        raise ImportError(
            f'this config is for {scope}, which is not installed. '
            f'Try: mim install {LIBRARIES[scope]}'
        )
    return Path(found.origin).parent / '.mim' / 'tools' / name
