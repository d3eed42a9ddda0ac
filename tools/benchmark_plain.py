"""The plain way of what this project does faster, to be timed against it.

Each function is a context: inside, the given :class:`cmae_mm.CMAE` computes the same
in the way that is the most obvious, and that stock parts or released code take.
Letters in the shapes as in :mod:`cmae_mm.models.cmae`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from unittest import mock

import torch
import torch.nn.functional as F
from mmpretrain.models.utils import MultiheadAttention
from torch import nn

from cmae_mm.models import cmae, cmae_vit, decoders
from cmae_mm.models.contrastive_head import Keys
from cmae_mm.models.decoders import PixelDecoder
from cmae_mm.models.masking import Masking
from cmae_mm.models.reconstruction_head import ReconstructionHead


@contextmanager
def separate_attention(model: nn.Module) -> Iterator[None]:
    """Scores, softmax, and the weighted sum one after the other, not fused."""

    def attend(query, key, value, dropout_p=0.0):
        scores = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5
        return scores.softmax(dim=-1) @ value

    with _attention(model, attend):
        yield


@contextmanager
def fused_attention(model: nn.Module) -> Iterator[None]:
    """Torch's fused attention, in float32 where it came in half precision."""

    def attend(query, key, value, dropout_p=0.0):
        with torch.autocast('cpu', enabled=False):
            whole = [t.float() for t in (query, key, value)]
            return F.scaled_dot_product_attention(*whole).to(value.dtype)

    with _attention(model, attend):
        yield


@contextmanager
def _attention(model: nn.Module, attend: Callable) -> Iterator[None]:
    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, MultiheadAttention):
                patch = mock.patch.object(
                    module, 'scaled_dot_product_attention', attend
                )
                stack.enter_context(patch)
        yield


@contextmanager
def all_patches_embedded(model: nn.Module) -> Iterator[None]:
    """A convolution over the whole view; most of its results are thrown away."""

    def embed(images: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        embedded, _ = model.backbone.patch_embed(images)  # (B, L, D)
        return cmae_vit.take_tokens(embedded, ids)

    with mock.patch.object(model.backbone, 'embed_patches', embed):
        yield


@contextmanager
def repeated_indices(model: nn.Module) -> Iterator[None]:
    """Tokens picked by an index repeated over all channels, and sorted twice."""
    with ExitStack() as stack:
        for module in (cmae_vit, decoders):
            stack.enter_context(mock.patch.object(module, 'take_tokens', gather_tokens))
        for decoder in (model.pixel_decoder, model.feature_decoder):
            plain = partial(complete_by_sorting, decoder)
            stack.enter_context(mock.patch.object(decoder, 'complete', plain))
        yield


def gather_tokens(tokens: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Tokens at the given places: (B, L, D) and (B, V) to (B, V, D)."""
    return tokens.gather(1, ids.unsqueeze(-1).repeat(1, 1, tokens.shape[-1]))


def complete_by_sorting(
    decoder: PixelDecoder, latent: torch.Tensor, masking: Masking
) -> torch.Tensor:
    """:meth:`PixelDecoder.complete` as in MAE: mask tokens behind, then reordered."""
    tokens = decoder.decoder_embed(latent)
    extra, visible = tokens.tensor_split([decoder.num_extra_tokens], dim=1)
    missing = decoder.num_patches - visible.shape[1]
    mask_tokens = decoder.mask_token.to(tokens.dtype).repeat(len(tokens), missing, 1)
    order = torch.cat([masking.ids_visible, masking.ids_masked], dim=1)
    patches = torch.cat([visible, mask_tokens], dim=1)
    patches = gather_tokens(patches, order.argsort(dim=1))  # (B, L, W)
    tokens = torch.cat([extra, patches], dim=1) + decoder.decoder_pos_embed
    for block in decoder.decoder_blocks:
        tokens = block(tokens)
    return tokens[:, decoder.num_extra_tokens :]


@contextmanager
def target_as_if_masked(model: nn.Module) -> Iterator[None]:
    """A target that takes all its tokens through an index, outside of no_grad."""
    project = model.project_target

    def gather_all(module, args, output):
        tokens, size = output
        places = torch.arange(tokens.shape[1], device=tokens.device)
        return gather_tokens(tokens, places.expand(len(tokens), -1)), size

    def project_plainly(view: torch.Tensor, masking: Masking | None) -> torch.Tensor:
        with torch.enable_grad():
            return project(view, masking)

    patch_embed = model.target_backbone.patch_embed
    with (
        patch_embed.register_forward_hook(gather_all),
        mock.patch.object(model, 'project_target', project_plainly),
    ):
        yield


@contextmanager
def all_pixels_rebuilt(model: nn.Module) -> Iterator[None]:
    """Pixels of all patches; those of the visible ones are multiplied by zero."""
    decoder = model.pixel_decoder

    def rebuild(tokens: torch.Tensor, masking: Masking) -> torch.Tensor:
        return decoder.decoder_pred(decoder.decoder_norm(tokens))  # (B, L, P)

    loss = partial(masked_mean, model.head)
    with (
        mock.patch.object(decoder, 'rebuild', rebuild),
        mock.patch.object(model.head, 'loss', loss),
    ):
        yield


def masked_mean(
    head: ReconstructionHead,
    pixels: torch.Tensor,
    images: torch.Tensor,
    masking: Masking,
) -> torch.Tensor:
    """MAE's loss as it is written down, from pixels (B, L, P) of all patches."""
    patches = head.patchify(images)
    mean = patches.mean(dim=-1, keepdim=True)
    variance = patches.var(dim=-1, keepdim=True)
    target = (patches - mean) / (variance + 1e-6).sqrt()
    of_patch = (pixels - target).square().mean(dim=-1)  # (B, L)
    return (of_patch * masking.mask).sum() / masking.mask.sum()


@contextmanager
def features_pooled_last(model: nn.Module) -> Iterator[None]:
    """The last linear layer of the feature decoder on every token, then the mean."""
    decoder = model.feature_decoder

    def forward(latent: torch.Tensor, masking: Masking) -> torch.Tensor:
        tokens = decoder.decoder_norm(decoder.complete(latent, masking))
        return decoder.decoder_pred(tokens).mean(dim=1)

    with mock.patch.object(decoder, 'forward', forward):
        yield


@contextmanager
def labels_from_the_host(model: nn.Module) -> Iterator[None]:
    """Labels that are made on the host; the device waits for their copy."""
    head = model.contrastive_head

    def loss(query: torch.Tensor, keys: Keys) -> tuple[torch.Tensor, dict]:
        prediction = head.predictor((query,))[0]
        with torch.autocast(query.device.type, enabled=False):
            prediction = F.normalize(prediction.to(keys.bank.dtype), dim=1)
            logits = prediction @ keys.bank.t() / head.temperature  # (B, G)
            labels = keys.first + torch.arange(len(logits))
            labels = labels.to(logits.device)
            loss = F.cross_entropy(logits, labels)
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        return loss, {'acc_contrastive': accuracy}

    with mock.patch.object(head, 'loss', loss):
        yield


@contextmanager
def momentum_one_by_one(model: nn.Module) -> Iterator[None]:
    """The equation of the momentum update, parameter by parameter."""

    @torch.no_grad()
    def update(target: nn.Module, online: nn.Module, decay: float) -> None:
        named = dict(online.named_parameters())
        for name, param in target.named_parameters():
            param.copy_(decay * param + (1 - decay) * named[name])

    with mock.patch.object(cmae, 'update_parameters', update):
        yield
