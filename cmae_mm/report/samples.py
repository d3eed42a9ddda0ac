"""A few pictures that a run is shown again: its own, or those of a folder."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, DefaultScope

from cmae_mm.datasets.image_folder import UnlabelledImages
from cmae_mm.engine.random_state import random_state, set_random_state

_MOST = 200  # pictures
# In this order: whole labelled pictures before cropped ones of the training.
_LOADERS = {
    'val_dataloader': 'its validation data',
    'test_dataloader': 'its test data',
    'train_dataloader': 'its training data',
}


@dataclass
class Samples:
    """Pictures with what is known of them.

    Args:
        images (Tensor): uint8 (N, C, H, W), as the data loader gives them (BGR).
        labels (list[int | None]): Classes.
        classes (list[str]): Names of the classes, if known.
        origin (str): Where they come from, in words.
        total (int): How many there are to choose from.
    """

    images: torch.Tensor
    labels: list[int | None]
    classes: list[str]
    origin: str
    total: int

    def picture(self, index: int) -> np.ndarray:
        """RGB, uint8 (H, W, 3); of many bands the first three, or the first one."""
        bands = self.images[index].numpy()
        bands = bands[2::-1] if len(bands) >= 3 else bands[[0, 0, 0]]
        return np.ascontiguousarray(bands.transpose(1, 2, 0))

    def name(self, index: int) -> str:
        """The class of a picture in words, or its number."""
        label = self.labels[index]
        if label is None:
            return f'picture {index + 1}'
        known = label < len(self.classes)
        return self.classes[label] if known else f'class {label}'


def choose_samples(
    cfg: Config, image_size: tuple[int, int], folder: Path | None = None
) -> Samples:
    """Take up to 200 pictures, evenly from all there are.

    Args:
        cfg (Config): Of the run.
        image_size (tuple[int, int]): Height and width in pixels that the model wants;
            pictures of ``folder`` are resized and cropped to it.
        folder (Path, optional): Any pictures. Sub-folders count as classes. Defaults
            to the data of the run: validation, test or training.

    Returns:
        Samples: The same ones every time, for the same data.

    Raises:
        FileNotFoundError: If there are no data.
        ValueError: If the pictures cannot be put side by side.
    """
    if folder is not None:
        dataset = _of_folder(folder, cfg, image_size)
        found = _take(dataset, f'the folder {folder.name}')
        return _label_by_folder(found, dataset, folder)
    reasons = []
    for loader, words in _LOADERS.items():
        described = (cfg.get(loader) or {}).get('dataset')
        if not described:
            continue
        try:
            scope = cfg.get('default_scope', 'mmpretrain')
            with DefaultScope.overwrite_default_scope(scope):
                return _take(DATASETS.build(described), words)
        except Exception as error:  # data of any kind, on another machine perhaps
            reasons.append(f'{words}: {str(error).splitlines()[0]}')
    raise FileNotFoundError(
        'the pictures of the run cannot be read '
        f'({"; ".join(reasons) or "its config names none"}). Name others with --data'
    )


def _of_folder(
    folder: Path, cfg: Config, image_size: tuple[int, int]
) -> UnlabelledImages:
    """All pictures below a folder, resized and cropped."""
    described = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    pipeline = described.get('pipeline') or [dict(type='cmae_mm.LoadImage')]
    height, width = image_size
    resize = dict(type='ResizeEdge', scale=max(image_size), edge='short')
    return UnlabelledImages(
        data_root=str(folder),
        pipeline=[
            ConfigDict(pipeline[0]),  # whatever reads the files of this run
            resize | dict(backend='pillow', interpolation='bicubic'),
            dict(type='CenterCrop', crop_size=(width, height)),
            dict(type='PackInputs'),
        ],
    )


def _take(dataset, origin: str) -> Samples:
    """Read pictures at even distances."""
    count = min(_MOST, len(dataset))
    chosen = [round(i) for i in np.linspace(0, len(dataset) - 1, count)]
    before = random_state(cuda=False)
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    try:
        items = [dataset[i] for i in chosen]
    finally:
        set_random_state(before)
    views = [item['inputs'] for item in items]
    # Of the two views of a training, the first, which is not recoloured.
    views = [view[0] if isinstance(view, (list, tuple)) else view for view in views]
    if len({view.shape for view in views}) > 1:
        raise ValueError('its pictures differ in size')
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes') or ()
    return Samples(
        images=torch.stack(views),
        labels=[_label(item.get('data_samples')) for item in items],
        classes=[str(name) for name in classes],
        origin=origin,
        total=len(dataset),
    )


def _label(sample) -> int | None:
    """The class of a picture, if it has one."""
    if sample is None or 'gt_label' not in sample or sample.gt_label.numel() != 1:
        return None
    return int(sample.gt_label)


def _label_by_folder(
    found: Samples, dataset: UnlabelledImages, folder: Path
) -> Samples:
    """Several sub-folders are classes, if every picture lies in one."""
    chosen = np.linspace(0, len(dataset) - 1, len(found.labels))
    paths = [Path(dataset.get_data_info(round(i))['img_path']) for i in chosen]
    parts = [path.relative_to(folder).parts for path in paths]
    names = sorted({part[0] for part in parts})
    if len(names) > 1 and all(len(part) > 1 for part in parts):
        found.labels = [names.index(part[0]) for part in parts]
        found.classes = names
    return found
