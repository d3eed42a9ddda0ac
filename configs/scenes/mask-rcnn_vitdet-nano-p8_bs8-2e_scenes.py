# Mask R-CNN in the manner of ViTDet on the ViT-nano/8, boxes and masks of `scenes`.
#
# Command: mim train mmdet configs/scenes/mask-rcnn_vitdet-nano-p8_bs8-2e_scenes.py
#          A random start: --cfg-options model.backbone.init_cfg=None
# Cost:    4 to 6 minutes on one CPU core.
# Expect:  18.6 box / 11.8 mask AP, and 15.9 / 9.9 from a random start (measured, one
#          run each with seed 0, the pre-trained start that of `make demo`).
_base_ = './mask-rcnn_vit-nano-p8_fpn_bs8-2e_scenes.py'
model = dict(
    # Of 12x12 patches, blocks 0 and 2 see windows of 5x5, blocks 1 and 3 all.
    backbone=dict(
        _delete_=True,
        type='cmae_mm.ViTDet',
        arch=dict(embed_dims=128, num_layers=4, num_heads=4, feedforward_channels=512),
        img_size=96,
        patch_size=8,
        window_size=5,
        global_blocks=2,
        drop_path_rate=0.1,
        final_norm=False,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/cmae_vit-nano-p8_bs32-8e_scenes/epoch_8.pth',
            prefix='backbone.',
        ),
    ),
    # From stride 8 to 4, 8, 16 and 32.
    neck=dict(
        _delete_=True,
        type='cmae_mm.SimpleFeaturePyramid',
        in_channels=128,
        out_channels=64,
        scales=[2, 1, 0.5, 0.25],
        num_outs=4,
    ),
)
# Relative positions, 2 of the 14 parameters of a block, are in no plain checkpoint.
_base_.custom_hooks[1].update(min_share=0.85)
