# Ablation: shifts of 0 to 15 pixels; the master crop grows with them.
#
# Command: mim train mmpretrain configs/ablation/shift-range-16.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    112 GFLOP per image and step (derived), 384 million image passes.
# Expect:  unknown; the paper gives no values.
_base_ = '../pretrain/cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
pipeline = _base_.train_dataloader.dataset.pipeline
pipeline[0].scale = 224 + 16
pipeline[1].shift_range = (0, 16)
