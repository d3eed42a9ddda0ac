# Linear probing of a ViT-L/16 on ImageNet-1K, 90 epochs with LARS.
#
# Command: mim train mmpretrain \
#     configs/linear/vit-large-p16_8xb2048-linear-coslr-90e_in1k.py \
#     --launcher pytorch --gpus 8 \
#     --cfg-options model.backbone.init_cfg.checkpoint=<epoch_1600.pth>
# Cost:    123 GFLOP per image and step (derived), 115 million image passes.
# Expect:  unknown for CMAE; MAE from 1600 epochs 75.5 % top-1 (mmpretrain).
# The published MAE recipe of mmpretrain stands in for CMAE's unknown settings; MAE
# says that 50 epochs suffice.
_base_ = [
    'mmpretrain::mae/benchmarks/vit-large-p16_8xb2048-linear-coslr-90e_in1k.py',
    '../_base_/plugin.py',
]
model = dict(
    backbone=dict(init_cfg=dict(checkpoint='work_dirs/pretrain/epoch_300.pth'))
)
auto_scale_lr = dict(base_batch_size=16384)
default_hooks = dict(checkpoint=dict(type='cmae_mm.DurableCheckpointHook'))
