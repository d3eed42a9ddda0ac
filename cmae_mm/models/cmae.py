"""Contrastive masked autoencoders.

Letters in the shapes: B images of a batch, L patches of an image, V visible
ones, E extra tokens (1 class token, or none), D width of the encoder, W of the pixel
decoder, P numbers in a patch of pixels, C width of the projections.
"""

import math
from itertools import accumulate

import torch
from mmengine.logging import MessageHub
from mmpretrain.models.selfsup.base import BaseSelfSupervisor
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from mmpretrain.structures import DataSample

from cmae_mm.registry import MODELS

from .attention import use_fast_attention
from .contrastive_head import Keys
from .decoders import SharedFeatureDecoder
from .masking import Masking
from .momentum import copy_parameters, cosine_decay, update_parameters

TARGET_PREFIXES = ('target_backbone.', 'target_projector.')


@MODELS.register_module()
class CMAE(BaseSelfSupervisor):
    """CMAE: masked reconstruction and contrast, made to agree.

    Source: `Contrastive Masked Autoencoders are Stronger Vision Learners
    <https://arxiv.org/abs/2207.13532>`_, section 3.

    The configs of the parts need not repeat the geometry of the encoder (patch
    grid, patch size, channels, width); what they leave out is filled in.

    Args:
        backbone (dict): Online encoder, a ``cmae_mm.CMAEViT`` or a
            ``cmae_mm.CMAEConvViT``.
        pixel_decoder (dict): Rebuilds the pixels, a ``cmae_mm.PixelDecoder``.
        head (dict): Reconstruction loss, a ``cmae_mm.ReconstructionHead``.
        feature_decoder (dict, optional): Completes and pools the features, a
            ``cmae_mm.FeatureDecoder``. None is an ablation: the mean of the visible
            latents is projected.
        projector (dict, optional): Maps (B, D) to (B, C), a ``NonLinearNeck``
            without pooling; used by both branches.
        contrastive_head (dict, optional): Predictor and loss, a
            ``cmae_mm.ContrastiveHead`` (InfoNCE).
        contrastive_weight (float): lambda_c, 0 or more. The paper's total loss has
            1; the released recipe multiplies InfoNCE by 2 * temperature = 0.14.
            With 0 the contrastive branch is not even built, which leaves exactly
            MAE at MAE's cost. Defaults to 1.0.
        ema_decay (float): mu of the momentum update, in [0, 1]. Defaults to 0.996
            (paper, constant).
        ema_end_decay (float, optional): Ablation: mu at the end of the training,
            reached along a cosine. None keeps it constant.
        target_final_norm (bool): Whether the target encoder ends in a LayerNorm
            as the online encoder does (paper), or not (released recipe).
            Defaults to True.
        target_sees_all (bool): Whether the target encoder sees the whole view
            (paper), or (ablation) only the patches that the online encoder sees.
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
        ema_end_decay: float | None = None,
        target_final_norm: bool = True,
        target_sees_all: bool = True,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            backbone=backbone, data_preprocessor=data_preprocessor, init_cfg=init_cfg
        )
        if contrastive_weight < 0:
            raise ValueError(f'contrastive_weight={contrastive_weight} is below 0.')
        for decay in (ema_decay, ema_decay if ema_end_decay is None else ema_end_decay):
            if not 0 <= decay <= 1:
                raise ValueError(
                    f'A decay of {decay} is outside [0, 1]. It is the share of the '
                    "target that stays (0.996), not mmengine's momentum (0.004)."
                )
        encoder = self.backbone
        if encoder.masking.num_visible == math.prod(encoder.patch_resolution):
            raise ValueError(
                f'mask_ratio={backbone.get("mask_ratio")} masks no patch, so there is '
                'nothing to rebuild. The paper takes 0.75, the released recipe 0.65.'
            )
        self.num_extra_tokens = encoder.num_extra_tokens
        patches = dict(patch_size=encoder.patch_size)
        tokens = dict(
            grid=encoder.patch_resolution,
            num_extra_tokens=encoder.num_extra_tokens,
            embed_dim=encoder.embed_dims,
        )
        build = MMPRETRAIN_MODELS.build
        self.pixel_decoder = build(
            {**patches, **tokens, 'in_chans': encoder.in_channels, **pixel_decoder}
        )
        self.head = build({**patches, 'in_channels': encoder.in_channels, **head})
        self._held_keys: list[Keys] = []
        self.updates_target = True  # False: whoever wraps this model does it
        self.contrastive_weight = contrastive_weight
        self.ema_decay = ema_decay
        self.ema_end_decay = ema_end_decay
        self.target_sees_all = target_sees_all
        if contrastive_weight:
            self._build_contrastive_branch(
                backbone,
                feature_decoder and {**tokens, **feature_decoder},
                projector and {'in_channels': encoder.embed_dims, **projector},
                contrastive_head,
                target_final_norm,
            )
        use_fast_attention(self)

    def _build_contrastive_branch(
        self,
        backbone: dict,
        feature_decoder: dict | None,
        projector: dict | None,
        contrastive_head: dict | None,
        target_final_norm: bool,
    ) -> None:
        """Everything that MAE does not have."""
        parts = dict(projector=projector, contrastive_head=contrastive_head)
        missing = [name for name, cfg in parts.items() if cfg is None]
        if missing:
            raise ValueError(
                f'CMAE got no {" and no ".join(missing)}. Give their configs, or '
                'set contrastive_weight=0 to train a plain MAE.'
            )
        build = MMPRETRAIN_MODELS.build
        self.feature_decoder = feature_decoder and build(feature_decoder)
        self.projector = build(projector)
        self.contrastive_head = build(contrastive_head)
        # The momentum branch: same networks, other weights, no gradient.
        self.target_backbone = build({**backbone, 'final_norm': target_final_norm})
        self.target_projector = build(projector)
        self.target_backbone.requires_grad_(False)
        self.target_projector.requires_grad_(False)
        # Here, because sharding wraps the modules and so changes the names.
        self._target_names = {
            prefix: [
                name for name, _ in self.get_submodule(prefix[:-1]).named_parameters()
            ]
            for prefix in TARGET_PREFIXES
        }
        self.reset_target()
        self._register_load_state_dict_pre_hook(
            _start_target_from_online, with_module=True
        )

    def init_weights(self) -> None:
        """Initialise the online branch, and start the target as its copy.

        Unless a checkpoint of the whole model starts both.
        """
        super().init_weights()
        loaded = (
            isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained'
        )
        if self.contrastive_weight and not loaded:
            self.reset_target()

    def reset_target(self) -> None:
        """Make the target branch a copy of the online branch."""
        copy_parameters(self.target_backbone, self.backbone)
        copy_parameters(self.target_projector, self.projector)

    def update_target(self) -> None:
        """Let the target branch follow the online branch by one step."""
        decay = self.current_decay()
        update_parameters(self.target_backbone, self.backbone, decay)
        update_parameters(self.target_projector, self.projector, decay)

    def current_decay(self) -> float:
        """Mu of this step: constant, or on its way to ``ema_end_decay``."""
        if self.ema_end_decay is None:
            return self.ema_decay
        hub = MessageHub.get_current_instance()
        if not hub.get_info('max_iters'):
            raise RuntimeError(
                'ema_end_decay needs to know how far the training is, which the '
                'runner of MMEngine tells. Train with it, or leave ema_end_decay out.'
            )
        progress = hub.get_info('iter', 0) / hub.get_info('max_iters')
        return cosine_decay(self.ema_decay, self.ema_end_decay, progress)

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
                (B, channels, H, W) each, normalised, float.
            data_samples (list[DataSample]): Not used; no labels are needed.

        Returns:
            dict[str, Tensor]: ``loss_reconstruction``, and unless the weight is
            0 ``loss_contrastive`` (weighted) and what the contrastive head logs,
            such as ``acc_contrastive`` in [0, 1].
        """
        view, shifted_view = self._two_views(inputs)
        masking = self.backbone.masking(len(view))
        keys = None
        if self.contrastive_weight:  # first, so that the keys have time to arrive
            seen = None if self.target_sees_all else masking
            keys = self.take_held_keys() or self.target([shifted_view], seen)[0]
        return self.online_losses(view, masking, keys)

    def online_losses(
        self, view: torch.Tensor, masking: Masking, keys: Keys | None
    ) -> dict[str, torch.Tensor]:
        """What the online branch makes of a view.

        Args:
            view (Tensor): (B, channels, H, W), normalised, float.
            masking (Masking): What of it is seen.
            keys (Keys, optional): Of the shifted views; None if the contrastive weight
                is 0.

        Returns:
            dict[str, Tensor]: See :meth:`loss`.
        """
        latent, _ = self.backbone(view, masking)  # (B, E+V, D)
        tokens = self.pixel_decoder.complete(latent, masking)  # (B, L, W)
        pixels = self.pixel_decoder.rebuild(tokens, masking)  # (B, L-V, P)
        losses = {'loss_reconstruction': self.head.loss(pixels, view, masking)}
        if keys is None:
            return losses

        completed = self.complete_features(latent, masking, tokens)  # (B, D)
        query = self.projector((completed,))[0]  # (B, C)
        loss, logs = self.contrastive_head.loss(query, keys)
        losses['loss_contrastive'] = self.contrastive_weight * loss
        return {**losses, **logs}

    def complete_features(
        self, latent: torch.Tensor, masking: Masking, tokens: torch.Tensor
    ) -> torch.Tensor:
        """The online branch's word on the whole image.

        Args:
            latent (Tensor): (B, E + V, D).
            masking (Masking): Where the visible tokens belong.
            tokens (Tensor): What the pixel decoder has completed, (B, L, W), for a
                feature decoder that shares its blocks.

        Returns:
            Tensor: Mean over all patches, the masked ones completed, (B, D).
        """
        if self.feature_decoder is None:
            return latent[:, self.num_extra_tokens :].mean(dim=1)
        if isinstance(self.feature_decoder, SharedFeatureDecoder):
            return self.feature_decoder(self.pixel_decoder.decoder_norm(tokens))
        return self.feature_decoder(latent, masking)

    @torch.no_grad()
    def target(
        self, shifted_views: list[torch.Tensor], masking: Masking | None = None
    ) -> list[Keys]:
        """Update the momentum branch, and let it see the shifted views.

        Args:
            shifted_views (list[Tensor]): The parts of a batch, (B, channels, H, W)
                each, normalised, float; one part unless it is too large.
            masking (Masking, optional): What it must not see. None shows the
                whole view.

        Returns:
            list[Keys]: For each part, what its queries are compared with: the
            projected mean patch features of all parts and all ranks.
        """
        if self.updates_target:
            self.update_target()
        projections = [self.project_target(view, masking) for view in shifted_views]
        keys = self.contrastive_head.collect(torch.cat(projections))
        starts = accumulate((len(view) for view in shifted_views), initial=0)
        return [
            keys.part(start) for start, _ in zip(starts, shifted_views, strict=False)
        ]

    def project_target(
        self, shifted_view: torch.Tensor, masking: Masking | None
    ) -> torch.Tensor:
        """Projections (B, C) of the mean patch features of the target encoder."""
        # (B, E + L, D) is the last output without masking, the first with it.
        out = self.target_backbone(shifted_view, masking)
        tokens = out[-1] if masking is None else out[0]
        mean = tokens[:, self.num_extra_tokens :].mean(dim=1)  # (B, D)
        return self.target_projector((mean,))[0]

    def hold_keys(self, shifted_views: list[torch.Tensor]) -> None:
        """Compute the keys of several coming calls of :meth:`loss` at once.

        For :class:`cmae_mm.MicroBatchTrainLoop`: the calls then work on the parts of
        one large batch, and contrast each with the keys of all of it.

        Args:
            shifted_views (list[Tensor]): See :meth:`target`.

        Raises:
            ValueError: If the target must see what the online encoder sees, which
                is not drawn yet.
        """
        if not self.target_sees_all:
            raise ValueError(
                'Micro-batches need a target that sees the whole view; '
                'target_sees_all=False wants masks that are drawn later. Use one '
                'large batch for this ablation.'
            )
        self._held_keys = self.target(shifted_views)

    def take_held_keys(self) -> Keys | None:
        """The keys held for this call of :meth:`loss`, if any are."""
        return self._held_keys.pop(0) if self._held_keys else None

    def _two_views(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        """The two views, or a word on how to get them."""
        if self.contrastive_weight == 0:  # plain MAE needs no second view
            view = inputs if isinstance(inputs, torch.Tensor) else inputs[0]
            return [view, view]
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
            inputs (Tensor | list[Tensor]): Images (B, channels, H, W); of several
                views the first is taken.

        Returns:
            tuple[Tensor, ...]: One (B, E + L, D) per output of the backbone; a
            class token comes first.
        """
        if not isinstance(inputs, torch.Tensor):
            inputs = inputs[0]
        return self.backbone(inputs, masking=None)

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
        tokens = self.extract_feat(inputs)[-1]
        features = tokens[:, self.num_extra_tokens :].mean(dim=1)  # (B, D)
        data_samples = data_samples or [DataSample() for _ in features]
        for sample, feature in zip(data_samples, features, strict=True):
            sample.set_field(feature, 'feature')
        return data_samples


def _start_target_from_online(
    model: CMAE, state_dict: dict[str, torch.Tensor], prefix: str, *args
) -> None:
    """Weights without a target (MAE's, say) start it as a copy of the online branch."""
    if any(key.startswith(prefix + TARGET_PREFIXES[0]) for key in state_dict):
        return
    for target_prefix in TARGET_PREFIXES:
        online_prefix = target_prefix.removeprefix('target_')
        for name in model._target_names[target_prefix]:
            online = state_dict.get(prefix + online_prefix + name)
            if online is not None:
                state_dict[prefix + target_prefix + name] = online
