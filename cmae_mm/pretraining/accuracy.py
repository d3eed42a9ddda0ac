"""Labelled images by which a run measures k-NN and linear accuracy while it learns.

:class:`cmae_mm.LearningMonitor` looks for them in the validation and test of a config.
"""

from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, DefaultScope

from cmae_mm.datasets.image_folder import EXTENSIONS
from cmae_mm.transfer.class_folders import has_parts, read_class_folders

from .recipes import pipeline_of


def measure_by_folder(cfg: Config, folder: Path) -> str | None:
    """Put class folders in the place of the recipe's test; without any, no test.

    They must lie in ``train`` and ``val``, as :func:`read_class_folders` wants them.
    Class folders alone are not taken: those of years or of cameras look the same.

    Args:
        cfg (Config): A recipe whose views are chosen; changed in place.
        folder (Path): With the images.

    Returns:
        str | None: What is measured, or why nothing is; None if there are no such
        folders.
    """
    if not has_parts(folder):
        _leave_out(cfg, 'test')
        return None
    try:
        data = read_class_folders(folder)
    except ValueError as error:
        _leave_out(cfg, 'test')
        return f'not measured: {error}'
    side = pipeline_of(cfg)[1]['size']
    for loader, images in (
        (cfg.test_dataloader, data.val),
        (cfg.test_cfg.bank_dataloader, data.train),
    ):
        load, resize, crop, pack = loader.dataset.pipeline
        resize.scale = crop.crop_size = side  # as cmae probe looks at them
        loader.num_workers = 0
        loader.dataset = dict(
            type='CustomDataset',
            data_root=str(data.root / Path(images[0][0]).parts[0]),
            metainfo=dict(classes=data.classes),
            extensions=EXTENSIONS,
            pipeline=[load, resize, crop, pack],
        )
    return (
        f'k-NN and linear, of {len(data.classes)} classes in {data.how}; these images '
        'are pre-trained on, too, without their labels'
    )


def keep_labelled(cfg: Config) -> list[str]:
    """Leave validation and test of a user's config, unless their images are missing.

    Args:
        cfg (Config): Changed in place.

    Returns:
        list[str]: What became of them, a line each.
    """
    said = []
    for loop in ('val', 'test'):
        loader = cfg.get(f'{loop}_dataloader')
        if not loader:
            continue
        bank = (cfg.get(f'{loop}_cfg') or {}).get('bank_dataloader')
        scope = cfg.get('default_scope', 'mmpretrain')
        try:
            with DefaultScope.overwrite_default_scope(scope):
                counts = [_count(part.dataset) for part in (loader, bank) if part]
        except Exception as error:  # whatever a data set raises that is not there
            _leave_out(cfg, loop)
            said.append(f'not by {loop}_dataloader, which is left out: {_why(error)}')
            continue
        images = ' images against '.join(f'{count:,}' for count in counts)
        said.append(f'by {loop}_dataloader of the config: {images} images')
    return said


def _leave_out(cfg: Config, loop: str) -> None:
    for part in ('dataloader', 'cfg', 'evaluator'):
        cfg[f'{loop}_{part}'] = None


def _why(error: Exception) -> str:
    """What is wrong with a data set, in one line."""
    if isinstance(error, FileNotFoundError) and error.filename:
        return f'there is no {error.filename} (looked in {Path.cwd()})'
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _count(described: ConfigDict) -> int:
    """Images of a data set, of which one has been read."""
    dataset = DATASETS.build(described)
    dataset[0]
    return len(dataset)
