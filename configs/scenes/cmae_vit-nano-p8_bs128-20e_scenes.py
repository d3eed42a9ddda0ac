_base_ = [
    '../_base_/models/cmae_vit-nano.py',
    '../_base_/datasets/imagenet_two-views.py',
    '../_base_/schedules/adamw_bs4096-coslr-300e.py',
    '../_base_/pretrain_runtime.py',
]
model = dict(
    backbone=dict(img_size=64, patch_size=8),
    pixel_decoder=dict(patch_size=8),
    head=dict(patch_size=8),
    feature_decoder=dict(patch_size=8),
)
_base_.train_dataloader.dataset.pipeline[1].update(scale=72, crop_ratio_range=(0.3,1.0))
_base_.train_dataloader.dataset.pipeline[3].transforms[0][0].size = 64
_base_.train_dataloader.dataset.pipeline[3].transforms[1][0].update(size=64, shift_range=(0, 9))
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=64, backend='pillow', interpolation='bicubic'), dict(type='PackInputs')]
train_dataloader = dict(
    num_workers=1,
    batch_size=128,
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root='data/scenes',
        data_prefix='classification/train',
        with_label=False,
        pipeline=_base_.train_dataloader.dataset.pipeline,
    ),
)
bank = dict(batch_size=256, num_workers=1, dataset=dict(_delete_=True, type='CustomDataset', data_root='data/scenes/classification/train', pipeline=test_pipeline))
test_dataloader = dict(batch_size=256, num_workers=1, dataset=dict(_delete_=True, type='CustomDataset', data_root='data/scenes/classification/val', pipeline=test_pipeline))
test_cfg = dict(bank_dataloader=bank)
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9,0.95), weight_decay=0.05), constructor='cmae_mm.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=_base_.optim_wrapper.paramwise_cfg)
_base_.param_scheduler[0].end = 2
_base_.param_scheduler[1].update(begin=2, end=20)
train_cfg = dict(max_epochs=20)
default_hooks=dict(logger=dict(interval=15))
