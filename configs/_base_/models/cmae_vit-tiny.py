# A CMAE that trains in a quarter of an hour on two CPU cores: 64 patches, width 192,
# depth 6, otherwise as the smallest one.
_base_ = './cmae_vit-nano.py'
wide = dict(embed_dim=192, decoder_embed_dim=96)
model = dict(
    backbone=dict(
        arch=dict(embed_dims=192, num_layers=6, num_heads=6, feedforward_channels=768)
    ),
    pixel_decoder=wide,
    feature_decoder=wide,
    projector=dict(in_channels=192),
)
