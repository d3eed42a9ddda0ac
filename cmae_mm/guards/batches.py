"""Batches that cannot be trained on."""

from mmengine.dataset import InfiniteSampler
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from cmae_mm.models import CMAE, ContrastiveHead


def check_batches(runner: Runner) -> list[str]:
    """Compare the batches of a training with what the model can learn from.

    Args:
        runner (Runner): About to train.

    Returns:
        list[str]: One complaint per impossible setting: no batch at all, or a batch
        of one image for InfoNCE or BatchNorm.
    """
    loader = runner.train_dataloader
    size = getattr(getattr(loader, 'batch_sampler', None), 'batch_size', None)
    if size is None or not hasattr(loader.dataset, '__len__'):
        return []  # batches that are made elsewhere, or of a stream
    missing = _check_presence(loader, size)
    if missing:
        return missing
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if not isinstance(model, CMAE) or not model.contrastive_weight:
        return []
    smallest = _last_batch(loader, size)
    where = (
        f'train_dataloader.batch_size={size}'
        if smallest == size
        else f'The last batch of an epoch ({len(loader.sampler)} images in batches of '
        f'{size}; drop_last=True leaves it out)'
    )
    parts = getattr(runner.train_loop, 'micro_batches', 1)
    return [
        *_check_negatives(model, smallest * runner.world_size, where),
        *_check_norms(model, smallest // parts, runner.world_size, where),
    ]


def _check_presence(loader: DataLoader, size: int) -> list[str]:
    """An epoch without a single batch would be trained without a word."""
    images = len(loader.dataset)
    endless = isinstance(loader.sampler, InfiniteSampler) and images > 0
    if len(loader) or endless:
        return []
    if not images:
        return [
            'train_dataloader: the data set is empty. Look at data_root, data_prefix '
            'and ann_file of its dataset.'
        ]
    share = len(loader.sampler)
    return [
        f'train_dataloader: the {share} images of each process make no whole batch of '
        f'{size}, so that nothing would be trained. Take a batch_size of {share} or '
        'less, or drop_last=False.'
    ]


def _last_batch(loader: DataLoader, size: int) -> int:
    """Images in the last batch of an epoch."""
    drop_last = getattr(loader.batch_sampler, 'drop_last', True)
    if drop_last or isinstance(loader.sampler, InfiniteSampler):
        return size
    return len(loader.sampler) % size or size


def _check_negatives(model: CMAE, images: int, where: str) -> list[str]:
    """InfoNCE over one image is 0, whatever the features are."""
    if images > 1 or not isinstance(model.contrastive_head, ContrastiveHead):
        return []
    return [
        f'{where}: InfoNCE compares an image with the others of all processes, and '
        'here there are none: its loss would always be 0. Take 2 images or more (the '
        'paper: 4096), a cmae_mm.PositivePairHead, which needs no others, or '
        'contrastive_weight=0, which is MAE.'
    ]


def _check_norms(model: CMAE, images: int, world_size: int, where: str) -> list[str]:
    """BatchNorm has no statistics of one vector."""
    if images > 1 or not any(
        _is_lonely(module, world_size)
        for part in (model.projector, model.contrastive_head)
        for module in part.modules()
    ):
        return []
    return [
        f'{where}: BatchNorm in the projector or predictor would see one image alone, '
        'of which it can take no statistics. Take 2 images or more, norm_cfg=dict('
        "type='SyncBN') on several GPUs, or norm_cfg=dict(type='LN')."
    ]


def _is_lonely(module: nn.Module, world_size: int) -> bool:
    """Whether a module is a BatchNorm that sees the images of this process only."""
    shared = isinstance(module, nn.SyncBatchNorm) and world_size > 1
    return isinstance(module, _BatchNorm) and not shared
