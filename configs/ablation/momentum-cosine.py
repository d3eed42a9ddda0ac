# Ablation: the decay of the target rises from 0.996 to 1 along a cosine, as in BYOL.
#
# Command: mim train mmpretrain configs/ablation/momentum-cosine.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    112 GFLOP per image and step (derived), 384 million image passes.
# Expect:  unknown; the paper and the released recipe keep it constant.
_base_ = '../pretrain/cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
model = dict(ema_end_decay=1.0)
