# UperNet on the ViT-tiny/16, CamVid, 11 classes, 400 iterations.
#
# Command: mim train mmsegmentation \
#     configs/camvid/vit-tiny-p16_upernet_bs8-400i_camvid-256x256.py
#          A random start: --cfg-options model.backbone.init_cfg=None
# Cost:    about 6 minutes on 2 CPU cores.
# Expect:  docs/results.md.
_base_ = '../scenes/vit-nano-p8_upernet_bs8-600i_scenes-96x96.py'
model = dict(
    data_preprocessor=dict(size=(256, 256)),
    backbone=dict(
        arch=dict(embed_dims=192, num_layers=6, num_heads=6, feedforward_channels=768),
        img_size=128,
        patch_size=16,
        out_indices=[1, 2, 3, 5],
        init_cfg=dict(
            checkpoint='work_dirs/cmae_vit-tiny-p16_bs32-6e_camvid/epoch_6.pth'
        ),
    ),
    # From stride 16 to 4, 8, 16 and 32.
    neck=dict(embed_dim=192, rescales=[4, 2, 1, 0.5]),
    decode_head=dict(in_channels=[192] * 4, num_classes=11),
    auxiliary_head=dict(in_channels=192, num_classes=11),
)
metainfo = dict(
    classes=(
        'sky',
        'building',
        'pole',
        'road',
        'pavement',
        'tree',
        'sign',
        'fence',
        'car',
        'pedestrian',
        'bicyclist',
    )
)
train_dataloader = dict(
    dataset=dict(
        data_root='data/camvid',
        metainfo=metainfo,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(
                type='RandomResize',
                scale=(480, 360),
                ratio_range=(0.75, 2.0),
                keep_ratio=True,
            ),
            dict(type='RandomCrop', crop_size=(256, 256), cat_max_ratio=0.75),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PhotoMetricDistortion'),
            dict(type='PackSegInputs'),
        ],
    )
)
val_dataloader = dict(
    batch_size=1, dataset=dict(data_root='data/camvid', metainfo=metainfo)
)
test_dataloader = val_dataloader
_base_.param_scheduler[1].end = 400
train_cfg = dict(max_iters=400, val_interval=400)
default_hooks = dict(checkpoint=dict(interval=400))
