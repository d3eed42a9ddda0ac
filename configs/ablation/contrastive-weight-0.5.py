# Ablation: lambda_c = 0.5, in units of the released recipe (its 1 multiplies InfoNCE by
# 2 * temperature; for plain InfoNCE take the paper preset and contrastive_weight=0.5).
#
# Command: mim train mmpretrain configs/ablation/contrastive-weight-0.5.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    112 GFLOP per image and step (derived), 384 million image passes.
# Expect:  unknown; best at 1, falling above (paper, no values).
_base_ = '../pretrain/cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
model = dict(contrastive_weight=0.5 * 2 * 0.07)
