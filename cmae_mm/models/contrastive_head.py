from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from mmengine.dist import get_rank, get_world_size
from mmengine.model import BaseModule
from mmengine.utils import digit_version
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS

from cmae_mm.registry import MODELS

# Gloo of torch 2.1 cannot gather into one tensor.
_OLD_GLOO = digit_version(torch.__version__) < digit_version('2.2.0')


class Keys(NamedTuple):
    """What the queries of this rank are compared with.

    Attributes:
        bank (Tensor): Normalised target projections of the global batch, (G, C),
            at least float32, without gradient.
        first (int): Row of the key that belongs to the first query.
        arriving (dist.Work, optional): Set while other ranks' rows are on their way.
    """

    bank: torch.Tensor
    first: int = 0
    arriving: dist.Work | None = None

    def part(self, start: int) -> 'Keys':
        """The same bank for queries that begin ``start`` rows further on."""
        return self._replace(first=self.first + start)


def own_keys(key: torch.Tensor) -> Keys:
    """The keys of this rank's images alone: nothing is sent.

    Args:
        key (Tensor): Projections of the target branch on this rank, (B, C).
    """
    return Keys(_normalised(key.detach()))


def _normalised(vectors: torch.Tensor) -> torch.Tensor:
    # Cosines differ in the third digit where temperature 0.07 matters: they never
    # see half precision.
    precise = torch.promote_types(vectors.dtype, torch.float32)
    return F.normalize(vectors.to(precise), dim=1)


@MODELS.register_module()
class ContrastiveHead(BaseModule):
    r"""Predictor and asymmetric InfoNCE.

    .. math::
        L_i = -\log \frac{\exp(\rho_{ii} / \tau)}{\sum_j \exp(\rho_{ij} / \tau)},
        \quad \rho_{ij} = \cos(q_i, k_j)

    where q are the predictions of the online branch on this rank and k the target
    projections of the *global* batch. Gradients flow to q only. Source: paper,
    section 3, equation of L_c.

    All ranks must have the same batch size (``drop_last`` of the sampler).

    Args:
        predictor (dict): Config of the predictor, a neck such as
            ``NonLinearNeck`` that maps a 1-tuple of (B, C) to one of (B, C).
        temperature (float): tau, above 0. Defaults to 0.07.

    Raises:
        ValueError: If ``temperature`` is not above 0.
    """

    def __init__(self, predictor: dict, temperature: float = 0.07) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(
                f'temperature={temperature} must be above 0; the paper takes 0.07.'
            )
        self.predictor = MMPRETRAIN_MODELS.build(predictor)
        self.temperature = temperature

    @torch.no_grad()
    def collect(self, key: torch.Tensor) -> Keys:
        """Start to bring the keys of all ranks together.

        The other ranks' keys arrive while the online branch is computed; the loss
        waits for them.

        Args:
            key (Tensor): Projections of the target branch on this rank, (B, C).

        Returns:
            Keys: To be handed to :meth:`loss`.
        """
        keys = own_keys(key)
        if get_world_size() == 1:
            return keys
        key = keys.bank
        bank = key.new_empty(len(key) * get_world_size(), key.shape[1])
        if _OLD_GLOO and dist.get_backend() == 'gloo':
            parts = list(bank.chunk(get_world_size()))  # views
            work = dist.all_gather(parts, key, async_op=True)
        else:
            work = dist.all_gather_into_tensor(bank, key, async_op=True)
        return Keys(bank, len(key) * get_rank(), work)

    def loss(
        self, query: torch.Tensor, keys: Keys
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Contrast the predicted queries with all keys.

        Args:
            query (Tensor): Projections of the online branch, (B, C).
            keys (Keys): From :meth:`collect`, for the same images in the same order.

        Returns:
            tuple[Tensor, dict]: InfoNCE averaged over this rank's batch, a float32
            scalar, and for the log ``acc_contrastive``, the share of queries whose
            own key is the most similar one, in [0, 1].
        """
        prediction = self.predictor((query,))[0]
        if keys.arriving is not None:
            keys.arriving.wait()
        with torch.autocast(query.device.type, enabled=False):
            prediction = _normalised(prediction)
            logits = prediction @ keys.bank.t() / self.temperature  # (B, G)
            labels = keys.first + torch.arange(len(logits), device=logits.device)
            loss = F.cross_entropy(logits, labels)
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        return loss, {'acc_contrastive': accuracy}


@MODELS.register_module()
class PositivePairHead(BaseModule):
    r"""Ablation: predictor and the loss of BYOL, without negatives.

    .. math:: L_i = 2 - 2 \cos(q_i, k_i)

    Source: paper, ablations ("BYOL-style loss", 83.4 % against 83.8 % of InfoNCE);
    the formula is BYOL's.

    Args:
        predictor (dict): See :class:`ContrastiveHead`.
    """

    def __init__(self, predictor: dict) -> None:
        super().__init__()
        self.predictor = MMPRETRAIN_MODELS.build(predictor)

    def collect(self, key: torch.Tensor) -> Keys:
        """The keys of this rank, (B, C), are all that is needed."""
        return own_keys(key)

    def loss(
        self, query: torch.Tensor, keys: Keys
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Pull each predicted query to its own key.

        Args:
            query (Tensor): See :meth:`ContrastiveHead.loss`.
            keys (Keys): See :meth:`ContrastiveHead.loss`.

        Returns:
            tuple[Tensor, dict]: The loss averaged over this rank's batch, in
            [0, 4], a float32 scalar, and for the log ``similarity``, the mean
            cosine.
        """
        prediction = self.predictor((query,))[0]
        own = keys.bank[keys.first : keys.first + len(query)]
        with torch.autocast(query.device.type, enabled=False):
            similarity = (_normalised(prediction) * own).sum(dim=1).mean()
        return 2 - 2 * similarity, {'similarity': similarity.detach()}
