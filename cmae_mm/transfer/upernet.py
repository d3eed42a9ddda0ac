"""UperNet on a user's label maps, from the packaged recipes."""

import math

from mmengine.config import Config

from cmae_mm.zoo import find_root

from .encoder import EncoderInfo
from .label_maps import LabelMaps
from .recipes import Recipe, by_width
from .running import fit_optimizer, set_loader, set_record, warm_up_steps

_ADE20K = '-p16_upernet_8xb2-amp-160k_ade20k-512x512.py'
# 160k iterations of 16 images are 127 passes over ADE20K; 400 of 8 are 9 over CamVid.
_LARGE = dict(batch=16, each=2, side=512, passes=127)
_RECIPES = {
    384: Recipe(f'ade20k/vit-small{_ADE20K}', **_LARGE),
    768: Recipe(f'ade20k/vit-base{_ADE20K}', **_LARGE),
    1024: Recipe(f'ade20k/vit-large{_ADE20K}', **_LARGE),
}
_HYBRID = Recipe(
    'ade20k/convvit-base_upernet_8xb2-amp-160k_ade20k-512x512.py', **_LARGE
)
# CamVid's crop and number of passes.
_SMALL = Recipe(
    'scenes/vit-nano-p8_upernet_bs8-600i_scenes-96x96.py', 8, 8, 256, passes=9
)
_FEWEST_ITERS = 600


def choose_recipe(encoder: EncoderInfo) -> Recipe:
    """The packaged recipe for an encoder, by its width.

    Args:
        encoder (EncoderInfo): The encoder.

    Returns:
        Recipe: ADE20K's of the next smaller size; below ViT-S that of the small
        encoders.
    """
    return _HYBRID if encoder.hybrid else by_width(_RECIPES, encoder.width, _SMALL)


def choose_iters(recipe: Recipe, images: int, batch_size: int) -> int:
    """As many passes over the images as in the recipe, but some hundred iterations."""
    return max(_FEWEST_ITERS, math.ceil(recipe.passes * images / batch_size))


