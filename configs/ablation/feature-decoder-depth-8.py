# Ablation: a feature decoder of 8 blocks instead of 2.
#
# Command: mim train mmpretrain configs/ablation/feature-decoder-depth-8.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    136 GFLOP per image and step (derived), 384 million image passes.
# Expect:  collapse to a trivial solution (paper).
_base_ = '../pretrain/cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
model = dict(feature_decoder=dict(decoder_depth=8))
