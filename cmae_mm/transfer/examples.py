"""Pictures of what a trained model finds in images that it has not learnt from."""

import colorsys
from pathlib import Path

import mmcv
import numpy as np
import torch
from mmengine.runner import Runner
from PIL import Image, ImageDraw

from cmae_mm.pictures import outline_instances, overlay_labels

SHOWN = 4
MIN_SCORE = 0.5
_WIDTH = 320  # of a picture on the sheet, pixels
_GAP = 6
_TITLE = 18


def save_examples(runner: Runner, path: Path) -> None:
    """Draw image, truth and prediction of a few validation images side by side.

    Args:
        runner (Runner): With a trained model of mmsegmentation or mmdetection.
        path (Path): A PNG file.
    """
    dataset = runner.val_loop.dataloader.dataset
    palette = colours(len(dataset.metainfo['classes']))
    rows = []
    # Spread over the data set: neighbours are often alike.
    for index in np.linspace(0, len(dataset) - 1, min(SHOWN, len(dataset)), dtype=int):
        sample = _predict(runner.model, dataset[int(index)])
        image = mmcv.imread(sample.img_path, channel_order='rgb')
        draw = _labels if 'pred_sem_seg' in sample else _objects
        rows.append([image, *draw(image, sample, palette)])
    found = 'found' if draw is _labels else f'found, score above {MIN_SCORE}'
    save_sheet(['image', 'truth', found], rows, path)


def colours(count: int) -> np.ndarray:
    """Colours that neighbours in the list can be told apart by.

    Args:
        count (int): How many.

    Returns:
        ndarray: RGB, uint8 (count, 3).
    """
    golden = 0.618034
    found = [
        colorsys.hsv_to_rgb(i * golden % 1, 0.9 - 0.3 * (i % 2), 1 - 0.25 * (i % 3))
        for i in range(count)
    ]
    return (255 * np.array(found)).round().astype(np.uint8)


def save_sheet(titles: list[str], rows: list[list[np.ndarray]], path: Path) -> None:
    """Put pictures under their titles, row by row.

    Args:
        titles (list[str]): Of the columns.
        rows (list[list[ndarray]]): RGB, uint8 (H, W, 3); one size per row.
        path (Path): A PNG file.
    """
    heights = [round(row[0].shape[0] * _WIDTH / row[0].shape[1]) for row in rows]
    width = len(titles) * (_WIDTH + _GAP) - _GAP
    sheet = Image.new('RGB', (width, _TITLE + sum(heights) + _GAP * len(rows)), 'white')
    pen = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        pen.text((column * (_WIDTH + _GAP), 2), title, fill='black')
    top = _TITLE
    for row, height in zip(rows, heights, strict=True):
        for column, image in enumerate(row):
            tile = Image.fromarray(image).resize((_WIDTH, height))
            sheet.paste(tile, (column * (_WIDTH + _GAP), top))
        top += height + _GAP
    sheet.save(path)


@torch.no_grad()
def _predict(model: torch.nn.Module, item: dict):
    """The data sample of one image, with truth and prediction, on the CPU."""
    model.eval()
    batch = dict(inputs=[item['inputs']], data_samples=[item['data_samples']])
    return model.test_step(batch)[0].cpu()


def _labels(image: np.ndarray, sample, palette: np.ndarray) -> list[np.ndarray]:
    """Truth and prediction of a segmentation; what is ignored stays clear."""
    palette = palette.copy()
    palette[0] = 96  # most often the background
    clear_first = np.concatenate([np.zeros((1, 3), np.uint8), palette])
    drawn = []
    for field in (sample.gt_sem_seg, sample.pred_sem_seg):
        labels = field.data[0].numpy().astype(int) + 1
        labels[labels > len(palette)] = 0
        drawn.append(overlay_labels(image, labels, clear_first))
    return drawn


def _objects(image: np.ndarray, sample, palette: np.ndarray) -> list[np.ndarray]:
    """Truth and prediction of a detection, found with a score above ``MIN_SCORE``."""
    truth, found = sample.gt_instances, sample.pred_instances
    found = found[found.scores > MIN_SCORE]
    drawn = []
    for objects in (truth, found):
        masks = np.zeros((len(objects), *image.shape[:2]), bool)
        if 'masks' in objects:
            held = objects.masks
            masks = (held.numpy() if torch.is_tensor(held) else held.to_ndarray()) > 0
        boxes, kinds = objects.bboxes.numpy(), objects.labels.numpy()
        drawn.append(outline_instances(image, boxes, masks, kinds, palette))
    return drawn
