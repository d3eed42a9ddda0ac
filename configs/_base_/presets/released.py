# The recipe of the authors' released code, the only one with published numbers
# (83.8 / 84.7 top-1 after 300 / 1600 epochs). Against the paper's text: 65 % of
# the patches masked in 2x2 blocks, InfoNCE times 2 * temperature, a target
# encoder without final LayerNorm, offsets 0 to 31 on a 256 px master crop.
_base_ = ['../models/cmae_vit-base-p16.py', '../datasets/imagenet_two-views-fast.py']
model = dict(
    backbone=dict(mask_ratio=0.65, block_size=2),
    contrastive_weight=2 * 0.07,
    target_final_norm=False,
)
_base_.train_dataloader.dataset.pipeline[0].scale = 256
_base_.train_dataloader.dataset.pipeline[1].shift_range = (0, 32)
_base_.reference_pipeline[1].scale = 256
_base_.reference_pipeline[3].transforms[1][0].shift_range = (0, 32)
