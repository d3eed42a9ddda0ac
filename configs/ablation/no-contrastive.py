# Ablation: no contrastive loss, which is exactly MAE on the same views and mask.
#
# Command: mim train mmpretrain configs/ablation/no-contrastive.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    69 GFLOP per image and step (derived), 384 million image passes.
# Expect:  82.9 % top-1 for MAE with its own mask and crop (the CMAE authors' run).
_base_ = '../pretrain/cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
model = dict(contrastive_weight=0.0)
_base_.train_dataloader.dataset.pipeline[1].colour = None  # nobody sees that view
