# Ablation: contrast put on MAE as it is: another random crop instead of the pixel
# shift, and no feature decoder. Whether the authors' variant is this is not known.
#
# Command: mim train mmpretrain configs/ablation/vanilla-contrastive.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    104 GFLOP per image and step (derived), 384 million image passes.
# Expect:  83.1 % top-1 (paper, as far as its text is known).
_base_ = './random-crop.py'
model = dict(feature_decoder=None)
