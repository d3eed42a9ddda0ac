"""``cmae demo``: the whole way on generated pictures."""

import importlib.util
from pathlib import Path
from types import ModuleType

import click

from .options import PATH, check_out

# What the runs of the demo need beside mmpretrain: package -> name to install.
_LIBRARIES = {'mmseg': 'mmsegmentation', 'mmdet': 'mmdet', 'mmcv': 'mmcv'}


@click.command()
@click.option(
    '--out',
    type=PATH,
    default=Path('work_dirs/demo'),
    show_default=True,
    help='Where runs and report go.',
)
def command(out: Path) -> int:
    """Pre-train, probe, segment and detect on generated pictures, in 15 minutes.

    Needs no data and no GPU; the time is that of 2 CPU cores. The pictures go to
    data/scenes of this folder. Ends with a table of CMAE against random weights, and
    OUT/report.html. The mim command of each run is printed.

    Example: cmae demo --out work_dirs/demo
    """
    check_out(out)
    missing = [
        name
        for package, name in _LIBRARIES.items()
        if importlib.util.find_spec(package) is None
    ]
    if missing:
        raise RuntimeError(
            f'The demo also segments and detects, which needs {" and ".join(missing)}. '
            f'Try: mim install {" ".join(missing)}'
        )
    load_demo().main(['--out', str(out)])
    return 0


def load_demo() -> ModuleType:
    """The module ``tools/demo.py``, of the repository or of the installed package."""
    from cmae_mm.zoo import find_root

    file = find_root() / 'tools' / 'demo.py'
    spec = importlib.util.spec_from_file_location('cmae_demo', file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
