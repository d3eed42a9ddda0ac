# CMAE ViT-L/16, ImageNet-1K, 300 epochs, the released recipe.
#
# Command: mim train mmpretrain \
#     configs/pretrain/cmae_vit-large-p16_32xb128-amp-coslr-300e_in1k.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
#          1600 epochs: --cfg-options train_cfg.max_epochs=1600 \
#              param_scheduler.1.end=1600
# Cost:    292 GFLOP per image and step (derived), 384 million image passes.
# Expect:  unknown (the values of the paper's scaling figure were not available).
# Projector and predictor keep the widths of ViT-B, those of the paper being unknown.
_base_ = './cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
model = dict(backbone=dict(arch='l'))
