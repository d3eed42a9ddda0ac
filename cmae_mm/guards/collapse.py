"""Whether the features still tell one image from another."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from cmae_mm.registry import HOOKS

BRANCHES = ('online', 'target')


@HOOKS.register_module()
class CollapseHook(Hook):
    """Measures the features now and then, and raises an alarm if they collapse.

    A contrastive loss can fall although nothing is learnt: if all images get the same
    features, or features in a few directions only. Under ``train/`` it logs, for the
    encoder, and for both branches if there are two (``online``, the predictions;
    ``target``, the keys):

    - ``spread_*``: see :func:`relative_spread`, in [0, 1],
    - ``rank_*``: see :func:`effective_rank`, from 1 to min(images, width),

    and between the branches the cosines of :func:`similarities`.

    The numbers are those of the features of the training step itself, on the first
    rank: hooks on three modules, in every ``interval``-th iteration only, catch what
    passes. The losses stay as they are. Features that are not finite are left to
    :class:`FiniteStepsHook`.

    The alarm is a warning in the log, of the branches only: the reconstruction keeps
    the encoder alive. Where its limits stand between healthy and collapsed runs is
    measured in docs/reliability.md.

    Args:
        interval (int): Iterations between two measurements; a multiple of the
            logger's shows them fresh. Defaults to 100.
        min_spread (float): The alarm is below it, in [0, 1]. Defaults to 0.1.
        min_rank (float): The alarm is below this share of min(images, width), in
            [0, 1]. Defaults to 0.05.
        patience (int): So many measurements in a row raise the alarm, again and
            again while it lasts. Defaults to 3.
    """

    def __init__(
        self,
        interval: int = 100,
        min_spread: float = 0.1,
        min_rank: float = 0.05,
        patience: int = 3,
    ) -> None:
        self.interval = interval
        self.min_spread = min_spread
        self.min_rank = min_rank
        self.patience = patience
        self._handles: list[Any] = []
        self._caught: dict[str, list[torch.Tensor]] = {}
        self._in_a_row = dict.fromkeys(BRANCHES, 0)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Listen to the model, if it is time."""
        if not self.every_n_train_iters(runner, self.interval) or not is_main_process():
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        extra = model.num_extra_tokens
        # (latent (B, E + V, D), ...) of the masked view
        self._listen('encoder', model.backbone, lambda out: out[0][:, extra:].mean(1))
        if model.contrastive_weight:
            self._listen('online', model.contrastive_head.predictor, lambda out: out[0])
            self._listen('target', model.target_projector, lambda out: out[0])

    def _listen(self, name: str, module: nn.Module, pick: Callable) -> None:
        """Keep (B, C) of what the module gives; several times with micro-batches."""
        parts = self._caught[name] = []

        def keep(module: nn.Module, args: Any, out: Any) -> None:
            parts.append(pick(out).detach())

        self._handles.append(module.register_forward_hook(keep))

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Measure what was caught, log it, and judge it."""
        if not self._handles:
            return
        for handle in self._handles:
            handle.remove()
        # The decomposition is small, and on a GPU slower than on the host.
        features = {
            k: torch.cat(parts).float().cpu() for k, parts in self._caught.items()
        }
        self._handles, self._caught = [], {}
        if any(len(v) < 2 or not v.isfinite().all() for v in features.values()):
            return
        numbers = measure(features)
        for name, value in numbers.items():
            runner.message_hub.update_scalar(f'train/{name}', value)
        for branch in BRANCHES:
            if branch in features:
                spread, rank = numbers[f'spread_{branch}'], numbers[f'rank_{branch}']
                self._judge(runner, branch, spread, rank, features[branch].shape)

    def _judge(
        self,
        runner: Runner,
        branch: str,
        spread: float,
        rank: float,
        shape: tuple[int, int],
    ) -> None:
        """Raise the alarm if the features of a branch have been poor for long."""
        images, most = shape[0], min(shape)
        poor = spread < self.min_spread or rank < self.min_rank * most
        self._in_a_row[branch] = self._in_a_row[branch] + 1 if poor else 0
        if not poor or self._in_a_row[branch] % self.patience:
            return
        runner.logger.warning(
            f'The features of the {branch} branch have collapsed: the network hardly '
            f'tells the {images} images of a batch apart. Their spread is '
            f'{spread:.3f} of what it could be (alarm below {self.min_spread}), and '
            f'they lie in {rank:.1f} of {most} directions (alarm below '
            f'{self.min_rank * most:.1f}), for {self._in_a_row[branch]} measurements '
            f'{self.interval} iterations apart. More training seldom mends this. Go '
            'back to a checkpoint from before these numbers fell, and try a lower '
            'learning rate or a longer warm-up, an ema_decay nearer to 1, BatchNorm in '
            'projector and predictor, or negatives (cmae_mm.ContrastiveHead).'
        )


def measure(features: dict[str, torch.Tensor]) -> dict[str, float]:
    """Spread and rank of all features, and the similarities of two branches."""
    numbers = {}
    for name, value in features.items():
        numbers[f'spread_{name}'] = relative_spread(value)
        numbers[f'rank_{name}'] = effective_rank(value)
    if 'online' in features:
        numbers |= similarities(features['online'], features['target'])
    return numbers


def relative_spread(features: torch.Tensor) -> float:
    """Standard deviation of the directions of features, averaged over the width.

    Source: SimSiam (`Exploring Simple Siamese Representation Learning
    <https://arxiv.org/abs/2011.10566>`_, section 4.1). Directions that point
    everywhere have 1 / sqrt(C), equal ones 0.

    Args:
        features (Tensor): (B, C), floats.

    Returns:
        float: Its ratio to 1 / sqrt(C), in [0, 1].
    """
    deviations = F.normalize(features, dim=1).std(dim=0, correction=0)  # (C,)
    return float(deviations.mean() * features.shape[1] ** 0.5)


def effective_rank(features: torch.Tensor) -> float:
    """In how many directions the features lie.

    The exponential of the entropy of the singular values, as shares of their sum. Not
    centred: features that are all the same have 1. Source: Roy and Vetterli,
    EUSIPCO 2007; for features `RankMe <https://arxiv.org/abs/2210.02885>`_.

    Args:
        features (Tensor): (B, C), floats; their lengths do not matter.

    Returns:
        float: From 1 to min(B, C).
    """
    values = torch.linalg.svdvals(F.normalize(features, dim=1))
    return float(torch.special.entr(values / values.sum()).sum().exp())


def similarities(queries: torch.Tensor, keys: torch.Tensor) -> dict[str, float]:
    """Cosines of queries with their own keys, and with the others of this rank.

    Args:
        queries (Tensor): (B, C), floats, B above 1.
        keys (Tensor): (B, C), of the same images in the same order.

    Returns:
        dict[str, float]: In [-1, 1], means over the queries: ``similarity_positive``
        to the own key, ``similarity_negative`` to the others, ``similarity_hardest``
        to the nearest of the others.
    """
    cosines = F.normalize(queries, dim=1) @ F.normalize(keys, dim=1).t()  # (B, B)
    own = torch.eye(len(cosines), dtype=torch.bool)
    others = cosines[~own].view(len(cosines), -1)  # (B, B - 1)
    return dict(
        similarity_positive=float(cosines[own].mean()),
        similarity_negative=float(others.mean()),
        similarity_hardest=float(others.amax(dim=1).mean()),
    )
