"""k-nearest-neighbour accuracy: what the features know, without any training."""

import torch
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from mmengine.runner import Runner, TestLoop

from cmae_mm.guards.labels import compare_labels
from cmae_mm.guards.refusal import refuse
from cmae_mm.registry import LOOPS, METRICS

from .features import extract_features


def knn_accuracy(
    bank: torch.Tensor,
    bank_labels: torch.Tensor,
    queries: torch.Tensor,
    labels: torch.Tensor,
    k: int = 20,
    temperature: float = 0.07,
) -> float:
    """Classify each query by its k most similar neighbours in the bank.

    Neighbours vote with exp(cosine / temperature), the protocol of Wu et al.,
    "Unsupervised Feature Learning via Non-Parametric Instance Discrimination",
    which DINO and others report.

    Args:
        bank (Tensor): Features of the labelled training images, (N, D).
        bank_labels (Tensor): Their classes, (N,), int64, 0 or more.
        queries (Tensor): Features of the test images, (M, D).
        labels (Tensor): Their classes, (M,), int64.
        k (int): Number of neighbours, clipped to N. Defaults to 20.
        temperature (float): Above 0. Defaults to 0.07.

    Returns:
        float: Share of the queries classified right, in [0, 1].
    """
    bank = F.normalize(bank.float(), dim=1)
    queries = F.normalize(queries.float(), dim=1)
    num_classes = int(bank_labels.max()) + 1
    right = 0
    for chunk, truth in zip(queries.split(256), labels.split(256), strict=True):
        similarity, nearest = (chunk @ bank.t()).topk(min(k, len(bank)), dim=1)
        votes = torch.zeros(len(chunk), num_classes, device=chunk.device)
        # Relative to the nearest, which changes no vote and cannot overflow.
        weights = ((similarity - similarity[:, :1]) / temperature).exp()
        votes.scatter_add_(1, bank_labels[nearest], weights)
        right += int((votes.argmax(dim=1) == truth).sum())
    return right / len(queries)


@METRICS.register_module()
class KNNAccuracy(BaseMetric):
    """k-NN accuracy of the field ``feature`` of the data samples, in percent.

    The bank is filled by :class:`KNNTestLoop` before the test images come.

    Args:
        k (int): Number of neighbours. Defaults to 20.
        temperature (float): See :func:`knn_accuracy`. Defaults to 0.07.
        collect_device (str): 'cpu' or 'gpu'. Defaults to 'cpu'.
        prefix (str, optional): Of the result's name. Defaults to 'knn'.
    """

    default_prefix = 'knn'

    def __init__(
        self,
        k: int = 20,
        temperature: float = 0.07,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.k = k
        self.temperature = temperature
        self.bank: tuple[torch.Tensor, torch.Tensor] | None = None

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Keep feature (D,) and label of every image."""
        for sample in data_samples:
            if 'gt_label' not in sample:
                raise ValueError(
                    'k-NN accuracy needs labelled images, but a sample has no '
                    'gt_label. Point the test data set at a folder with one '
                    'sub-folder per class (with_label=True).'
                )
            self.results.append(
                (sample['feature'].cpu(), int(sample['gt_label'].item()))
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compare the collected images with the bank."""
        if self.bank is None:
            raise RuntimeError(
                'KNNAccuracy has no bank of labelled features. Use it with '
                "test_cfg=dict(type='cmae_mm.KNNTestLoop', bank_dataloader=...)."
            )
        queries = torch.stack([feature for feature, _ in results])
        labels = torch.tensor([label for _, label in results])
        accuracy = knn_accuracy(*self.bank, queries, labels, self.k, self.temperature)
        return {'top1': 100 * accuracy}


@LOOPS.register_module()
class KNNTestLoop(TestLoop):
    """Test loop of pre-training: fill the k-NN bank, then test.

    Args:
        runner (Runner): The runner.
        dataloader (DataLoader or dict): Labelled test images.
        evaluator (Evaluator, dict or list): With a :class:`KNNAccuracy`.
        bank_dataloader (dict): Labelled training images.
        fp16 (bool): See the base class. Defaults to False.

    Raises:
        ValueError: If images have no labels, or the classes of the two differ.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader,
        evaluator,
        bank_dataloader: dict,
        fp16: bool = False,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, fp16)
        self.bank_dataloader = runner.build_dataloader(
            bank_dataloader, seed=runner.seed
        )
        refuse(
            compare_labels(
                dict(
                    bank_dataloader=self.bank_dataloader.dataset,
                    test_dataloader=self.dataloader.dataset,
                )
            )
        )

    def run(self) -> dict:
        """Launch the test, see the base class."""
        bank = extract_features(self.runner.model, self.bank_dataloader)
        for metric in self.evaluator.metrics:
            if isinstance(metric, KNNAccuracy):
                metric.bank = bank
        return super().run()
