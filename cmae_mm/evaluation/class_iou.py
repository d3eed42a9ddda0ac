"""Intersection over union, class by class."""

import torch
from mmengine.evaluator import BaseMetric

from cmae_mm.registry import METRICS


@METRICS.register_module()
class ClassIoU(BaseMetric):
    """IoU of each class over all pixels of a data set, in percent.

    mmsegmentation's ``IoUMetric`` prints them as a table in its log and returns their
    mean alone. Beside it, this metric gives every class a curve and a record. Classes
    that are neither in the truth nor in a prediction are left out.

    Args:
        ignore_index (int): Label of pixels that do not count. Defaults to 255.
        collect_device (str): 'cpu' or 'gpu'. Defaults to 'cpu'.
        prefix (str, optional): Of the results' names. Defaults to 'IoU'.
    """

    default_prefix = 'IoU'

    def __init__(
        self,
        ignore_index: int = 255,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.ignore_index = ignore_index

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Count the pixels of every image: intersections and unions, (2, classes)."""
        classes = len(self.dataset_meta['classes'])
        for sample in data_samples:
            found = sample['pred_sem_seg']['data'].flatten().cpu().long()
            truth = sample['gt_sem_seg']['data'].flatten().cpu().long()
            counts = truth != self.ignore_index
            found, truth = found[counts], truth[counts]
            right, seen, there = (
                torch.bincount(labels, minlength=classes)
                for labels in (found[found == truth], found, truth)
            )
            self.results.append(torch.stack([right, seen + there - right]))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Sum over the images."""
        right, union = torch.stack(results).sum(dim=0)
        names = self.dataset_meta['classes']
        return {
            name: 100 * (part / whole).item()
            for name, part, whole in zip(names, right, union, strict=True)
            if whole
        }
