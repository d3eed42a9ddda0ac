"""What the package needs, checked by what is importable.

The upstream and the onedl distributions of OpenMMLab share their import names,
so a pin on a distribution would lay one family over the other. Looking at the
modules works with both.
"""

import importlib
import importlib.metadata
import importlib.util
import re
import warnings
from pathlib import Path

# module: (lowest version, first version known not to work or None, how to mend)
REQUIRED = {
    'torch': ('2.1', None, 'pip install torch==2.11.0 torchvision==0.26.0'),
    'torchvision': ('0.16', None, 'pip install torchvision==0.26.0'),
    'mmengine': ('0.10.4', None, 'pip install mmengine==0.10.7'),
    'mmcv': ('2.0.1', None, 'mim install mmcv==2.1.0'),
    'mmpretrain': ('1.2.0', None, 'pip install mmpretrain==1.2.0'),
}
TRANSFER = {
    'mmseg': ('1.2.0', None, 'pip install mmsegmentation==1.2.2 ftfy regex'),
    'mmdet': ('3.2.0', None, 'pip install mmdet==3.3.0'),
}
ALL_AT_ONCE = '`make setup` builds an environment with all of them.'


def module_version(name: str) -> str | None:
    """Find the version of a module without importing it.

    Args:
        name (str): Import name of a top-level module.

    Returns:
        str | None: The version, '' when the module has no readable version
        file, or None when the module cannot be found.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).with_name('version.py')
    found = file.is_file() and re.search(
        r"""^(?:__version__|short_version)[^=\n]*=\s*(version\()?['"]([^'"]+)['"]""",
        file.read_text(),
        re.M,
    )
    if not found:
        return ''
    # onedl-mmengine names its package there, and asks for that one's version.
    return importlib.metadata.version(found[2]) if found[1] else found[2]


def mim_name(module: str) -> str:
    """What ``mim`` calls a library that is installed.

    Args:
        module (str): Its import name, such as 'mmseg' or 'mmdet'.

    Returns:
        str: Name of its package, such as 'mmsegmentation' or 'onedl-mmdetection'; the
        import name where none tells it.
    """
    packages = importlib.metadata.packages_distributions().get(module)
    return packages[0] if packages else module


def complaint(name: str, lowest: str, too_new: str | None, remedy: str) -> str | None:
    """Say what is wrong with a module, found without importing it.

    Args:
        name (str): Import name of a top-level module.
        lowest (str): Lowest version that works.
        too_new (str | None): First version that does not, if one is known.
        remedy (str): Command that mends it.

    Returns:
        str | None: One sentence if it is missing, too old or too new; else None.
    """
    version = module_version(name)
    if version is None:
        return f'{name} is missing (needed: {lowest} or newer). Try: {remedy}'
    if version and _as_numbers(version) < _as_numbers(lowest):
        return f'{name} {version} is too old (needed: {lowest} or newer). Try: {remedy}'
    if version and too_new and _as_numbers(version) >= _as_numbers(too_new):
        return f'{name} {version} is too new (needed: below {too_new}). Try: {remedy}'
    return None


def _as_numbers(version: str) -> tuple[int, ...]:
    """'2.11.0+cu126' -> (2, 11, 0)."""
    return tuple(int(n) for n in re.findall(r'\d+', version.split('+')[0])[:3])


def check_dependencies() -> None:
    """Name what is missing or too old, and the command that mends it.

    A missing mmseg or mmdet only warns: pre-training, probing and fine-tuning
    work without them.

    Raises:
        ImportError: If torch, torchvision, mmengine, mmcv or mmpretrain is
            missing or too old.
    """
    wrong = [w for name, need in REQUIRED.items() if (w := complaint(name, *need))]
    if wrong:
        raise ImportError('\n  '.join(['cmae_mm cannot start:', *wrong, ALL_AT_ONCE]))
    for name, need in TRANSFER.items():
        missing = complaint(name, *need)
        if missing:
            family = {'mmseg': 'ade20k', 'mmdet': 'coco'}[name]
            warnings.warn(
                f'{missing}. Without it configs/{family} cannot run; '
                'pre-training and classification can.',
                stacklevel=2,
            )
    too_new = transformers_complaint()
    if too_new:
        raise ImportError(too_new)


def transformers_complaint() -> str | None:
    """Say whether transformers is too new for mmpretrain.

    Versions from 4.51 on break ``import mmpretrain.models`` with a TypeError or
    ImportError deep inside its multimodal part.

    Returns:
        str | None: What to do; None if it is old enough or missing.
    """
    if module_version('transformers') is None:
        return None
    from importlib.metadata import version

    if _as_numbers(version('transformers')) < (4, 51):
        return None
    return (
        f'transformers {version("transformers")} breaks the import of '
        'mmpretrain.models (needed: 4.50 or older, or none). '
        "Try: pip install 'transformers<4.51', or pip uninstall transformers"
    )
