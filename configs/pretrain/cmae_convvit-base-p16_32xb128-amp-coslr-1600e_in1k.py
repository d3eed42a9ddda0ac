# CMAE on the hybrid ConvViT-B/16, ImageNet-1K, 1600 epochs.
#
# Command: mim train mmpretrain \
#     configs/pretrain/cmae_convvit-base-p16_32xb128-amp-coslr-1600e_in1k.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    169 GFLOP per image and step (derived), 2.05 billion image passes.
# Expect:  85.3 % top-1 after fine-tuning (paper, hybrid; its number of epochs is
#          unknown, 1600 is that of its best ViT-B; not yet measured by us).
_base_ = './cmae_convvit-base-p16_32xb128-amp-coslr-300e_in1k.py'
train_cfg = dict(max_epochs=1600)
_base_.param_scheduler[1].end = 1600
