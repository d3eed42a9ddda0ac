"""Features of a labelled data set, as the frozen evaluations want them."""

from collections.abc import Iterable, Iterator

import torch
from mmengine.dist import collect_results
from torch import nn
from torch.utils.data import DataLoader


@torch.no_grad()
def extract_features(
    model: nn.Module, dataloader: DataLoader
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Let a model see every image of a loader once.

    Args:
        model (nn.Module): A :class:`cmae_mm.CMAE`, or any model whose ``test_step``
            gives data samples with the fields ``feature`` (D,) and ``gt_label``;
            left in evaluation mode.
        dataloader (DataLoader): Labelled images, every rank its share.

    Returns:
        tuple[Tensor, Tensor] or None: Features (N, D) and labels (N,), int64, on
        the CPU of rank 0; None on the other ranks.
    """
    model.eval()
    found = list(features_of(model, dataloader))
    found = collect_results(found, len(dataloader.dataset), 'cpu')
    return None if found is None else stack_features(found)


@torch.no_grad()
def features_of(
    model: nn.Module, batches: Iterable[dict]
) -> Iterator[tuple[torch.Tensor, int]]:
    """Feature and label of each image, on this process alone.

    Args:
        model (nn.Module): See :func:`extract_features`, in evaluation mode.
        batches (Iterable[dict]): As a data loader gives them.

    Yields:
        tuple[Tensor, int]: Feature (D,) on the CPU, and label.

    Raises:
        ValueError: If an image has no label.
    """
    for data_batch in batches:
        for sample in model.test_step(data_batch):
            if 'gt_label' not in sample:
                raise ValueError(
                    'The bank of k-NN needs labelled images, but a sample has no '
                    'gt_label. Point the data set at a folder with one sub-folder per '
                    'class (with_label=True).'
                )
            yield sample.feature.cpu(), int(sample.gt_label.item())


def stack_features(
    found: Iterable[tuple[torch.Tensor, int]],
) -> tuple[torch.Tensor, torch.Tensor]:
    """What :func:`features_of` gives, as features (N, D) and labels (N,), int64."""
    features, labels = zip(*found, strict=True)
    return torch.stack(features), torch.tensor(labels)
