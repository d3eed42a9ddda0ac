# CMAE ViT-H/14 as in the config it inherits from, with parameters, gradients and the
# optimiser's state spread over the GPUs (FSDP). The same numbers come out.
#
# Command: mim train mmpretrain \
#     configs/pretrain/cmae_vit-huge-p14_32xb128-fsdp-amp-coslr-300e_in1k.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    730 GFLOP per image and step (derived), 384 million image passes.
# Expect:  unknown (the values of the paper's scaling figure were not available).
_base_ = './cmae_vit-huge-p14_32xb128-amp-coslr-300e_in1k.py'
runner_type = 'FlexibleRunner'
strategy = dict(type='cmae_mm.ShardedStrategy')
