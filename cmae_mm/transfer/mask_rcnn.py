"""Mask R-CNN on a user's objects, from the packaged recipes."""

import math
from pathlib import Path

from mmengine.config import Config

from cmae_mm.zoo import find_root

from .coco_data import CocoData
from .encoder import EncoderInfo
from .recipes import Recipe, by_width
from .running import fit_optimizer, set_loader, set_record, warm_up_steps

_FILE = 'coco/mask-rcnn_vitdet-{}_32xb2-amp-lsj-{}e_coco.py'
_LARGE = dict(batch=64, each=2, side=1024, passes=100)
_RECIPES = {
    384: Recipe(_FILE.format('base-p16', 100), **_LARGE),
    1024: Recipe(_FILE.format('large-p16', 100), **_LARGE),
    1280: Recipe(_FILE.format('huge-p16', 75), **{**_LARGE, 'passes': 75}),
}
_HYBRID = Recipe(
    'coco/mask-rcnn_convvit-base_fpn_16xb2-amp-lsj-25e_coco.py',
    **{**_LARGE, 'batch': 32, 'passes': 25},
)
# CamVid's number of passes.
_SMALL = Recipe('scenes/mask-rcnn_vitdet-nano-p8_bs8-2e_scenes.py', 8, 8, 512, passes=5)
_FEWEST_STEPS = 600
_STRIDES = (4, 8, 16, 32)


def choose_recipe(encoder: EncoderInfo) -> Recipe:
    """The packaged recipe for an encoder, by its width.

    Args:
        encoder (EncoderInfo): The encoder.

    Returns:
        Recipe: COCO's of the next smaller size; below ViT-S that of the small encoders.
    """
    return _HYBRID if encoder.hybrid else by_width(_RECIPES, encoder.width, _SMALL)


def choose_epochs(recipe: Recipe, images: int, batch_size: int) -> int:
    """As many as in the recipe, but some hundred steps."""
    steps = math.ceil(images / batch_size)
    return max(recipe.passes, math.ceil(_FEWEST_STEPS / steps))


def choose_side(recipe: Recipe, longest: int) -> int:
    """The longest side of all images, in whole 32 px, at most that of the recipe.

    Args:
        recipe (Recipe): Names the largest side.
        longest (int): The longest side of all images, pixels.

    Returns:
        int: Side that images are resized to, pixels.
    """
    return min(recipe.side, 32 * math.ceil(longest / 32))


