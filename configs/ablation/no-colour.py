# Ablation: pixel shift without colour augmentation of the target.
#
# Command: mim train mmpretrain configs/ablation/no-colour.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    112 GFLOP per image and step (derived), 384 million image passes.
# Expect:  83.4 % top-1 (paper).
_base_ = '../pretrain/cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
_base_.train_dataloader.dataset.pipeline[1].colour = None
