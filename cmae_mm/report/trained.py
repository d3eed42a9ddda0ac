"""The model of a run with its trained weights, and what it makes of pictures."""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.models import ImageClassifier, VisionTransformer
from mmpretrain.models.utils import MultiheadAttention
from torch import nn

from cmae_mm.engine.valid_checkpoint import newest_valid, read_valid
from cmae_mm.models import CMAE

from .records import Run

_BATCH = 16


@dataclass
class Encoded:
    """What the encoder makes of pictures.

    Letters: N pictures, L patches in R rows and C columns, D numbers per patch.

    Args:
        patches (Tensor): Features of the patches, float (N, L, D).
        attention (Tensor): Of the last block, per patch, float (N, L); each picture's
            sum is 1.
        grid (tuple[int, int]): (R, C).
        from_class_token (bool): Whether it is the class token that looks, or the mean
            of the patches.
    """

    patches: torch.Tensor
    attention: torch.Tensor
    grid: tuple[int, int]
    from_class_token: bool

    @property
    def features(self) -> torch.Tensor:
        """Mean patch features, the ones that k-NN compares, (N, D)."""
        return self.patches.mean(dim=1)


def load_trained(run: Run, checkpoint: Path | None = None) -> tuple[nn.Module, Path]:
    """Build the model of a run's own config and load its weights.

    The code that the config names is run, as by a training.

    Args:
        run (Run): The run.
        checkpoint (Path, optional): Its weights. Defaults to the newest checkpoint of
            the run that is whole.

    Returns:
        tuple[nn.Module, Path]: In evaluation mode, on the fastest device; the file.

    Raises:
        FileNotFoundError: If there is no config or no checkpoint.
        RuntimeError: If the weights cannot be read, or do not fit.
        ValueError: If it is not a model that can be looked into.
    """
    file = checkpoint or newest_valid(run.folder)
    if file is None:
        raise FileNotFoundError(f'{run.folder} holds no whole checkpoint.')
    cfg = load_config(run)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmpretrain')):
        model = MODELS.build(cfg.model)
    _check_kind(model)
    weights = read_valid(Path(file))
    try:
        model.load_state_dict(weights.get('state_dict', weights))
    except RuntimeError as error:
        lines = str(error).strip().splitlines()
        raise RuntimeError(
            f'the weights in {Path(file).name} do not fit the model of the config: '
            f'{" ".join(lines[-1].split())[:200]}'
        ) from error
    return model.eval().to(get_device()), Path(file)


def load_config(run: Run) -> Config:
    """The settings of a run.

    Raises:
        FileNotFoundError: If it has left none.
        RuntimeError: If they cannot be read.
    """
    if run.config is None:
        raise FileNotFoundError(f'{run.folder} holds no config.')
    try:
        return Config.fromfile(run.config)
    except Exception as error:  # whatever stands in that file is run
        raise RuntimeError(
            f'the config {run.config.name} cannot be read ({error})'
        ) from error


def _check_kind(model: nn.Module) -> None:
    """Refuse models that have no patches and no attention to show."""
    plain = isinstance(model, ImageClassifier)
    if plain and isinstance(model.backbone, VisionTransformer):
        return
    if not isinstance(model, CMAE):
        raise ValueError(
            f'this run trains the model {type(model).__name__}, and only CMAE and '
            'classifiers with a plain vision transformer can be looked into'
        )


@torch.no_grad()
def encode(model: nn.Module, images: torch.Tensor) -> Encoded:
    """Let the encoder see whole pictures.

    Args:
        model (nn.Module): See :func:`load_trained`.
        images (Tensor): uint8 (N, C, H, W), as the data loader gives them.

    Returns:
        Encoded: On the CPU.
    """
    backbone = model.backbone
    extra = backbone.num_extra_tokens
    grid = tuple(
        side * count // full
        for side, count, full in zip(
            images.shape[-2:], backbone.patch_resolution, backbone.img_size, strict=True
        )
    )
    caught: dict[str, torch.Tensor] = {}
    attention = [m for m in backbone.modules() if isinstance(m, MultiheadAttention)][-1]
    handles = [
        attention.register_forward_pre_hook(
            lambda module, args: caught.update(attended=args[0])
        ),
        backbone.layers[-1].register_forward_hook(
            lambda module, args, out: caught.update(tokens=out)
        ),
    ]
    patches, looks = [], []
    try:
        for batch in images.split(_BATCH):
            data = model.data_preprocessor(dict(inputs=batch, data_samples=None), False)
            if isinstance(model, CMAE):
                tokens = model.extract_feat(data['inputs'])[-1]
            else:
                backbone(data['inputs'])
                tokens = F.layer_norm(caught['tokens'], caught['tokens'].shape[-1:])
            patches.append(tokens[:, extra:].float().cpu())
            looks.append(_look(attention, caught['attended'], extra).cpu())
    finally:
        for handle in handles:
            handle.remove()
    return Encoded(torch.cat(patches), torch.cat(looks), grid, extra > 0)


def _look(
    attention: MultiheadAttention, tokens: torch.Tensor, extra: int
) -> torch.Tensor:
    """Where a block looks, (N, L), from the tokens (N, E + L, D) that enter it.

    From the class token, the mean of the heads; without one, the mean over all
    patches, too. The fused kernel does not tell its weights, so they are computed.
    """
    count, length, _ = tokens.shape
    qkv = attention.qkv(tokens).reshape(
        count, length, 3, attention.num_heads, attention.head_dims
    )
    query, key, _ = qkv.float().permute(2, 0, 3, 1, 4)  # (N, heads, E + L, d)
    if extra:
        query = query[:, :, :1]
    weights = (query @ key.transpose(-2, -1) / attention.head_dims**0.5).softmax(-1)
    seen = weights.mean(dim=(1, 2))[:, extra:]  # (N, L)
    return seen / seen.sum(dim=1, keepdim=True)
