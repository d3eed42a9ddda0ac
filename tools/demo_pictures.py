"""Pictures for the demo's report, made by the trained models themselves."""

from pathlib import Path

import numpy as np
import torch
from demo_steps import Step
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from PIL import Image

from cmae_mm.datasets.scenes import PALETTE
from cmae_mm.pictures import outline_instances, overlay_labels, reconstruct
from cmae_mm.report import Panel

PALETTE = np.array(PALETTE, np.uint8)
SHOWN = 5
MIN_SCORE = 0.5


def load_model(config: Path, checkpoint: Path, scope: str) -> torch.nn.Module:
    """Build the model of a config with trained weights, ready to predict."""
    cfg = Config.fromfile(config)
    init_default_scope(scope)
    model = MODELS.build(cfg.model)
    weights = torch.load(checkpoint, map_location='cpu', weights_only=True)
    model.load_state_dict(weights['state_dict'])
    model.eval()
    return model


def reconstructions(config: Path, checkpoint: Path) -> Panel:
    """Input, mask, reconstruction and target view of a few pictures."""
    model = load_model(config, checkpoint, 'mmpretrain')
    cfg = Config.fromfile(config)
    np.random.seed(0)
    torch.manual_seed(0)
    scenes = {**cfg.train_dataloader.dataset.datasets[1]}
    scenes['data_prefix'] = 'scenes/images/val'
    dataset = DATASETS.build(scenes)
    pairs = [dataset[i]['inputs'] for i in range(SHOWN)]
    views = [torch.stack(view) for view in zip(*pairs, strict=True)]
    rows = [list(shown.values()) for shown in reconstruct(model, views)]
    return Panel(
        'What CMAE sees and rebuilds',
        'The online branch sees the visible patches of a view it has never been '
        'trained on, and rebuilds the rest; the target branch sees the whole view, '
        'shifted by up to 8 pixels and recoloured. The loss is on normalised patches, '
        'so brightness and contrast of each masked patch are the true ones, and only '
        'its pattern is a prediction.',
        ['input', 'visible patches', 'reconstruction', 'target view'],
        rows,
    )


def predictions(config: Path, checkpoint: Path, scope: str) -> list[tuple]:
    """RGB image and predicted data sample of the first validation pictures."""
    model = load_model(config, checkpoint, scope)
    dataset = DATASETS.build(Config.fromfile(config).val_dataloader.dataset)
    found = []
    for i in range(SHOWN):
        item = dataset[i]
        batch = dict(inputs=[item['inputs']], data_samples=[item['data_samples']])
        with torch.no_grad():
            sample = model.test_step(batch)[0]
        rgb = item['inputs'].numpy()[::-1].transpose(1, 2, 0)
        found.append((np.ascontiguousarray(rgb), sample))
    return found


def tuned_checkpoint(step: Step) -> Path:
    """The last checkpoint of a run."""
    return Path((step.work_dir / 'last_checkpoint').read_text().strip())


def segmentations(config: Path, steps: list[Step], names: list[str]) -> Panel:
    """Truth and predictions of UperNet from each start."""
    runs = [predictions(config, tuned_checkpoint(s), 'mmseg') for s in steps]
    rows = []
    for samples in zip(*runs, strict=True):
        image = samples[0][0]
        truth = samples[0][1].gt_sem_seg.data[0].numpy()
        maps = [truth, *(s.pred_sem_seg.data[0].numpy() for _, s in samples)]
        rows.append([image, *(overlay_labels(image, m, PALETTE) for m in maps)])
    return Panel(
        'Segmentation (UperNet)',
        'Validation pictures; one colour per class.',
        ['image', 'truth', *names],
        rows,
    )


def detections(config: Path, steps: list[Step], names: list[str]) -> Panel:
    """Truth and predictions of Mask R-CNN from each start."""
    runs = [predictions(config, tuned_checkpoint(s), 'mmdet') for s in steps]
    rows = []
    for samples in zip(*runs, strict=True):
        image = samples[0][0]
        truth = samples[0][1].gt_instances
        drawn = [
            outline_instances(
                image,
                truth.bboxes.numpy(),
                truth.masks.masks.astype(bool),
                truth.labels.numpy(),
                PALETTE[1:],
            )
        ]
        for _, sample in samples:
            kept = sample.pred_instances[sample.pred_instances.scores > MIN_SCORE]
            drawn.append(
                outline_instances(
                    image,
                    kept.bboxes.numpy(),
                    kept.masks.numpy(),
                    kept.labels.numpy(),
                    PALETTE[1:],
                )
            )
        rows.append([image, *drawn])
    return Panel(
        'Detection (Mask R-CNN)',
        f'Boxes and masks found with a score above {MIN_SCORE}.',
        ['image', 'truth', *names],
        rows,
    )


def save_sheet(panels: list[Panel], path: Path, rows: int = 2, side: int = 144) -> None:
    """Put the first rows of all panels into one picture, for the README.

    Args:
        panels (list[Panel]): All with the same number of columns.
        path (Path): A PNG file.
        rows (int): Rows taken of each panel. Defaults to 2.
        side (int): Of each picture on the sheet, in pixels. Defaults to 144.
    """
    gap = 6
    columns = len(panels[0].columns)
    height = len(panels) * (rows * (side + gap) + 3 * gap) - 3 * gap
    sheet = Image.new('RGB', (columns * (side + gap) - gap, height - gap), 'white')
    top = 0
    for panel in panels:
        for row in panel.rows[:rows]:
            for i, image in enumerate(row):
                tile = Image.fromarray(image).resize((side, side), Image.NEAREST)
                sheet.paste(tile, (i * (side + gap), top))
            top += side + gap
        top += 3 * gap
    sheet.save(path, optimize=True)
