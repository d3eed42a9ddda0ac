# A CMAE that trains in two minutes on two CPU cores: width 128, depth 4, the
# released recipe. Whoever inherits sets img_size and patch_size for 64 patches.
_base_ = './cmae_vit-base-p16.py'
decoder = dict(decoder_embed_dim=64, decoder_num_heads=4)
mlp = dict(hid_channels=256, out_channels=64, norm_cfg=dict(type='BN1d', eps=1e-6))
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=128,
            num_layers=4,
            num_heads=4,
            feedforward_channels=512,
        ),
        mask_ratio=0.65,
        block_size=2,
    ),
    pixel_decoder=dict(decoder_depth=2, **decoder),
    feature_decoder=dict(decoder_depth=1, **decoder),
    projector=mlp,
    contrastive_head=dict(predictor=dict(in_channels=64, **mlp)),
    contrastive_weight=2 * 0.07,
    target_final_norm=False,
)
