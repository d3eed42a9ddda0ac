"""k-NN and linear accuracy on a small, fixed part of the labelled images."""

from collections import defaultdict
from collections.abc import Callable, Iterator

from mmengine.dataset import BaseDataset
from mmengine.runner import Runner
from torch import nn

from cmae_mm.evaluation import KNNAccuracy, knn_accuracy, linear_accuracy
from cmae_mm.evaluation.features import features_of, stack_features

from .fixed_batch import spread, try_to_build

PER_CLASS = 20  # images in the bank: as many as k-NN has neighbours
LOOKED_AT = 20000  # labels read to find the classes of a large data set
BATCH = 64


class LabelledImages:
    """What the accuracies are measured on.

    If there are more classes than ``bank_images`` holds 20 images of, a part of the
    classes is taken, evenly.

    Args:
        bank (BaseDataset): Labelled training images.
        queries (BaseDataset): Labelled test images of the same classes.
        bank_images (int): How many of the bank are used, at most.
        query_images (int): How many of the others are used, at most.
        with_knn (bool): Whether k-NN is wanted, or only the linear accuracy.

    Raises:
        ValueError: If an image has no label, or no class is in both.
    """

    def __init__(
        self,
        bank: BaseDataset,
        queries: BaseDataset,
        bank_images: int,
        query_images: int,
        with_knn: bool = True,
    ) -> None:
        by_class = _indices_by_class(bank)
        others = _indices_by_class(queries)
        shared = sorted(by_class.keys() & others.keys())
        if not shared:
            raise ValueError('No class is in both the bank and the test set.')
        classes = [
            shared[i] for i in spread(len(shared), max(2, bank_images // PER_CLASS))
        ]
        self.classes = len(classes)
        self.with_knn = with_knn
        self._bank = bank, _pick(by_class, classes, bank_images)
        self._queries = queries, _pick(others, classes, query_images)

    def __str__(self) -> str:
        return (
            f'{len(self._queries[1])} images of {self.classes} classes against '
            f'{len(self._bank[1])}'
        )

    def accuracies(self, model: nn.Module, collate: Callable) -> dict[str, float]:
        """Measure.

        Args:
            model (nn.Module): In evaluation mode, see
                :func:`cmae_mm.evaluation.features.features_of`.
            collate (Callable): Makes a batch of a list of samples.

        Returns:
            dict[str, float]: ``knn_top1`` and ``linear_top1`` in percent.
        """
        sets = [
            part
            for dataset, indices in (self._bank, self._queries)
            for part in stack_features(
                features_of(model, _batches(dataset, indices, collate))
            )
        ]
        found = dict(knn_top1=knn_accuracy) if self.with_knn else {}
        found['linear_top1'] = linear_accuracy
        return {name: 100 * measure(*sets) for name, measure in found.items()}


def find_labelled(
    runner: Runner, bank_images: int, query_images: int
) -> LabelledImages | None:
    """The labelled images that the config has for k-NN; None if it has none.

    They are those of the validation or test loop with a ``bank_dataloader``.

    Args:
        runner (Runner): Before training.
        bank_images (int): See :class:`LabelledImages`; 0 leaves the accuracies out.
        query_images (int): See :class:`LabelledImages`; 0 leaves the accuracies out.
    """
    for loop in ('val', 'test'):
        bank_loader = (runner.cfg.get(f'{loop}_cfg') or {}).get('bank_dataloader')
        loader = runner.cfg.get(f'{loop}_dataloader')
        if not (bank_loader and loader and bank_images and query_images):
            continue
        bank = try_to_build(runner, f'the bank of {loop}_cfg', bank_loader.dataset)
        queries = try_to_build(runner, f'{loop}_dataloader', loader.dataset)
        if bank is None or queries is None:
            return None
        knn = not _validates_by_knn(runner)
        return LabelledImages(bank, queries, bank_images, query_images, knn)
    return None


def _validates_by_knn(runner: Runner) -> bool:
    """Whether the validation of this run logs k-NN already, of all images."""
    evaluator = getattr(runner.val_loop, 'evaluator', None)
    metrics = getattr(evaluator, 'metrics', [])
    return any(isinstance(metric, KNNAccuracy) for metric in metrics)


def _indices_by_class(dataset: BaseDataset) -> dict[int, list[int]]:
    """Places of the images of each class, of those that are looked at."""
    found = defaultdict(list)
    for index in spread(len(dataset), LOOKED_AT):
        info = dataset.get_data_info(index)
        if 'gt_label' not in info:
            raise ValueError(f'{info.get("img_path", "An image")} has no label.')
        found[int(info['gt_label'])].append(index)
    return found


def _pick(by_class: dict[int, list[int]], classes: list[int], count: int) -> list[int]:
    """Equally many of each class, evenly over its images."""
    each = max(1, count // len(classes))
    return [
        by_class[label][i]
        for label in classes
        for i in spread(len(by_class[label]), each)
    ]


def _batches(dataset: BaseDataset, indices: list[int], collate) -> Iterator[dict]:
    for start in range(0, len(indices), BATCH):
        yield collate([dataset[i] for i in indices[start : start + BATCH]])
