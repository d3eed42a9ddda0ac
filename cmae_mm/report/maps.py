"""Features turned into colours and places."""

import numpy as np
import torch
import torch.nn.functional as F


def principal(features: torch.Tensor, count: int) -> tuple[torch.Tensor, float]:
    """Project features onto their principal components.

    Args:
        features (Tensor): (N, D), float.
        count (int): How many components, 1 or more.

    Returns:
        tuple[Tensor, float]: (N, count), zeros beyond the rank; and the share of the
        variance that they hold, in [0, 1]. The sign is such that the largest entry of
        each direction is positive, so that the same features give the same picture.
    """
    centred = features.double() - features.double().mean(dim=0)
    possible = min(count, *centred.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _, spread, directions = torch.pca_lowrank(
            centred, q=possible, center=False, niter=4
        )
    largest = directions.gather(0, directions.abs().argmax(dim=0, keepdim=True))
    # Directions without any spread are noise of the arithmetic.
    real = spread > 1e-9 * spread.max().clamp(min=1e-30)
    projected = centred @ (directions * largest.sign()) * real
    total = float(centred.square().sum())
    share = float(spread.square().sum()) / total if total > 0 else 0.0
    return F.pad(projected, (0, count - possible)).float(), share


def pca_maps(patches: torch.Tensor, grid: tuple[int, int]) -> list[np.ndarray]:
    """Colour every patch by its features: three components as red, green and blue.

    The components are those of all pictures together, so a colour means the same in
    each of them.

    Args:
        patches (Tensor): (N, L, D), float.
        grid (tuple[int, int]): Rows and columns, L of them.

    Returns:
        list[ndarray]: One picture (rows, columns, 3) per image, uint8.
    """
    count, length, width = patches.shape
    colours, _ = principal(patches.reshape(-1, width), 3)
    low, high = torch.quantile(colours, torch.tensor([0.02, 0.98]), dim=0)
    colours = (colours - low) / (high - low).clamp(min=1e-12)
    pictures = colours.clamp(0, 1).mul(255).round().byte().reshape(count, *grid, 3)
    return list(pictures.numpy())


def heat_map(attention: torch.Tensor, image: np.ndarray) -> np.ndarray:
    """Lay attention over a picture: what is not looked at is grey and dark.

    Args:
        attention (Tensor): One number per patch, (rows, columns), 0 or more.
        image (ndarray): RGB, uint8 (H, W, 3).

    Returns:
        ndarray: RGB, uint8 (H, W, 3).
    """
    from matplotlib import colormaps

    spanned = (attention - attention.min()) / (attention.max() - attention.min()).clamp(
        min=1e-12
    )
    smooth = F.interpolate(
        spanned[None, None].float(), image.shape[:2], mode='bilinear'
    )[0, 0].numpy()
    grey = image.mean(axis=2, keepdims=True)
    warm = 255 * colormaps['inferno'](smooth)[..., :3]
    return (0.35 * grey + 0.65 * warm).round().astype(np.uint8)


def nearest_neighbours(
    features: torch.Tensor, queries: list[int], count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The most similar other pictures.

    Args:
        features (Tensor): (N, D), float.
        queries (list[int]): Pictures that are asked for.
        count (int): Neighbours of each, clipped to N - 1.

    Returns:
        tuple[Tensor, Tensor]: Cosines (len(queries), count) and indices, the most
        similar first.
    """
    unit = F.normalize(features.float(), dim=1)
    similarity = unit[queries] @ unit.t()
    similarity[torch.arange(len(queries)), torch.tensor(queries)] = -torch.inf
    return similarity.topk(min(count, len(features) - 1), dim=1)
