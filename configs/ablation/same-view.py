# Ablation: no pixel shift; both branches see the same view, the target recoloured.
#
# Command: mim train mmpretrain configs/ablation/same-view.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    112 GFLOP per image and step (derived), 384 million image passes.
# Expect:  unknown; below 83.8 % (paper).
_base_ = '../pretrain/cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
_base_.train_dataloader.dataset.pipeline[1].shift_range = (0, 1)
