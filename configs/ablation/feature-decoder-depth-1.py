# Ablation: a feature decoder of 1 block instead of 2.
#
# Command: mim train mmpretrain configs/ablation/feature-decoder-depth-1.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    108 GFLOP per image and step (derived), 384 million image passes.
# Expect:  83.8 % top-1 or nearly (paper: the depth has no strong effect).
_base_ = '../pretrain/cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
model = dict(feature_decoder=dict(decoder_depth=1))
