"""What frozen features know, beside what no training knows."""

import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from cmae_mm.bridge.files import read_checkpoint, weights_of
from cmae_mm.bridge.names import part_of
from cmae_mm.evaluation import extract_features, knn_accuracy, linear_accuracy
from cmae_mm.zoo import find_root

from .class_folders import ClassFolders
from .encoder import EncoderInfo
from .running import workers

# A CMAE with contrastive weight 0: k-NN asks for an encoder and nothing else.
BASE = 'pretrain/mae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
PIXELS_SIDE = 32
Labelled = tuple[torch.Tensor, torch.Tensor]


def compose_probe(
    encoder: EncoderInfo, data: ClassFolders, out: Path, batch_size: int = 64
) -> Config:
    """The config whose ``mim test mmpretrain`` is the k-NN figure of the encoder.

    Images are resized until their shorter side is that of the views in pre-training,
    and cropped in the middle.

    Args:
        encoder (EncoderInfo): What to probe.
        data (ClassFolders): On what.
        out (Path): Folder for the lists of images, ``train.txt`` and ``val.txt``.
        batch_size (int): Images per batch; changes no figure. Defaults to 64.

    Returns:
        Config: The config; the lists are written.
    """
    cfg = Config.fromfile(find_root() / 'configs' / BASE)
    cfg.model.backbone = dict(encoder.backbone, init_cfg=cfg.model.backbone.init_cfg)
    cfg.model.pixel_decoder.decoder_depth = 1  # is not asked
    for name in ('mean', 'std', 'to_rgb'):
        cfg.model.data_preprocessor[name] = getattr(encoder, name)
    height, width = encoder.image
    pipeline = [
        dict(type='cmae_mm.LoadImage'),
        dict(
            type='ResizeEdge',
            scale=max(height, width),
            edge='short',
            backend='pillow',
            interpolation='bicubic',
        ),
        dict(type='CenterCrop', crop_size=(width, height)),
        dict(type='PackInputs'),
    ]
    for loader, name, images in (
        (cfg.test_dataloader, 'val', data.val),
        (cfg.test_cfg.bank_dataloader, 'train', data.train),
    ):
        listed = out.resolve() / f'{name}.txt'
        listed.write_text(''.join(f'{path} {label}\n' for path, label in images))
        loader.update(batch_size=batch_size, num_workers=workers(len(images)))
        loader.dataset = dict(
            type='CustomDataset',
            data_root=str(data.root),
            ann_file=str(listed),
            metainfo=dict(classes=data.classes),
            pipeline=pipeline,
        )
    return cfg


def probe(encoder: EncoderInfo, data: ClassFolders, out: str | Path) -> dict[str, Any]:
    """Measure k-NN and linear accuracy of an encoder, and the same without training.

    Args:
        encoder (EncoderInfo): The pre-trained encoder.
        data (ClassFolders): Labelled images.
        out (str | Path): Folder for ``config.py``, the lists and ``results.json``.

    Returns:
        dict[str, Any]: Top-1 in percent under ``pre-trained`` and ``random init``
        (each with ``knn`` and ``linear``), ``raw pixels`` (``knn``) and ``chance``;
        and what they were measured on.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    cfg = compose_probe(encoder, data, out)
    cfg.dump(out / 'config.py')
    init_default_scope('mmpretrain')
    # Every weight's initialisation would be told otherwise.
    MMLogger.get_instance('cmae-probe', log_level='WARNING')
    loaders = [
        Runner.build_dataloader(loader, seed=0)
        for loader in (cfg.test_cfg.bank_dataloader, cfg.test_dataloader)
    ]
    top1 = {
        'pre-trained': _accuracies(_model(cfg, encoder), loaders),
        'random init': _accuracies(_model(cfg, None), loaders),
        'raw pixels': _accuracies(RawPixels(), loaders, linear=False),
        'chance': dict(always_the_largest_class=100 * data.chance),
    }
    results = dict(
        top1=top1,
        checkpoint=str(encoder.checkpoint),
        data=str(data.root),
        split=data.how,
        classes=len(data.classes),
        images=dict(train=len(data.train), val=len(data.val)),
        k=20,
        seed=0,
    )
    (out / 'results.json').write_text(json.dumps(results, indent=2) + '\n')
    return results


class RawPixels(nn.Module):
    """Stands in for an encoder: the picture itself, reduced to 32x32 pixels."""

    def test_step(self, data: dict) -> list:
        """Data samples with the field ``feature``, (3 * 32 * 32,), float in 0..255."""
        samples = []
        for image, sample in zip(data['inputs'], data['data_samples'], strict=True):
            small = F.adaptive_avg_pool2d(image.float(), PIXELS_SIDE)
            sample.set_field(small.flatten(), 'feature')
            samples.append(sample)
        return samples


def _model(cfg: Config, encoder: EncoderInfo | None) -> nn.Module:
    """The CMAE of the config, with the encoder's weights or at its random start."""
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    if encoder is not None:
        file = encoder.checkpoint
        weights = part_of(weights_of(read_checkpoint(file), file), 'backbone')
        try:
            model.backbone.load_state_dict(weights, strict=True)
        except RuntimeError as error:
            raise ValueError(
                f'{file} does not fit the encoder that it describes: {error}'
            ) from error
    return model.to(get_device())


def _accuracies(
    model: nn.Module, loaders: list[DataLoader], linear: bool = True
) -> dict[str, float]:
    """Percentages of one row."""
    bank, queries = (extract_features(model, loader) for loader in loaders)
    if not linear:  # cosines of pixels tell more about their mean than they should
        mean = bank[0].mean(dim=0)
        bank, queries = ((x - mean, labels) for x, labels in (bank, queries))
    found = dict(knn=100 * knn_accuracy(*bank, *queries))
    if linear:
        found['linear'] = 100 * linear_accuracy(*bank, *queries)
    return found
