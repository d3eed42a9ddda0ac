# CMAE ViT-nano/8 (width 128, depth 4) on the generated data set `scenes`.
#
# Data:    python tools/make_scenes.py data/scenes
# Command: mim train mmpretrain configs/scenes/cmae_vit-nano-p8_bs32-8e_scenes.py
# k-NN:    mim test mmpretrain <this file> --checkpoint <epoch_8.pth>
# Cost:    about 3 minutes on 2 CPU cores (32,000 image passes).
# Expect:  the table of `make demo`, docs/results.md.
_base_ = [
    '../_base_/models/cmae_vit-nano.py',
    '../_base_/datasets/imagenet_two-views.py',
    '../_base_/schedules/adamw_cpu-coslr.py',
    '../_base_/pretrain_runtime.py',
]
model = dict(backbone=dict(img_size=64, patch_size=8))
# Views of 64 px from a master crop of 72 px: shifts of up to 8 px, an eighth of the
# view, as 31 px are of 224.
pipeline = _base_.train_dataloader.dataset.pipeline
pipeline[1].update(scale=72, crop_ratio_range=(0.4, 1.0))
pipeline[3].transforms[0][0].update(size=64)
pipeline[3].transforms[1][0].update(size=64, shift_range=(0, 9))
pictures = dict(
    type='CustomDataset', data_root='data/scenes', with_label=False, pipeline=pipeline
)
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(data_prefix='classification/train', **pictures),
            dict(data_prefix='scenes/images/train', **pictures),
        ],
    ),
)
test_pipeline = [
    dict(type='cmae_mm.LoadImage'),
    dict(type='Resize', scale=64, backend='pillow', interpolation='bicubic'),
    dict(type='PackInputs'),
]
labelled = dict(
    _delete_=True,
    type='CustomDataset',
    data_root='data/scenes/classification',
    pipeline=test_pipeline,
)
test_dataloader = dict(num_workers=1, dataset=dict(data_prefix='val', **labelled))
bank_dataloader = dict(num_workers=1, dataset=dict(data_prefix='train', **labelled))
test_cfg = dict(bank_dataloader=bank_dataloader)
_base_.param_scheduler[0].end = 1
_base_.param_scheduler[1].update(begin=1, end=8)
train_cfg = dict(max_epochs=8)
default_hooks = dict(
    checkpoint=dict(interval=4, max_keep_ckpts=2),
    logger=dict(interval=25),
    monitor=dict(interval=1),
)
