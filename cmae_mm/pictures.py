"""Pictures of what a pre-trained model does."""

import numpy as np
import torch
from torch import nn

from .models import CMAE
from .models.masking import Masking, take_tokens


@torch.no_grad()
def reconstruct(model: CMAE, views: list[torch.Tensor]) -> list[dict[str, np.ndarray]]:
    """What the online branch sees and rebuilds, and what the target branch sees.

    The pixel decoder predicts normalised patches (``norm_pix``); mean and
    deviation of the true patch are put back, as is usual in such pictures, and
    visible patches are shown as they are.

    Args:
        model (CMAE): In any mode; left in evaluation mode.
        views (list[Tensor]): View and shifted view of each image, uint8 BGR
            (B, 3, H, W) each, as the data loader gives them.

    Returns:
        list[dict[str, ndarray]]: For each image ``input``, ``masked``,
        ``reconstruction`` and ``target view``, uint8 RGB (H, W, 3).
    """
    model.eval()
    view, shifted = model.data_preprocessor(
        dict(inputs=[v.clone() for v in views], data_samples=None)
    )['inputs']
    return rebuild_views(model, view, shifted, model.backbone.masking(len(view)))


@torch.no_grad()
def rebuild_views(
    model: CMAE,
    view: torch.Tensor,
    shifted: torch.Tensor | None,
    masking: Masking,
    eight_bit: bool = True,
) -> list[dict[str, np.ndarray]]:
    """:func:`reconstruct` for views that are normalised, and masks that are drawn.

    Args:
        model (CMAE): In evaluation mode.
        view (Tensor): (B, channels, H, W), normalised. Of more than three channels
            the first three are shown, of two the first.
        shifted (Tensor, optional): The target's view of the same images. None leaves
            its picture out.
        masking (Masking): What the online branch does not see.
        eight_bit (bool): Whether the images had values from 0 to 255. If not, each
            channel is stretched so that the middle 96 % of the input's values fill
            the range. Defaults to True.

    Returns:
        list[dict[str, ndarray]]: See :func:`reconstruct`.
    """
    latent, _ = model.backbone(view, masking)
    rebuilt = model.pixel_decoder(latent, masking)  # (B, L - V, P)
    head, grid = model.head, model.pixel_decoder.grid
    truth = head.patchify(view)  # (B, L, P)
    if head.norm_pix:
        mean, deviation = head.statistics(take_tokens(truth, masking.ids_masked))
        rebuilt = rebuilt * deviation + mean
    places = masking.ids_masked.unsqueeze(-1).expand_as(rebuilt)
    pictures = {
        'input': view,
        # Zero is the mean colour of the data set.
        'masked': head.unpatchify(truth.scatter(1, places, 0.0), grid),
        'reconstruction': head.unpatchify(truth.scatter(1, places, rebuilt), grid),
        **({} if shifted is None else {'target view': shifted}),
    }
    pictures = {
        name: _to_colours(batch, model.data_preprocessor)
        for name, batch in pictures.items()
    }
    if not eight_bit:
        low, high = _limits(pictures['input'])
        pictures = {
            name: (batch - low) / (high - low) * 255 for name, batch in pictures.items()
        }
    as_images = {name: _to_uint8(batch) for name, batch in pictures.items()}
    return [
        {name: images[i] for name, images in as_images.items()}
        for i in range(len(view))
    ]


def _to_colours(batch: torch.Tensor, preprocessor: nn.Module) -> torch.Tensor:
    """Undo the normalisation, if there was one: (B, C, H, W) -> (B, 3, H, W)."""
    if hasattr(preprocessor, 'mean'):
        batch = batch * preprocessor.std + preprocessor.mean
    return batch[:, :3] if batch.shape[1] >= 3 else batch[:, :1].expand(-1, 3, -1, -1)


def _limits(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Lower and upper end of each image's channels, (B, 3, 1, 1) each."""
    shares = batch.new_tensor([0.02, 0.98])
    low, high = batch.flatten(2).quantile(shares, dim=2)[..., None, None]
    return low, high.maximum(low + 1e-6)


def _to_uint8(batch: torch.Tensor) -> np.ndarray:
    """(B, 3, H, W) in [0, 255] -> (B, H, W, 3) uint8."""
    batch = batch.round().clamp(0, 255).byte()
    return batch.permute(0, 2, 3, 1).cpu().numpy()


def overlay_labels(
    image: np.ndarray, labels: np.ndarray, palette: np.ndarray, opacity: float = 0.65
) -> np.ndarray:
    """Lay the colours of a label map over an image; label 0 stays clear.

    Args:
        image (ndarray): RGB, uint8 (H, W, 3).
        labels (ndarray): Classes, integers (H, W).
        palette (ndarray): RGB colour of each class, uint8 (classes, 3).
        opacity (float): Of the colours, in [0, 1]. Defaults to 0.65.

    Returns:
        ndarray: RGB, uint8 (H, W, 3).
    """
    share = opacity * (labels > 0)[..., None]
    mixed = image * (1 - share) + np.asarray(palette)[labels] * share
    return mixed.round().astype(np.uint8)


def outline_instances(
    image: np.ndarray,
    boxes: np.ndarray,
    masks: np.ndarray,
    classes: np.ndarray,
    palette: np.ndarray,
) -> np.ndarray:
    """Draw masks and boxes of found or true objects into an image.

    Args:
        image (ndarray): RGB, uint8 (H, W, 3).
        boxes (ndarray): (N, 4), x1, y1, x2, y2 in pixels.
        masks (ndarray): bool (N, H, W).
        classes (ndarray): Integers (N,), 0 being the first object class.
        palette (ndarray): RGB colour of each object class, (classes, 3).

    Returns:
        ndarray: RGB, uint8 (H, W, 3).
    """
    drawn = image.copy()
    for mask, kind in zip(masks, classes, strict=True):
        drawn[mask] = 0.4 * drawn[mask] + 0.6 * np.asarray(palette[kind])
    for box, kind in zip(boxes.round().astype(int), classes, strict=True):
        left, top = box[:2].clip(0)
        right = min(box[2], image.shape[1]) - 1
        bottom = min(box[3], image.shape[0]) - 1
        drawn[[top, bottom], left : right + 1] = palette[kind]
        drawn[top : bottom + 1, [left, right]] = palette[kind]
    return drawn
