# UperNet on the ViT-nano/8, label maps of `scenes`, 600 iterations.
#
# Command: mim train mmsegmentation \
#     configs/scenes/vit-nano-p8_upernet_bs8-600i_scenes-96x96.py
#          A random start: --cfg-options model.backbone.init_cfg=None
# Test:    mim test mmsegmentation <this file> --checkpoint <iter_600.pth>
#          Multi-scale + flip: add --tta
# Cost:    about 2 minutes on 2 CPU cores.
# Expect:  the table of `make demo`, docs/results.md.
_base_ = ['../_base_/models/upernet_vit-base-p16.py', '../_base_/segment_runtime.py']
norm_cfg = dict(type='BN')
model = dict(
    data_preprocessor=dict(size=(96, 96)),
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=128,
            num_layers=4,
            num_heads=4,
            feedforward_channels=512,
        ),
        img_size=96,
        patch_size=8,
        out_indices=[0, 1, 2, 3],
        init_cfg=dict(
            checkpoint='work_dirs/cmae_vit-nano-p8_bs32-8e_scenes/epoch_8.pth'
        ),
    ),
    # From stride 8 to 4, 8, 16 and 32.
    neck=dict(embed_dim=128, rescales=[2, 1, 0.5, 0.25], norm_cfg=norm_cfg),
    decode_head=dict(
        in_channels=[128] * 4, channels=32, num_classes=7, norm_cfg=norm_cfg
    ),
    auxiliary_head=dict(in_channels=128, channels=32, num_classes=7, norm_cfg=norm_cfg),
)
scenes = dict(
    type='BaseSegDataset',
    data_root='data/scenes/scenes',
    metainfo=dict(
        classes=('background', 'triangle', 'square', 'disc', 'star', 'cross', 'ring'),
    ),
    img_suffix='.jpg',
    seg_map_suffix='.png',
    reduce_zero_label=False,
)
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        data_prefix=dict(img_path='images/train', seg_map_path='labels/train'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs'),
        ],
        **scenes,
    ),
)
val_dataloader = dict(
    batch_size=10,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        data_prefix=dict(img_path='images/val', seg_map_path='labels/val'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
        **scenes,
    ),
)
test_dataloader = val_dataloader
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale_factor=ratio, keep_ratio=True)
                for ratio in (0.75, 1.0, 1.25, 1.5)
            ],
            [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
            [dict(type='LoadAnnotations')],
            [dict(type='PackSegInputs')],
        ],
    ),
]
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='cmae_mm.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.8, norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=600),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=600, val_interval=600)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=25, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='cmae_mm.DurableCheckpointHook', by_epoch=False, interval=600),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
)
randomness = dict(seed=0)
