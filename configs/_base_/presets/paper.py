# The recipe of the paper's text: 75 % of single patches masked, plain InfoNCE
# with weight 1, both encoders alike, offsets 0 to 30 on a 255 px master crop.
_base_ = ['../models/cmae_vit-base-p16.py', '../datasets/imagenet_two-views-fast.py']
model = dict(
    backbone=dict(mask_ratio=0.75, block_size=1),
    contrastive_weight=1.0,
    target_final_norm=True,
)
