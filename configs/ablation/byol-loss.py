# Ablation: no negatives, only the cosine of the positive pair. The weight of the loss
# in the paper is unknown; 1 stands in, since the factor 2 * temperature of the released
# recipe belongs to InfoNCE.
#
# Command: mim train mmpretrain configs/ablation/byol-loss.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    112 GFLOP per image and step (derived), 384 million image passes.
# Expect:  83.4 % top-1 (paper).
_base_ = '../pretrain/cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
model = dict(
    contrastive_head=dict(type='cmae_mm.PositivePairHead'), contrastive_weight=1.0
)
_base_.model.contrastive_head.pop('temperature')
