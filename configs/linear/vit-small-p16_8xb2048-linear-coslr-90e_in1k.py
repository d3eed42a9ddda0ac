# Linear probing of a ViT-S/16 (width 384, 12 blocks, 6 heads) on ImageNet-1K.
#
# Command: mim train mmpretrain \
#     configs/linear/vit-small-p16_8xb2048-linear-coslr-90e_in1k.py \
#     --launcher pytorch --gpus 8 \
#     --cfg-options model.backbone.init_cfg.checkpoint=<epoch_300.pth>
# Cost:    9 GFLOP per image and step (derived), 115 million image passes.
# Expect:  unknown.
# No settings for ViT-S are known: those of ViT-B stand in.
_base_ = './vit-base-p16_8xb2048-linear-coslr-90e_in1k.py'
model = dict(
    backbone=dict(arch='deit-s'),
    neck=dict(input_features=384),
    head=dict(in_channels=384),
)
