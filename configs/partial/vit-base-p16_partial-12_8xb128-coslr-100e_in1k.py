# Partial fine-tuning of a ViT-B/16 on ImageNet-1K: all 12 blocks, which is fine-tuning.
#
# Command: mim train mmpretrain \
#     configs/partial/vit-base-p16_partial-12_8xb128-coslr-100e_in1k.py \
#     --launcher pytorch --gpus 8 \
#     --cfg-options model.backbone.init_cfg.checkpoint=<epoch_1600.pth>
# Cost:    106 GFLOP per image and step (derived), 128 million image passes.
# Expect:  84.7 % top-1 from 1600 epochs (authors' released code; not yet measured by
#          us).
_base_ = '../finetune/vit-base-p16_cmae-1600e-pre_8xb128-coslr-100e_in1k.py'
