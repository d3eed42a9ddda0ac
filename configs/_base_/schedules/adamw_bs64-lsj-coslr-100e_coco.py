# COCO with large-scale jitter to 1024 px, batch 64, 100 epochs: all that a Mask R-CNN
# needs beside its model. CMAE's own settings are largely unknown; the sentence known
# of them (rate 1e-4, weight decay 0.1, cosine) fits ViTDet's recipe, whose batch,
# layer decay 0.7 and jitter stand in.
_base_ = ['mmdet::common/lsj-100e_coco-instance.py', '../plugin.py']
image_size = (1024, 1024)
optim_wrapper = dict(
    _delete_=True,
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.1),
    constructor='cmae_mm.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.7,
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys={
            '.cls_token': dict(decay_mult=0.0),
            '.pos_embed': dict(decay_mult=0.0),
        },
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=250),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=0,
        end=25,
        convert_to_iter_based=True,
    ),
]
# The longer side of test images is what the positions were trained for.
_base_.val_dataloader.dataset.pipeline[1].scale = image_size
test_dataloader = _base_.val_dataloader
default_hooks = dict(checkpoint=dict(type='cmae_mm.DurableCheckpointHook'))
randomness = dict(seed=0)
