# A CMAE that trains in minutes on two CPU cores: 64 patches, width 192, depth 6.
# The recipe is the released one. Images of 8x8 patches: whoever inherits sets
# img_size and patch_size, see ../../scenes.
_base_ = './cmae_vit-base-p16.py'
norm = dict(norm_cfg=dict(type='BN1d', eps=1e-6))
decoder = dict(num_patches=64, embed_dim=192, decoder_embed_dim=128, decoder_num_heads=4)
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=192,
            num_layers=6,
            num_heads=3,
            feedforward_channels=768,
        ),
        mask_ratio=0.65,
        block_size=2,
    ),
    pixel_decoder=dict(decoder_depth=2, **decoder),
    feature_decoder=dict(decoder_depth=1, **decoder),
    projector=dict(in_channels=192, hid_channels=384, out_channels=128, **norm),
    contrastive_head=dict(
        predictor=dict(in_channels=128, hid_channels=384, out_channels=128, **norm)
    ),
    contrastive_weight=2 * 0.07,
    target_final_norm=False,
)
