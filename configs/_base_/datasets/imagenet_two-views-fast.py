# The views of imagenet_two-views.py, several times as fast: the same draws, pixels
# within the tolerances of cmae_mm/datasets/fast_ops.py. Every sample depends on
# (seed, epoch, index) alone, and workers go on from epoch to epoch, for which
# train_cfg must name cmae_mm.EndlessEpochLoop.
_base_ = './imagenet_two-views.py'
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
    _delete_=True,
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    prefetch_factor=4,
    sampler=dict(type='cmae_mm.SeededSampler', shuffle=True),
    batch_sampler=dict(type='cmae_mm.EndlessBatchSampler', drop_last=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ImageNet',
        data_root=_base_.data_root,
        split='train',
        pipeline=train_pipeline,
    ),
)
