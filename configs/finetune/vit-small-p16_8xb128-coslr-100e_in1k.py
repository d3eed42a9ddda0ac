# Fine-tuning of a ViT-S/16 (width 384, 12 blocks, 6 heads) on ImageNet-1K, 100 epochs.
#
# Command: mim train mmpretrain \
#     configs/finetune/vit-small-p16_8xb128-coslr-100e_in1k.py \
#     --launcher pytorch --gpus 8 \
#     --cfg-options model.backbone.init_cfg.checkpoint=<epoch_300.pth>
# Cost:    28 GFLOP per image and step (derived), 128 million image passes.
# Expect:  unknown.
# No settings for ViT-S are known: those of ViT-B stand in.
_base_ = './vit-base-p16_8xb128-coslr-100e_in1k.py'
model = dict(
    backbone=dict(arch='deit-s'),
    head=dict(in_channels=384),
)
