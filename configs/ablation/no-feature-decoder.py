# Ablation: no feature decoder; the mean of the visible latents is projected.
#
# Command: mim train mmpretrain configs/ablation/no-feature-decoder.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    104 GFLOP per image and step (derived), 384 million image passes.
# Expect:  83.6 % top-1 (paper, as far as its text is known).
_base_ = '../pretrain/cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
model = dict(feature_decoder=None)
