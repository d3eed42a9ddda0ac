"""Who is timed: this project, the same method from stock parts, and released code.

Every contender is given the same weights, the same views and the same random
draws, and must compute the same losses and gradients before it is timed.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from logging import getLogger
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope, init_default_scope
from torch import nn

from cmae_mm.engine import CompileHook

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
PRETRAIN = CONFIGS / 'pretrain/cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'


@dataclass
class Contender:
    """One implementation of the training step.

    Args:
        name (str): For the tables.
        model (nn.Module): On its device, in training mode.
        losses (Callable): ``views -> (reconstruction, contrastive)``, with a graph;
            may update the momentum branch on the way.
        momentum (Callable): The momentum update alone.
        optimizer (torch.optim.Optimizer): As its config builds it.
        load (Callable, optional): Takes over the weights of a :class:`cmae_mm.CMAE`.
        updates_inside (bool): Whether ``losses`` updates the momentum branch.
        autocast (torch.dtype, optional): None computes in float32.
        shims (list[str]): What had to be replaced to run it in one process.
        inside (Callable): The context in which it must be called.
    """

    name: str
    model: nn.Module
    losses: Callable[[list[torch.Tensor]], tuple[torch.Tensor, torch.Tensor]]
    momentum: Callable[[], None]
    optimizer: torch.optim.Optimizer
    load: Callable[[nn.Module], None] | None = None
    updates_inside: bool = False
    autocast: torch.dtype | None = None
    shims: tuple[str, ...] = ()
    inside: Callable[[], AbstractContextManager] = nullcontext

    def forward(self, views: list[torch.Tensor], follow: bool = True) -> torch.Tensor:
        """Total loss of one batch; views in float64 are computed as precisely.

        Args:
            views (list[Tensor]): Two views, normalised.
            follow (bool): False leaves out a momentum update that would happen on
                the way. Defaults to True.
        """
        if not follow:
            still = mock.patch.object(
                self.model, 'update_target', _nothing, create=True
            )
            with still:
                return self.forward(views)
        with self.precision(views):
            return sum(self.losses(views))

    def precision(self, views: list[torch.Tensor]) -> AbstractContextManager:
        """Autocast, unless the views are in float64."""
        lower = self.autocast and views[0].dtype == torch.float32
        device = views[0].device.type
        return torch.autocast(device, self.autocast) if lower else nullcontext()

    def step(self, views: list[torch.Tensor]) -> torch.Tensor:
        """A whole training step."""
        self.optimizer.zero_grad()
        loss = self.forward(views)
        loss.backward()
        self.optimizer.step()
        if not self.updates_inside:
            self.momentum()
        return loss


def _nothing() -> None:
    """In place of the momentum update."""


def load_config(
    arch: str, mask_ratio: float, block_size: int, img_size: int = 224
) -> Config:
    """The released recipe, with one of the encoders.

    Args:
        arch (str): Of mmpretrain's VisionTransformer, or 'tiny' for a test of the
            benchmark itself.
        mask_ratio (float): See :class:`cmae_mm.CMAEViT`.
        block_size (int): See :class:`cmae_mm.CMAEViT`.
        img_size (int): Side of the views in pixels. Defaults to 224.
    """
    cfg = Config.fromfile(PRETRAIN)
    init_default_scope(cfg.default_scope)
    set_arch(cfg.model, arch)
    cfg.model.backbone.update(
        mask_ratio=mask_ratio, block_size=block_size, img_size=img_size
    )
    return cfg


def set_arch(model: dict, arch: str) -> None:
    """Give a model config one of mmpretrain's encoders, or the one for tests."""
    model.backbone.arch = arch
    if arch == 'tiny':
        model.backbone.arch = dict(
            embed_dims=48, num_layers=2, num_heads=3, feedforward_channels=96
        )
        for decoder in (model.pixel_decoder, model.feature_decoder):
            decoder.update(decoder_embed_dim=48, decoder_depth=1, decoder_num_heads=3)


