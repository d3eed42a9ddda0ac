# Ablation: a random crop of its own for the target, and no colour augmentation.
#
# Command: mim train mmpretrain configs/ablation/random-crop_no-colour.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    112 GFLOP per image and step (derived), 384 million image passes.
# Expect:  83.0 % top-1 (paper).
_base_ = './random-crop.py'
target_view = _base_.train_dataloader.dataset.pipeline[1].transforms[1]
target_view[2:] = []
