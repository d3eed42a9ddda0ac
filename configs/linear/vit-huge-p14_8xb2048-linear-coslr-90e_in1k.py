# Linear probing of a ViT-H/14 on ImageNet-1K, 90 epochs with LARS.
#
# Command: mim train mmpretrain \
#     configs/linear/vit-huge-p14_8xb2048-linear-coslr-90e_in1k.py \
#     --launcher pytorch --gpus 8 \
#     --cfg-options model.backbone.init_cfg.checkpoint=<epoch_1600.pth>
# Cost:    335 GFLOP per image and step (derived), 115 million image passes.
# Expect:  unknown for CMAE; MAE from 1600 epochs 77.2 % top-1 (facebookresearch).
# The recipe of ViT-L stands in, as in MAE.
_base_ = './vit-large-p16_8xb2048-linear-coslr-90e_in1k.py'
model = dict(
    backbone=dict(arch='h', patch_size=14, frozen_stages=32),
    neck=dict(input_features=1280),
    head=dict(in_channels=1280),
)
