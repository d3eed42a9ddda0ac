# CMAE ViT-B/16, ImageNet-1K, 800 epochs, the released recipe.
#
# Command: mim train mmpretrain \
#     configs/pretrain/cmae_vit-base-p16_32xb128-amp-coslr-800e_in1k.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    112 GFLOP per image and step (derived), 1.02 billion image passes.
# Expect:  unknown; between 83.8 % (300 epochs) and 84.7 % (1600 epochs) in the
#          authors' figures.
_base_ = './cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
train_cfg = dict(max_epochs=800)
_base_.param_scheduler[1].end = 800
