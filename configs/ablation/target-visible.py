# Ablation: the target encoder sees only the patches that the online encoder sees.
# Whether the authors drew a mask of its own for the target is not known.
#
# Command: mim train mmpretrain configs/ablation/target-visible.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    89 GFLOP per image and step (derived), 384 million image passes.
# Expect:  unknown; below the whole view (paper, no value).
_base_ = '../pretrain/cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
model = dict(target_sees_all=False)
