# Linear probe of the ViT-nano/8 on the classification half of `scenes`.
#
# Command: mim train mmpretrain configs/scenes/vit-nano-p8_linear-12e_scenes.py
#          A random start: --cfg-options model.backbone.init_cfg=None
# Cost:    about 1 minute on 2 CPU cores.
# Expect:  the table of `make demo`, docs/results.md.
_base_ = ['../_base_/classify_runtime.py']
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        num_classes=6,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(
        type='VisionTransformer',
        arch=dict(embed_dims=128, num_layers=4, num_heads=4, feedforward_channels=512),
        img_size=64,
        patch_size=8,
        frozen_stages=4,
        out_type='avg_featmap',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/cmae_vit-nano-p8_bs32-8e_scenes/epoch_8.pth',
            prefix='backbone.',
        ),
    ),
    neck=dict(type='ClsBatchNormNeck', input_features=128),
    head=dict(
        type='LinearClsHead',
        num_classes=6,
        in_channels=128,
        loss=dict(type='CrossEntropyLoss'),
    ),
)
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=64, backend='pillow', interpolation='bicubic'),
    dict(type='PackInputs'),
]
pictures = dict(
    type='CustomDataset', data_root='data/scenes/classification', pipeline=pipeline
)
train_dataloader = dict(
    batch_size=128,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(data_prefix='train', **pictures),
)
val_dataloader = dict(
    batch_size=125,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(data_prefix='val', **pictures),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-2, weight_decay=0.0))
param_scheduler = dict(
    type='CosineAnnealingLR', begin=0, end=12, by_epoch=True, convert_to_iter_based=True
)
train_cfg = dict(by_epoch=True, max_epochs=12, val_interval=12)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(checkpoint=dict(interval=12), logger=dict(interval=5))
randomness = dict(seed=0)
