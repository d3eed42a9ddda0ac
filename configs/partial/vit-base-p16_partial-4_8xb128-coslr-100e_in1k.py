# Partial fine-tuning of a ViT-B/16 on ImageNet-1K: the last 4 of 12 blocks.
#
# Command: mim train mmpretrain \
#     configs/partial/vit-base-p16_partial-4_8xb128-coslr-100e_in1k.py \
#     --launcher pytorch --gpus 8 \
#     --cfg-options model.backbone.init_cfg.checkpoint=<epoch_1600.pth>
# Cost:    58 GFLOP per image and step (derived), 128 million image passes.
# Expect:  above MAE (paper; the figures were not available).
# Settings as with one block, see partial-1.
_base_ = './vit-base-p16_partial-1_8xb128-coslr-100e_in1k.py'
model = dict(
    backbone=dict(
        frozen_stages=8,
        layer_cfgs=[dict(drop_path_rate=0.0)] * 8 + [dict()] * 4,
    )
)
