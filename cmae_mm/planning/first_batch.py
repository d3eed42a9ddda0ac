"""What the model is shown first, as one picture."""

from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from PIL import Image

from cmae_mm.pictures import reconstruct

_ROWS = ('input', 'masked', 'target view')
_GAP = 4  # pixels
_SMALLEST = 128  # pixels to which small views are enlarged


def draw(cfg: Config, dataset, images: int, file: Path) -> bool:
    """Draw some images of a data set as a pre-training would see them.

    A row of inputs, one of what the mask leaves, and one of target views.

    Args:
        cfg (Config): Of the pre-training.
        dataset (Dataset): Its training images, with the pipeline.
        images (int): How many, spread over the data set.
        file (Path): A PNG to be; its folder is made.

    Returns:
        bool: Whether it was drawn; not of one view alone, nor of other channels than
        three.
    """
    count = min(images, len(dataset))
    picked = [dataset[i * len(dataset) // count]['inputs'] for i in range(count)]
    if not isinstance(picked[0], (list, tuple)) or picked[0][0].shape[0] != 3:
        return False
    views = [torch.stack(view) for view in zip(*picked, strict=True)]
    model = MODELS.build(cfg.model)
    shown = reconstruct(model, views)
    grid = [[pictures[name] for pictures in shown] for name in _ROWS]
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(lay_out(grid)).save(file)
    return True


def lay_out(rows: list[list[np.ndarray]]) -> np.ndarray:
    """Put pictures side by side on white, small ones enlarged by a whole factor.

    Args:
        rows (list[list[ndarray]]): RGB, uint8 (H, W, 3), all of one size.

    Returns:
        ndarray: RGB, uint8.
    """
    times = max(1, _SMALLEST // rows[0][0].shape[0])
    edge = ((_GAP, 0), (_GAP, 0), (0, 0))
    cells = [
        [
            np.pad(cell.repeat(times, 0).repeat(times, 1), edge, constant_values=255)
            for cell in row
        ]
        for row in rows
    ]
    return np.concatenate([np.concatenate(row, 1) for row in cells])
