# Fine-tuning of the ViT-nano/4 on 10,000 labelled photos of CIFAR-10.
#
# Command: mim train mmpretrain configs/cifar10/vit-nano-p4_bs64-4e_cifar10.py
#          A random start: --cfg-options model.backbone.init_cfg=None
#          The last k blocks only: --cfg-options model.backbone.frozen_stages=<4-k>
# All variants and seeds: python tools/replicate.py run cifar10
# Cost:    0.33 GFLOP per image and step (derived), 40,000 image passes.
# Expect:  docs/replication.md.
_base_ = '../scenes/vit-nano-p8_linear-12e_scenes.py'
model = dict(
    data_preprocessor=dict(num_classes=10),
    backbone=dict(
        img_size=32,
        patch_size=4,
        frozen_stages=-1,
        init_cfg=dict(
            checkpoint='work_dirs/cmae_vit-nano-p4_bs64-2e_cifar10/epoch_2.pth'
        ),
    ),
    # As in MAE's fine-tuning, the backbone's own LayerNorm follows the pooling.
    neck=None,
    head=dict(num_classes=10),
)
pictures = dict(data_root='data/cifar10')
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_prefix='train',
        indices=[*range(0, 50000, 5)],
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='RandomCrop', crop_size=32, padding=4),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackInputs'),
        ],
        **pictures,
    ),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_prefix='test',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
        **pictures,
    ),
)
test_dataloader = val_dataloader
optim_wrapper = dict(
    optimizer=dict(lr=1e-3, weight_decay=0.05),
    constructor='cmae_mm.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.75,
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys={
            '.cls_token': dict(decay_mult=0.0),
            '.pos_embed': dict(decay_mult=0.0),
        },
    ),
)
param_scheduler = dict(end=4)
train_cfg = dict(max_epochs=4, val_interval=4)
default_hooks = dict(checkpoint=dict(interval=4), logger=dict(interval=50))