def choose_crop(recipe: Recipe, side: int, patch: int) -> int:
    """The shorter side of the images at most, in whole patches, at least four.

    Args:
        recipe (Recipe): Names the largest crop.
        side (int): The shorter side of the median image, pixels.
        patch (int): Side of a patch, pixels.

    Returns:
        int: Side of a crop, pixels.
    """
    return max(4, min(recipe.side, side) // patch) * patch


def compose_upernet(
    encoder: EncoderInfo,
    data: LabelMaps,
    iters: int,
    batch_size: int,
    crop: int,
    on_gpu: bool,
) -> tuple[Config, str]:
    """A config for mmsegmentation.

    Args:
        encoder (EncoderInfo): What the backbone starts from.
        data (LabelMaps): What it is trained and tested on.
        iters (int): Length of the training, 10 or more.
        batch_size (int): Images per iteration, 2 or more: BatchNorm pools to 1x1.
        crop (int): Side of the crops in pixels, a multiple of the patch.
        on_gpu (bool): Whether it is to run on a GPU.

    Returns:
        tuple[Config, str]: The config; and what became of the learning rate.

    Raises:
        ValueError: If the encoder has too few blocks, the batch is of one image, or
            the crop is not a multiple of the patch.
    """
    if encoder.depth < 4:
        raise ValueError(
            f'UperNet looks at four blocks; this encoder has {encoder.depth}.'
        )
    if batch_size < 2:
        raise ValueError('--batch-size 1: BatchNorm in UperNet needs 2 images or more.')
    if crop % encoder.patch:
        raise ValueError(
            f'--crop {crop} is not a multiple of the patch of {encoder.patch} px.'
        )
    recipe = choose_recipe(encoder)
    cfg = Config.fromfile(find_root() / 'configs' / recipe.config)
    _set_model(cfg, encoder, len(data.classes), crop)
    _set_data(cfg, data, batch_size, crop)
    warm_up, decay = cfg.param_scheduler
    warm_up.end = decay.begin = warm_up_steps(warm_up.end, iters)
    decay.end = cfg.train_cfg.max_iters = iters
    cfg.train_cfg.val_interval = max(1, iters // 4)
    set_record(cfg, iters, iters // 10)
    cfg.val_evaluator = cfg.test_evaluator = [
        dict(type='IoUMetric', iou_metrics=['mIoU']),
        dict(type='cmae_mm.ClassIoU'),
    ]
    return cfg, fit_optimizer(cfg, batch_size, recipe.batch, on_gpu)


def output_blocks(depth: int) -> list[int]:
    """The four blocks UperNet looks at: 3, 5, 7, 11 of 12; 7, 11, 15, 23 of 24.

    Args:
        depth (int): Blocks of the encoder, 4 or more.
    """
    return [depth // 3 - 1, depth // 2 - 1, math.ceil(2 * depth / 3) - 1, depth - 1]


def _set_model(cfg: Config, encoder: EncoderInfo, classes: int, crop: int) -> None:
    """The encoder's sizes, and the number of classes."""
    model = cfg.model
    model.data_preprocessor.update(
        size=(crop, crop),
        mean=encoder.mean,
        std=encoder.std,
        bgr_to_rgb=encoder.to_rgb,
    )
    model.test_cfg = dict(
        mode='slide', crop_size=(crop, crop), stride=(crop * 2 // 3,) * 2
    )
    model.backbone.img_size = encoder.image_for(crop)
    model.backbone.init_cfg.checkpoint = str(encoder.checkpoint)
    for head in (model.decode_head, model.auxiliary_head):
        head.num_classes = classes
    if encoder.hybrid:
        return
    width = encoder.width
    for name in ('arch', 'patch_size', 'norm_cfg'):
        model.backbone[name] = encoder.backbone[name]
    model.backbone.out_indices = output_blocks(encoder.depth)
    # To strides of 4, 8, 16 and 32 from patches of 8 or 16 px.
    rescales = [4, 2, 1, 0.5] if encoder.patch > 8 else [2, 1, 0.5, 0.25]
    model.neck.update(embed_dim=width, rescales=rescales)
    model.decode_head.in_channels = [width] * 4
    model.auxiliary_head.in_channels = width
    if choose_recipe(encoder) is not _SMALL:
        model.decode_head.channels = width


def _set_data(cfg: Config, data: LabelMaps, batch_size: int, crop: int) -> None:
    """Crops out of resized images in training; sliding windows in the test."""
    resize = dict(type='Resize', scale=(4 * crop, crop), keep_ratio=True)
    pipelines = dict(
        train=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(resize, type='RandomResize', ratio_range=(0.5, 2.0)),
            dict(type='RandomCrop', crop_size=(crop, crop), cat_max_ratio=0.75),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PhotoMetricDistortion'),
            dict(type='PackSegInputs'),
        ],
        # The truth is loaded behind the resize: it keeps its size.
        val=[
            dict(type='LoadImageFromFile'),
            resize,
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
    )
    for split, (images, maps) in data.folders.items():
        loader = cfg[f'{split}_dataloader']
        loader.dataset = dict(
            type='BaseSegDataset',
            data_root=str(data.root),
            data_prefix=dict(img_path=images, seg_map_path=maps),
            metainfo=dict(classes=data.classes),
            img_suffix=data.suffixes[0],
            seg_map_suffix=data.suffixes[1],
            reduce_zero_label=data.reduce_zero_label,
            pipeline=pipelines[split],
        )
        set_loader(loader, data.images[split], batch_size if split == 'train' else 1)
    cfg.test_dataloader = cfg.val_dataloader
    cfg.pop('tta_pipeline', None)  # its sizes are those of the recipe's data
    cfg.pop('tta_model', None)
