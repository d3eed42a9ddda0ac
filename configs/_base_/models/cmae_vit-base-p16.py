# CMAE ViT-B/16 at 224 px, as far as the paper and the released recipe agree.
# What they do not agree on is in ../presets/. The decoders, the head and the
# projector take patch grid, patch size, channels and width from the backbone.
xavier = [
    dict(type='Xavier', layer='Linear', distribution='uniform'),
    dict(type='Constant', layer='LayerNorm', val=1.0, bias=0.0),
]
# Projector and predictor: Linear -> BN -> ReLU -> Linear without bias.
mlp = dict(
    type='NonLinearNeck',
    hid_channels=1536,
    out_channels=256,
    num_layers=2,
    with_bias=True,
    with_last_bn=False,
    with_last_bias=False,
    with_avg_pool=False,
    norm_cfg=dict(type='SyncBN', eps=1e-6),
)
decoder = dict(decoder_embed_dim=512, decoder_num_heads=16, init_cfg=xavier)
model = dict(
    type='cmae_mm.CMAE',
    data_preprocessor=dict(
        type='cmae_mm.TwoViewPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
        non_blocking=True,
    ),
    backbone=dict(
        type='cmae_mm.CMAEViT',
        arch='b',
        img_size=224,
        patch_size=16,
        mask_ratio=0.75,
        block_size=1,
        init_cfg=xavier,
    ),
    pixel_decoder=dict(type='cmae_mm.PixelDecoder', decoder_depth=8, **decoder),
    head=dict(
        type='cmae_mm.ReconstructionHead',
        loss=dict(type='PixelReconstructionLoss', criterion='L2'),
    ),
    feature_decoder=dict(type='cmae_mm.FeatureDecoder', decoder_depth=2, **decoder),
    projector=mlp,
    contrastive_head=dict(
        type='cmae_mm.ContrastiveHead',
        temperature=0.07,
        predictor=dict(in_channels=256, **mlp),
    ),
    contrastive_weight=1.0,
    ema_decay=0.996,
    target_final_norm=True,
)
