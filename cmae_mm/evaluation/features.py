"""Features of a labelled data set, as the frozen evaluations want them."""

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
    found = []
    for data_batch in dataloader:
        for sample in model.test_step(data_batch):
            if 'gt_label' not in sample:
                raise ValueError(
                    'The bank of k-NN needs labelled images, but a sample has no '
                    'gt_label. Point the data set at a folder with one sub-folder per '
                    'class (with_label=True).'
                )
            found.append((sample.feature.cpu(), int(sample.gt_label.item())))
    found = collect_results(found, len(dataloader.dataset), 'cpu')
    if found is None:
        return None
    features, labels = zip(*found, strict=True)
    return torch.stack(features), torch.tensor(labels)
