# Ablation: 75 % masked in blocks of 1x1 patches instead of 65 % of 2x2.
#
# Command: mim train mmpretrain configs/ablation/mask-0.75_block-1.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    102 GFLOP per image and step (derived), 384 million image passes.
# Expect:  unknown; the authors took 65 % of 2x2 for its results.
_base_ = '../pretrain/cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
model = dict(backbone=dict(mask_ratio=0.75, block_size=1))
