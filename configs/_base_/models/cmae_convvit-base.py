# CMAE on ConvMAE's hybrid encoder, base size at 224 px, masks as in ConvMAE. What
# CMAE's authors changed for the hybrid is not known; everything behind the encoder
# is that of ViT-B/16, without the class token.
_base_ = './cmae_vit-base-p16.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='cmae_mm.CMAEConvViT',
        img_size=224,
        mask_ratio=0.75,
        block_size=1,
        init_cfg=_base_.xavier,
    )
)
