# Pre-training schedule of paper and released recipe: AdamW, base rate 1.5e-4 per
# 256 images, 40 epochs of warm-up, cosine to 0. Longer runs change `end` only.
# Precision is ours: bfloat16 where paper and released recipe take float16 with a
# loss scaler. For GPUs without bfloat16: type='AmpOptimWrapper', dtype='float16'.
optim_wrapper = dict(
    type='cmae_mm.AutocastOptimWrapper',
    optimizer=dict(
        type='AdamW', lr=1.5e-4 * 4096 / 256, betas=(0.9, 0.95), weight_decay=0.05
    ),
    # Layer decay is off here; the constructor merges equal parameter groups.
    constructor='cmae_mm.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys={
            'pos_embed': dict(decay_mult=0.0),
            'mask_token': dict(decay_mult=0.0),
            'cls_token': dict(decay_mult=0.0),
        },
    ),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=40,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=40,
        end=300,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type='cmae_mm.EndlessEpochLoop', max_epochs=300)
auto_scale_lr = dict(base_batch_size=4096)
