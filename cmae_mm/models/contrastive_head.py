import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_rank
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS

from cmae_mm.registry import MODELS


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

    def loss(
        self, query: torch.Tensor, key: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Contrast the predicted queries with all keys.

        Args:
            query (Tensor): Projections of the online branch, (B, C).
            key (Tensor): Projections of the target branch for the same images in
                the same order, (B, C); gets no gradient.

        Returns:
            tuple[Tensor, dict]: InfoNCE averaged over this rank's batch, a float32
            scalar, and for the log ``acc_contrastive``, the share of queries whose
            own key is the most similar one, in [0, 1].
        """
        prediction = self.predictor((query,))[0]
        # Cosines differ in the third digit where temperature 0.07 matters:
        # keep them out of half precision.
        with torch.autocast(query.device.type, enabled=False):
            prediction = F.normalize(prediction.float(), dim=1)
            key = F.normalize(key.detach().float(), dim=1)
            keys = torch.cat(all_gather(key))  # (G, C), G: global batch
            logits = prediction @ keys.t() / self.temperature  # (B, G)
            labels = torch.arange(len(logits), device=logits.device)
            labels = labels + len(logits) * get_rank()
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

    def loss(
        self, query: torch.Tensor, key: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Pull each predicted query to its own key.

        Args:
            query (Tensor): See :meth:`ContrastiveHead.loss`.
            key (Tensor): See :meth:`ContrastiveHead.loss`.

        Returns:
            tuple[Tensor, dict]: The loss averaged over this rank's batch, in
            [0, 4], a float32 scalar, and for the log ``similarity``, the mean
            cosine.
        """
        prediction = self.predictor((query,))[0]
        with torch.autocast(query.device.type, enabled=False):
            cosine = F.cosine_similarity(prediction.float(), key.detach().float())
        similarity = cosine.mean()
        return 2 - 2 * similarity, {'similarity': similarity.detach()}
