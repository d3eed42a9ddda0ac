"""Which patch of the target view a feature of the online view is most like.

Letters in the shapes: N chosen patches of the online view, L patches of a view, the
others as in :mod:`cmae_mm.models.cmae`.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from cmae_mm.models import CMAE, SharedFeatureDecoder
from cmae_mm.models.masking import Masking, take_tokens


class Matches(NamedTuple):
    """Patches of the online view, compared with all patches of the target view.

    Attributes:
        ids (Tensor): Places of the patches in the online view, int64 (B, N).
        maps (Tensor): Cosines with the patches of the own target view, in [-1, 1],
            (B, N, L).
        foreign (Tensor): The same with the target view of the next image.
    """

    ids: torch.Tensor
    maps: torch.Tensor
    foreign: torch.Tensor


@torch.no_grad()
def match_completed(
    model: CMAE, view: torch.Tensor, shifted: torch.Tensor, masking: Masking
) -> Matches | None:
    """The features that the feature decoder completes at the masked places.

    Both sides go where the training compares their means: the completed features
    through projector and predictor, the target's through its projector. Each side is
    then centred by its mean over the image: what is left is what tells one place from
    another.

    Args:
        model (CMAE): In evaluation mode.
        view (Tensor): (B, channels, H, W), normalised.
        shifted (Tensor): The target's view of the same images.
        masking (Masking): What of the view is seen.

    Returns:
        Matches or None: None if the model has no feature decoder.
    """
    latent, _ = model.backbone(view, masking)
    completed = complete_patches(model, latent, masking)
    if completed is None:
        return None
    query = model.contrastive_head.predictor(
        model.projector((completed.flatten(0, 1),))
    )
    key = model.target_projector((target_patches(model, shifted).flatten(0, 1),))
    query, key = (out[0].view(*completed.shape[:2], -1) for out in (query, key))
    return _compare(query, key, masking.ids_masked)


@torch.no_grad()
def match_visible(
    model: CMAE, view: torch.Tensor, shifted: torch.Tensor, masking: Masking
) -> Matches:
    """The encoder's own features at the visible places, each side centred.

    Args:
        See :func:`match_completed`.
    """
    latent, _ = model.backbone(view, masking)
    visible = latent[:, model.num_extra_tokens :]  # (B, V, D)
    return _compare(visible, target_patches(model, shifted), masking.ids_visible)


def complete_patches(
    model: CMAE, latent: torch.Tensor, masking: Masking
) -> torch.Tensor | None:
    """Features of all patches (B, L, D), whose mean is that of ``complete_features``.

    None without a feature decoder.
    """
    decoder = model.feature_decoder
    if decoder is None:
        return None
    # One that shares the blocks of the pixel decoder has a last layer only.
    shares = isinstance(decoder, SharedFeatureDecoder)
    blocks = model.pixel_decoder if shares else decoder
    tokens = blocks.decoder_norm(blocks.complete(latent, masking))
    return decoder.decoder_pred(tokens)


def target_patches(model: CMAE, shifted: torch.Tensor) -> torch.Tensor:
    """What the momentum encoder says of each patch of the whole view, (B, L, D)."""
    return model.target_backbone(shifted, None)[-1][:, model.num_extra_tokens :]


def _compare(queries: torch.Tensor, keys: torch.Tensor, ids: torch.Tensor) -> Matches:
    """Centre, and compare.

    Args:
        queries (Tensor): Of all patches (B, L, C), or of those in ``ids`` alone.
        keys (Tensor): (B, L, C).
        ids (Tensor): (B, N).
    """
    queries, keys = (
        x.float() - x.float().mean(dim=1, keepdim=True) for x in (queries, keys)
    )
    if queries.shape[1] != ids.shape[1]:
        queries = take_tokens(queries, ids)
    queries, keys = F.normalize(queries, dim=-1), F.normalize(keys, dim=-1)
    foreign = keys.roll(-1, dims=0)
    return Matches(ids, queries @ keys.mT, queries @ foreign.mT)


def true_places(
    ids: torch.Tensor, shifts: torch.Tensor, cols: int, patch_size: int
) -> torch.Tensor:
    """Where patches of the online view lie in the target view.

    Args:
        ids (Tensor): Places in the online view, int64 (B, N).
        shifts (Tensor): How far down and right the target view lies, pixels, (B, 2).
        cols (int): Patches in a row of the grid.
        patch_size (int): Side of a patch in pixels.

    Returns:
        Tensor: Row and column in patches, float (B, N, 2); seldom whole numbers,
        and outside of the grid if the target view does not hold the whole patch.
    """
    places = torch.stack([ids // cols, ids % cols], dim=-1)
    return places - shifts.to(ids.device)[:, None] / patch_size


def match_figures(
    maps: torch.Tensor, places: torch.Tensor, grid: tuple[int, int]
) -> tuple[float, float]:
    """How often the best match lies within one patch of the true place.

    Args:
        maps (Tensor): Cosines, (B, N, L).
        places (Tensor): See :func:`true_places`, (B, N, 2).
        grid (tuple[int, int]): Rows and columns of patches.

    Returns:
        tuple[float, float]: The share of hits, and what guessing would give, both in
        [0, 1], of the patches that the target view holds as a whole; NaN if it
        holds none.
    """
    rows, cols = grid
    patches = torch.arange(rows * cols, device=maps.device)
    patches = torch.stack([patches // cols, patches % cols], dim=-1)  # (L, 2)
    distances = (patches - places[:, :, None]).abs().amax(dim=-1)  # (B, N, L)
    near = distances <= 1
    hits = near.gather(2, maps.argmax(dim=2, keepdim=True))[..., 0]
    limits = places.new_tensor([rows - 1, cols - 1])
    held = ((places >= 0) & (places <= limits)).all(dim=-1)
    return (
        float(hits[held].float().mean()),
        float(near.float().mean(dim=2)[held].mean()),
    )
