"""The views that the figures show, cut and masked by the recipe's own code.

The picture is a scene that the code draws itself, so that nobody's photo is shown.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope

from cmae_mm.datasets.scenes import draw_scene
from cmae_mm.models.masking import BlockMasking

RECIPE = Path(__file__).parents[1] / (
    'configs/pretrain/cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
)
# Chosen by eye: a scene with four different things, a shift and colours that can be
# seen, and a mask that leaves some of every thing.
SCENE_SEED, VIEWS_SEED, MASK_SEED = 37, 151, 52
SCENE_CLASSES = (4, 6, 3, 2)
_BLANK = 0.92  # of patches that are not there


@dataclass
class Views:
    """What one image becomes on its way through pre-training.

    Attributes:
        master (ndarray): The master crop, RGB, uint8 (M, M, 3).
        online (ndarray): The online view, (S, S, 3), as are the next three.
        target (ndarray): The target view: shifted, in other colours.
        visible (ndarray): The online view with its masked patches left blank.
        wanted (ndarray): The masked patches as the loss wants them: each brought to
            mean 0 and deviation 1; grey is 0, and visible patches are blank.
        offset (tuple[int, int]): Of the target view, down and right, in pixels.
    """

    master: np.ndarray
    online: np.ndarray
    target: np.ndarray
    visible: np.ndarray
    wanted: np.ndarray
    offset: tuple[int, int]


def read_recipe() -> Config:
    """The config of the released recipe, ViT-B."""
    cfg = Config.fromfile(RECIPE)
    init_default_scope(cfg.default_scope)
    return cfg


def draw_master(side: int) -> np.ndarray:
    """A scene as a master crop, RGB, uint8 (side, side, 3)."""
    rng = np.random.default_rng(SCENE_SEED)
    large = draw_scene(rng, 2 * side, SCENE_CLASSES).image
    small = cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA)
    # Noise would fill the files and nobody's eyes.
    return cv2.bilateralFilter(small, 5, 20, 3) & 0xFC


def make_views(cfg: Config) -> Views:
    """Cut, shift, recolour and mask one picture as the recipe does."""
    crop, two_views = cfg.train_dataloader.dataset.pipeline[:2]
    master = draw_master(crop.scale)
    np.random.seed(VIEWS_SEED)
    made = TRANSFORMS.build(two_views)({'img': master[..., ::-1].copy()})
    online, target = (view.numpy()[::-1].transpose(1, 2, 0) for view in made['img'])
    visible, wanted = mask(cfg, online)
    return Views(master, online, target, visible, wanted, made['pixel_shift'])


def mask(cfg: Config, online: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What stays visible of a view (S, S, 3), and what is to be rebuilt of it."""
    backbone = cfg.model.backbone
    grid = (backbone.img_size // backbone.patch_size,) * 2
    torch.manual_seed(MASK_SEED)
    masking = BlockMasking(grid, backbone.block_size, backbone.mask_ratio)(1)
    head = MODELS.build({**cfg.model.head, 'patch_size': backbone.patch_size})

    image = torch.from_numpy(online.copy()).permute(2, 0, 1)[None].float() / 255
    patches = head.patchify(image)  # (1, L, P)
    places = masking.ids_masked.unsqueeze(-1).expand(-1, -1, patches.shape[-1])
    visible = patches.scatter(1, places, _BLANK)
    # Two deviations are white or black.
    grey = 0.5 + head.construct_target(image, masking) / 4
    wanted = torch.full_like(patches, _BLANK).scatter(1, places, grey)
    return tuple(
        (255 * head.unpatchify(p, grid)[0].clamp(0, 1))
        .round()
        .byte()
        .permute(1, 2, 0)
        .numpy()
        for p in (visible, wanted)
    )