def compose_mask_rcnn(
    encoder: EncoderInfo,
    data: CocoData,
    epochs: int,
    batch_size: int,
    side: int,
    on_gpu: bool,
) -> tuple[Config, str]:
    """A config for mmdetection; without masks in the data that of Faster R-CNN.

    Args:
        encoder (EncoderInfo): What the backbone starts from.
        data (CocoData): What it is trained and tested on.
        epochs (int): Length of the training.
        batch_size (int): Images per step.
        side (int): Longer side of the images in pixels, a multiple of 32.
        on_gpu (bool): Whether it is to run on a GPU.

    Returns:
        tuple[Config, str]: The config; and what became of the learning rate.

    Raises:
        ValueError: If the side is not a multiple of 32.
    """
    if side % 32:
        raise ValueError(f'--size {side} is not a multiple of 32.')
    recipe = choose_recipe(encoder)
    cfg = Config.fromfile(find_root() / 'configs' / recipe.config)
    _set_backbone(cfg, encoder, side)
    cfg.model.data_preprocessor.update(
        mean=encoder.mean, std=encoder.std, bgr_to_rgb=encoder.to_rgb
    )
    heads = cfg.model.roi_head
    for head in (heads.bbox_head, heads.mask_head):
        head.num_classes = len(data.classes)
    if not data.masks:
        _leave_masks_out(cfg)
    _set_data(cfg, data, batch_size, side, recipe is not _SMALL)
    steps = epochs * math.ceil(data.images['train'] / batch_size)
    warm_up, decay = cfg.param_scheduler
    warm_up.end = warm_up_steps(warm_up.end, steps)
    decay.end = cfg.train_cfg.max_epochs = epochs
    cfg.train_cfg.val_interval = max(1, epochs // 4)
    set_record(cfg, steps, epochs // 10)
    return cfg, fit_optimizer(cfg, batch_size, recipe.batch, on_gpu)


def _set_backbone(cfg: Config, encoder: EncoderInfo, side: int) -> None:
    """The encoder's sizes: windows, and a pyramid of strides 4 to 32."""
    backbone = cfg.model.backbone
    backbone.img_size = encoder.image_for(side)
    backbone.init_cfg.checkpoint = str(encoder.checkpoint)
    size = cfg.model.data_preprocessor
    if 'batch_augments' in size:
        size.batch_augments[0].size = (side, side)
    elif size.pad_size_divisor > 32:  # to squares, in which windows always stand alike
        size.pad_size_divisor = side
    if encoder.hybrid:
        return
    # Patches between the strides, such as 14 px, become 16: the kernel is resized.
    patch = encoder.patch if encoder.patch in (4, 8, 16, 32) else 16
    grid = side // patch
    backbone.update(
        arch=encoder.backbone['arch'],
        norm_cfg=encoder.backbone['norm_cfg'],
        patch_size=patch,
        window_size=14 if grid >= 28 else max(2, round(grid * 5 / 12)),
        global_blocks=_global_blocks(encoder.depth),
    )
    cfg.model.neck.update(
        in_channels=encoder.width, scales=[patch / stride for stride in _STRIDES]
    )


def _global_blocks(depth: int) -> int:
    """ViTDet's four; of fewer than eight blocks, or an odd number, less."""
    fitting = [count for count in (4, 2) if not depth % count and depth >= 2 * count]
    return max(fitting, default=1)


def _leave_masks_out(cfg: Config) -> None:
    """Faster R-CNN is Mask R-CNN without the branch of the masks."""
    cfg.model.type = 'FasterRCNN'
    cfg.model.roi_head.pop('mask_head')
    cfg.model.roi_head.pop('mask_roi_extractor')
    cfg.model.data_preprocessor.pad_mask = False
    for augment in cfg.model.data_preprocessor.get('batch_augments') or []:
        augment.pad_mask = False


def _set_data(
    cfg: Config, data: CocoData, batch_size: int, side: int, jitter: bool
) -> None:
    """Large-scale jitter for the large recipes, none for the small one."""
    load = dict(type='LoadImageFromFile')
    annotations = dict(type='LoadAnnotations', with_bbox=True, with_mask=data.masks)
    resize = dict(type='Resize', scale=(side, side), keep_ratio=True)
    jittered = [
        dict(resize, type='RandomResize', ratio_range=(0.1, 2.0)),
        dict(
            type='RandomCrop',
            crop_type='absolute_range',
            crop_size=(side, side),
            recompute_bbox=data.masks,
            allow_negative_crop=True,
        ),
        dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2)),
    ]
    meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
    pipelines = dict(
        train=[
            load,
            annotations,
            *(jittered if jitter else [resize]),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ],
        val=[
            load,
            resize,
            annotations,
            dict(type='PackDetInputs', meta_keys=meta_keys),
        ],
    )
    for split in ('train', 'val'):
        loader = cfg[f'{split}_dataloader']
        loader.dataset = dict(
            type='CocoDataset',
            data_root=f'{data.root}/',
            ann_file=data.files[split],
            data_prefix=dict(img=f'{data.folders[split]}/'),
            metainfo=dict(classes=data.classes),
            pipeline=pipelines[split],
            **(
                dict(filter_cfg=dict(filter_empty_gt=True))
                if split == 'train'
                else dict(test_mode=True)
            ),
        )
        set_loader(loader, data.images[split], batch_size if split == 'train' else 1)
    cfg.test_dataloader = cfg.val_dataloader
    cfg.val_evaluator = cfg.test_evaluator = dict(
        type='CocoMetric',
        ann_file=str(Path(data.root, data.files['val'])),
        metric=['bbox', 'segm'] if data.masks else ['bbox'],
    )