def build_ours(cfg: Config, device: str, autocast: torch.dtype | None) -> Contender:
    """This project, as its config says."""
    model = MODELS.build(cfg.model)
    model.init_weights()
    model = revert_sync_batchnorm(model).to(device).train()
    # The benchmark gives the context of autocast itself.
    wrapper_cfg = {**cfg.optim_wrapper, 'type': 'OptimWrapper'}
    optimizer = build_optim_wrapper(model, wrapper_cfg).optimizer

    def losses(views: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        found = model.loss(views, [])
        return found['loss_reconstruction'], found['loss_contrastive']

    return Contender(
        'cmae_mm',
        model,
        losses,
        model.update_target,
        optimizer,
        updates_inside=True,
        autocast=autocast,
    )


def compile_blocks(contender: Contender, backend: str) -> None:
    """Compile the blocks of ours as its hook does.

    Args:
        contender (Contender): Of this project.
        backend (str): Of ``torch.compile``; 'inductor' is torch's own.
    """
    runner = SimpleNamespace(model=contender.model, logger=getLogger('benchmark'))
    CompileHook(backend=backend).before_train(runner)


def build_stock(cfg: Config, device: str, autocast: torch.dtype | None) -> Contender:
    """The same method wired from mmpretrain's and MMEngine's stock parts.

    Single patches are masked, because stock parts know no blocks. Needs a recipe
    with ``block_size=1`` to be compared with ours.
    """
    model = StockCMAE(cfg.model)
    model = revert_sync_batchnorm(model).to(device).train()
    wrapper_cfg = {**cfg.optim_wrapper, 'type': 'OptimWrapper'}
    del wrapper_cfg['constructor']
    optimizer = build_optim_wrapper(model, wrapper_cfg).optimizer
    return Contender(
        'stock mmpretrain',
        model,
        model.losses,
        model.update_target,
        optimizer,
        load=model.load,
        autocast=autocast,
    )


class StockCMAE(nn.Module):
    """CMAE of ``MAEViT``, ``MAEPretrainDecoder``, ``MoCoV3Head`` and MMEngine's EMA.

    Args:
        cfg (dict): Model config of :class:`cmae_mm.CMAE`.
    """

    def __init__(self, cfg: dict) -> None:
        super().__init__()
        from mmengine.model import ExponentialMovingAverage

        encoder = {k: v for k, v in cfg.backbone.items() if k != 'block_size'}
        self.backbone = MODELS.build({**encoder, 'type': 'MAEViT'})
        width = self.backbone.embed_dims
        tokens = dict(
            num_patches=self.backbone.num_patches,
            patch_size=cfg.backbone.patch_size,
            embed_dim=width,
        )
        stock = dict(type='MAEPretrainDecoder')
        self.pixel_decoder = MODELS.build({**tokens, **cfg.pixel_decoder, **stock})
        self.feature_decoder = MODELS.build(
            {**tokens, 'predict_feature_dim': width, **cfg.feature_decoder, **stock}
        )
        self.head = MODELS.build(
            {
                **cfg.head,
                'type': 'MAEPretrainHead',
                'norm_pix': True,
                'patch_size': cfg.backbone.patch_size,
            }
        )
        self.projector = MODELS.build({'in_channels': width, **cfg.projector})
        self.contrastive_head = MODELS.build(
            dict(
                type='MoCoV3Head',
                predictor=cfg.contrastive_head.predictor,
                temperature=cfg.contrastive_head.temperature,
                loss=dict(type='CrossEntropyLoss', loss_weight=cfg.contrastive_weight),
            )
        )
        self.averaged = ExponentialMovingAverage(
            nn.ModuleList([self.backbone, self.projector]), momentum=1 - cfg.ema_decay
        )
        self.final_norm = cfg.target_final_norm

    def load(self, ours: nn.Module) -> None:
        """Take over the weights of a :class:`cmae_mm.CMAE`."""
        parts = 'backbone', 'pixel_decoder', 'feature_decoder', 'projector'
        for part in (*parts, 'contrastive_head'):
            weights = getattr(ours, part).state_dict()
            getattr(self, part).load_state_dict(weights)
        for average, target in zip(
            self.averaged.module,
            (ours.target_backbone, ours.target_projector),
            strict=True,
        ):
            average.load_state_dict(target.state_dict(), strict=False)
        self.averaged.steps.fill_(1)  # the next update averages, the first copies

    def losses(self, views: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Both losses of one batch."""
        view, shifted_view = views
        latent, mask, ids_restore = self.backbone(view)
        pixels = self.pixel_decoder(latent, ids_restore)
        reconstruction = self.head.loss(pixels, view, mask)
        completed = self.feature_decoder(latent, ids_restore).mean(dim=1)
        query = self.projector((completed,))[0]
        with torch.no_grad():
            encoder, projector = self.averaged.module
            encoder.final_norm = self.final_norm
            tokens = encoder(shifted_view, mask=None)[-1]
            key = projector((tokens[:, 1:].mean(dim=1),))[0]
        return reconstruction, self.contrastive_head.loss(query, key)

    def update_target(self) -> None:
        """The momentum update of MMEngine."""
        self.averaged.update_parameters(nn.ModuleList([self.backbone, self.projector]))


def build_released(
    checkout: Path, cfg: Config, device: str, autocast: torch.dtype | None
) -> Contender:
    """The authors' released code, imported from a checkout outside this project.

    Args:
        checkout (Path): Of github.com/ZhichengHuang/CMAE.
        cfg (Config): The released recipe, for its numbers.
        device (str): 'cpu' or 'cuda'.
        autocast (torch.dtype, optional): None computes in float32.

    Raises:
        SystemExit: If there is no such checkout.
    """
    open_checkout(checkout)
    import cmae.models  # noqa: F401
    from cmae.registry import MODELS as RELEASED  # noqa: N811

    # Types of the same name stand in mmpretrain, too.
    with DefaultScope.overwrite_default_scope('cmae'):
        model = RELEASED.build(_released_config(cfg))
    shims = [
        'SyncBN replaced by BatchNorm',
        'momentum update called directly',
        'no weight decay on BatchNorm, as in ours',
    ]
    model.init_weights()
    model = revert_sync_batchnorm(model).to(device).train()
    shims.append(join_group_of_one(device))
    if device == 'cpu':
        shims.append('Tensor.cuda is the identity')
    wrapper_cfg = dict(
        type='OptimWrapper',
        optimizer={**cfg.optim_wrapper.optimizer},
        paramwise_cfg=dict(
            custom_keys={
                name: dict(decay_mult=0.0)
                for name in (
                    'ln',
                    'bn0',
                    'bias',
                    'pos_embed',
                    'mask_token',
                    'cls_token',
                )
            }
        ),
    )
    optimizer = build_optim_wrapper(model, wrapper_cfg).optimizer

    def losses(views: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        with cuda_is_here(device):
            found = model.forward_train(views[0], img_t=views[1])
        return found['loss_rc'], found['loss_ct']

    return Contender(
        'released code',
        model,
        losses,
        model.momentum_update,
        optimizer,
        load=partial(_load_released, model),
        autocast=autocast,
        shims=tuple(shims),
    )


def open_checkout(checkout: Path) -> None:
    """Make the authors' code importable.

    Raises:
        SystemExit: If there is no such checkout.
    """
    if not (checkout / 'cmae/models').is_dir():
        raise SystemExit(
            f'{checkout} holds no cmae/models. --reference wants a checkout of '
            "the authors' code (github.com/ZhichengHuang/CMAE)."
        )
    sys.path.insert(0, str(checkout))


def join_group_of_one(device: str) -> str:
    """Start a process group without others, which the released loss asks for.

    Returns:
        str: This, as a shim to be named.
    """
    backend = 'nccl' if device == 'cuda' else 'gloo'
    if not torch.distributed.is_initialized():
        store = torch.distributed.FileStore(tempfile.mkstemp()[1], 1)
        torch.distributed.init_process_group(backend, store=store, rank=0, world_size=1)
    return f'process group of one ({backend})'


@contextmanager
def cuda_is_here(device: str) -> Iterator[None]:
    """Their loss sends its labels to the GPU; on the CPU they stay."""
    if device == 'cpu':
        with mock.patch.object(torch.Tensor, 'cuda', lambda self, *a, **k: self):
            yield
    else:
        yield


def _released_config(cfg: Config) -> dict:
    """Their model config with the numbers of ours."""
    model = cfg.model
    size = dict(arch=model.backbone.arch, patch_size=model.backbone.patch_size)
    encoder = dict(type='CMAEViT', **size)
    decoder = dict(
        type='MAEPretrainDecoder',
        patch_size=model.backbone.patch_size,
        in_chans=3,
        embed_dim=768,
        decoder_embed_dim=model.pixel_decoder.decoder_embed_dim,
        decoder_num_heads=model.pixel_decoder.decoder_num_heads,
        mlp_ratio=4.0,
    )
    mlp = dict(
        type='NonLinearNeck',
        hid_channels=model.projector.hid_channels,
        out_channels=model.projector.out_channels,
        num_layers=2,
        with_bias=True,
        with_last_bn=False,
        with_avg_pool=False,
    )
    return dict(
        type='CMAE',
        backbone=dict(
            online={**encoder, 'mask_ratio': model.backbone.mask_ratio},
            target={**encoder, 'mask_ratio': 0.0, 'final_norm': False},
        ),
        neck=dict(
            pixel={**decoder, 'decoder_depth': model.pixel_decoder.decoder_depth},
            feature={**decoder, 'decoder_depth': model.feature_decoder.decoder_depth},
            projector={**mlp, 'in_channels': 768},
        ),
        head=dict(
            type='CMAEPretrainHead',
            predictor={**mlp, 'in_channels': model.projector.out_channels},
            temperature=model.contrastive_head.temperature,
            norm_pix=True,
            patch_size=model.backbone.patch_size,
        ),
    )


def _load_released(model: nn.Module, ours: nn.Module) -> None:
    """Give the released model our weights, name by name."""
    from cmae_mm.bridge.names import RELEASED_PARTS

    for theirs, name in RELEASED_PARTS.items():
        part, source = model, ours
        for word in theirs.split('.'):
            part = getattr(part, word)
        for word in name.split('.'):
            source = getattr(source, word)
        part.load_state_dict(source.state_dict())
