# Mask R-CNN on the ViT-tiny/16, instances of CamVid (car, pedestrian, bicyclist).
#
# Command: mim train mmdet configs/camvid/mask-rcnn_vit-tiny-p16_fpn_bs4-5e_camvid.py
#          A random start: --cfg-options model.backbone.init_cfg=None
# Cost:    about 10 minutes on 2 CPU cores.
# Expect:  docs/results.md.
_base_ = '../scenes/mask-rcnn_vit-nano-p8_fpn_bs8-2e_scenes.py'
model = dict(
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
    neck=[
        dict(
            type='mmseg.Feature2Pyramid',
            embed_dim=192,
            norm_cfg=dict(type='mmpretrain.LN2d'),
        ),
        dict(
            type='FPN',
            in_channels=[192] * 4,
            out_channels=64,
            num_outs=4,
            norm_cfg=dict(type='mmpretrain.LN2d'),
        ),
    ],
    roi_head=dict(bbox_head=dict(num_classes=3), mask_head=dict(num_classes=3)),
)
photos = dict(
    data_root='data/camvid/', metainfo=dict(classes=('car', 'pedestrian', 'bicyclist'))
)
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        ann_file='annotations/instances_train.json',
        filter_cfg=dict(filter_empty_gt=True),
        **photos,
    ),
)
val_dataloader = dict(
    batch_size=1, dataset=dict(ann_file='annotations/instances_val.json', **photos)
)
_base_.val_dataloader.dataset.pipeline[1].scale = (480, 360)
_base_.test_dataloader.dataset.pipeline[1].scale = (480, 360)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='data/camvid/annotations/instances_val.json')
test_evaluator = val_evaluator
_base_.param_scheduler[1].end = 5
train_cfg = dict(max_epochs=5, val_interval=5)
default_hooks = dict(checkpoint=dict(interval=5))
