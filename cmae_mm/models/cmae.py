"""Contrastive masked autoencoders.

Letters in the shapes: B images of a batch, L patches of an image, V visible
ones, D width of the encoder, P numbers in a patch of pixels, C width of the
projections.
"""

import torch
from mmpretrain.models.selfsup.base import BaseSelfSupervisor
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from mmpretrain.structures import DataSample

from cmae_mm.registry import MODELS

from .momentum import copy_parameters, update_parameters


@MODELS.register_module()
class CMAE(BaseSelfSupervisor):
    """CMAE: masked reconstruction and contrast, made to agree.

    Source: `Contrastive Masked Autoencoders are Stronger Vision Learners
    <https://arxiv.org/abs/2207.13532>`_, section 3.

    Args:
        backbone (dict): Online encoder, a ``cmae_mm.CMAEViT``.
        pixel_decoder (dict): Rebuilds the pixels, a ``MAEPretrainDecoder``.
        head (dict): Reconstruction loss, a ``MAEPretrainHead``.
        feature_decoder (dict, optional): Completes and pools the features, a
            ``cmae_mm.FeatureDecoder``.
        projector (dict, optional): Maps (B, D) to (B, C), a ``NonLinearNeck``
            without pooling; used by both branches.
        contrastive_head (dict, optional): Predictor and InfoNCE, a
            ``cmae_mm.ContrastiveHead``.
        contrastive_weight (float): lambda_c, 0 or more. The paper's total loss has
            1; the released recipe multiplies InfoNCE by 2 * temperature = 0.14.
            With 0 the contrastive branch is not even built, which leaves exactly
            MAE at MAE's cost. Defaults to 1.0.
        ema_decay (float): mu of the momentum update, in [0, 1]. Defaults to 0.996
            (paper, constant).
        target_final_norm (bool): Whether the target encoder ends in a LayerNorm
            as the online encoder does (paper), or not (released recipe).
            Defaults to True.
        data_preprocessor (dict, optional): Defaults to a
            ``SelfSupDataPreprocessor``.
        init_cfg (dict or list[dict], optional): Weight initialisation.

    Raises:
        ValueError: If a part of the contrastive branch is missing, or a number
            is out of its range.
    """

    def __init__(
        self,
        backbone: dict,
        pixel_decoder: dict,
        head: dict,
        feature_decoder: dict | None = None,
        projector: dict | None = None,
        contrastive_head: dict | None = None,
        contrastive_weight: float = 1.0,
        ema_decay: float = 0.996,
        target_final_norm: bool = True,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            backbone=backbone,
            head=head,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        if contrastive_weight < 0:
            raise ValueError(f'contrastive_weight={contrastive_weight} is below 0.')
        if not 0 <= ema_decay <= 1:
            raise ValueError(
                f'ema_decay={ema_decay} is outside [0, 1]. It is the share of the '
                "target that stays (0.996), not mmengine's momentum (0.004)."
            )
        self.pixel_decoder = MMPRETRAIN_MODELS.build(pixel_decoder)
        self.contrastive_weight = contrastive_weight
        self.ema_decay = ema_decay
        if contrastive_weight == 0:
            return

        parts = dict(
            feature_decoder=feature_decoder,
            projector=projector,
            contrastive_head=contrastive_head,
        )
        missing = [name for name, cfg in parts.items() if cfg is None]
        if missing:
            raise ValueError(
                f'CMAE got no {" and no ".join(missing)}. Give their configs, or '
                'set contrastive_weight=0 to train a plain MAE.'
            )
        for name, cfg in parts.items():
            self.add_module(name, MMPRETRAIN_MODELS.build(cfg))
        # The momentum branch: same networks, other weights, no gradient.
        self.target_backbone = MMPRETRAIN_MODELS.build(
            {**backbone, 'final_norm': target_final_norm}
        )
        self.target_projector = MMPRETRAIN_MODELS.build(projector)
        self.target_backbone.requires_grad_(False)
        self.target_projector.requires_grad_(False)
        self.reset_target()

    def init_weights(self) -> None:
        """Initialise the online branch, and start the target as its copy."""
        super().init_weights()
        if self.contrastive_weight:
            self.reset_target()

    def reset_target(self) -> None:
        """Make the target branch a copy of the online branch."""
        copy_parameters(self.target_backbone, self.backbone)
        copy_parameters(self.target_projector, self.projector)

    def update_target(self) -> None:
        """Let the target branch follow the online branch by one step."""
        update_parameters(self.target_backbone, self.backbone, self.ema_decay)
        update_parameters(self.target_projector, self.projector, self.ema_decay)

    def loss(
        self, inputs: list[torch.Tensor], data_samples: list[DataSample], **kwargs
    ) -> dict[str, torch.Tensor]:
        """One training step of both branches, as in the figure of the paper.

        The momentum update happens here, just before the target is used, as in
        MoCo v3 of mmpretrain: the target sees the online weights of the last
        optimiser step, and no config can forget a hook. With gradient accumulation
        it therefore runs once per micro-batch.

        Args:
            inputs (list[Tensor]): The view and the shifted view of each image,
                (B, 3, H, W) each, normalised, float.
            data_samples (list[DataSample]): Not used; no labels are needed.

        Returns:
            dict[str, Tensor]: ``loss_reconstruction``, and unless the weight is
            0 ``loss_contrastive`` (weighted) and ``acc_contrastive`` in [0, 1].
        """
        view, shifted_view = self._two_views(inputs)

        latent, mask, ids_restore = self.backbone(view)  # (B, 1+V, D), 2x (B, L)
        pixels = self.pixel_decoder(latent, ids_restore)  # (B, L, P)
        losses = {'loss_reconstruction': self.head.loss(pixels, view, mask)}
        if self.contrastive_weight == 0:
            return losses

        completed = self.feature_decoder(latent, ids_restore)  # (B, D)
        query = self.projector((completed,))[0]  # (B, C)
        key = self.target(shifted_view)  # (B, C)
        info_nce, accuracy = self.contrastive_head.loss(query, key)
        losses['loss_contrastive'] = self.contrastive_weight * info_nce
        losses['acc_contrastive'] = accuracy
        return losses

    @torch.no_grad()
    def target(self, shifted_view: torch.Tensor) -> torch.Tensor:
        """Update the momentum branch, and let it see the whole shifted view.

        Args:
            shifted_view (Tensor): (B, 3, H, W), normalised, float.

        Returns:
            Tensor: Projections of the mean patch feature, (B, C), no gradient.
        """
        self.update_target()
        tokens = self.target_backbone(shifted_view, mask=None)[-1]  # (B, 1+L, D)
        return self.target_projector((tokens[:, 1:].mean(dim=1),))[0]

    def _two_views(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        """The two views, or a word on how to get them."""
        if isinstance(inputs, torch.Tensor) and self.contrastive_weight == 0:
            return [inputs, inputs]  # plain MAE needs no second view
        if not isinstance(inputs, (list, tuple)) or len(inputs) != 2:
            came = (
                f'a tensor of {tuple(inputs.shape)}'
                if isinstance(inputs, torch.Tensor)
                else f'{len(inputs)} views'
            )
            raise ValueError(
                'CMAE needs two views of every image (a view and a shifted view), '
                f'got {came}. Take the pipeline of configs/_base_/datasets/'
                'imagenet_two-views.py: MultiView with num_views=[1, 1].'
            )
        return list(inputs)

    def extract_feat(
        self, inputs: torch.Tensor | list[torch.Tensor]
    ) -> tuple[torch.Tensor, ...]:
        """Features of the whole image from the online encoder.

        Args:
            inputs (Tensor | list[Tensor]): Images (B, 3, H, W); of several views
                the first is taken.

        Returns:
            tuple[Tensor, ...]: One (B, 1 + L, D) per output of the backbone; the
            class token comes first.
        """
        if not isinstance(inputs, torch.Tensor):
            inputs = inputs[0]
        return self.backbone(inputs, mask=None)

    def forward(
        self,
        inputs: torch.Tensor | list[torch.Tensor],
        data_samples: list[DataSample] | None = None,
        mode: str = 'tensor',
    ):
        """Modes 'tensor' and 'loss' of the base class, and 'predict'.

        Args:
            inputs (Tensor | list[Tensor]): See :meth:`loss`, :meth:`extract_feat`.
            data_samples (list[DataSample], optional): What is known of the images.
            mode (str): 'tensor', 'loss' or 'predict'.

        Returns:
            With 'predict': the data samples, each with the field ``feature``, the
            mean patch feature (D,) that :class:`cmae_mm.KNNAccuracy` compares.
        """
        if mode != 'predict':
            return super().forward(inputs, data_samples, mode)
        features = self.extract_feat(inputs)[-1][:, 1:].mean(dim=1)  # (B, D)
        data_samples = data_samples or [DataSample() for _ in features]
        for sample, feature in zip(data_samples, features, strict=True):
            sample.set_field(feature, 'feature')
        return data_samples
