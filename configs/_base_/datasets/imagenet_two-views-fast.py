# The views of imagenet_two-views.py, several times as fast: the same draws, pixels
# within the tolerances of cmae_mm/datasets/fast_ops.py, and every sample a function
# of (seed, epoch, index) alone. With train_cfg = dict(type='cmae_mm.EndlessEpochLoop',
# ...) workers also go on from epoch to epoch.
_base_ = './imagenet_two-views.py'
reference_pipeline = _base_.train_pipeline  # a choice of whoever inherits
train_pipeline = [
    dict(  # master crop: view size + largest shift
        type='cmae_mm.FastMasterCrop', scale=255, crop_ratio_range=(0.2, 1.0)
    ),
    dict(
        type='cmae_mm.TwoViews',
        size=224,
        shift_range=(0, 31),
        colour=dict(
            brightness=0.4,
            contrast=0.4,
            saturation=0.4,
            hue=0.1,
            jitter_prob=0.8,
            grey_prob=0.2,
            blur_prob=0.5,
            blur_sigma=(0.1, 2.0),
        ),
    ),
    dict(type='PackInputs', meta_keys=('sample_idx', 'img_path')),
]
train_dataloader = dict(
    pin_memory=True,
    dataset=dict(pipeline=train_pipeline),
)
