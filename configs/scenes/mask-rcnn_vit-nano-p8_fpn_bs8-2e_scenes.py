# Mask R-CNN on the ViT-nano/8, boxes and masks of `scenes`, 2 epochs.
#
# Command: mim train mmdet configs/scenes/mask-rcnn_vit-nano-p8_fpn_bs8-2e_scenes.py
#          A random start: --cfg-options model.backbone.init_cfg=None
# Cost:    about 3 minutes on 2 CPU cores.
# Expect:  the table of `make demo`, docs/results.md.
_base_ = [
    '../_base_/models/mask-rcnn_vit-base-p16_fpn.py',
    '../_base_/detect_runtime.py',
]
strides = [4, 8, 16, 32]
model = dict(
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
    neck=[
        dict(
            type='mmseg.Feature2Pyramid',
            embed_dim=128,
            rescales=[2, 1, 0.5, 0.25],
            norm_cfg=dict(type='mmpretrain.LN2d'),
        ),
        dict(
            type='FPN',
            in_channels=[128] * 4,
            out_channels=64,
            num_outs=4,
            norm_cfg=dict(type='mmpretrain.LN2d'),
        ),
    ],
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(scales=[4], strides=strides),
    ),
    # finest_scale: objects below 28 px go to stride 4, below 56 px to stride 8.
    roi_head=dict(
        bbox_roi_extractor=dict(
            out_channels=64, featmap_strides=strides, finest_scale=28
        ),
        bbox_head=dict(in_channels=64, fc_out_channels=128, num_classes=6),
        mask_roi_extractor=dict(
            out_channels=64, featmap_strides=strides, finest_scale=28
        ),
        mask_head=dict(
            in_channels=64, conv_out_channels=32, num_convs=2, num_classes=6
        ),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(sampler=dict(num=32)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=50), rcnn=dict(max_per_img=20)),
)
scenes = dict(
    type='CocoDataset',
    data_root='data/scenes/scenes/',
    metainfo=dict(classes=('triangle', 'square', 'disc', 'star', 'cross', 'ring')),
)
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='images/train/'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
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
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='images/val/'),
        test_mode=True,
        pipeline=[
            dict(type='LoadImageFromFile'),
            # Changes nothing, but tells the metric the scale.
            dict(type='Resize', scale=(96, 96), keep_ratio=True),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(
                type='PackDetInputs',
                meta_keys=(
                    'img_id',
                    'img_path',
                    'ori_shape',
                    'img_shape',
                    'scale_factor',
                ),
            ),
        ],
        **scenes,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric',
    ann_file='data/scenes/scenes/annotations/instances_val.json',
    metric=['bbox', 'segm'],
)
test_evaluator = val_evaluator
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
    constructor='cmae_mm.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.8, norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=50),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=0,
        end=2,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(logger=dict(interval=25), checkpoint=dict(interval=2))
randomness = dict(seed=0)
