# Fine-tuning of a ViT-H/14 on ImageNet-1K, 50 epochs.
#
# Command: mim train mmpretrain \
#     configs/finetune/vit-huge-p14_8xb128-coslr-50e_in1k.py \
#     --launcher pytorch --gpus 8 \
#     --cfg-options model.backbone.init_cfg.checkpoint=<epoch_1600.pth>
# Cost:    1004 GFLOP per image and step (derived), 64 million image passes.
# Expect:  unknown for CMAE; MAE from 1600 epochs 86.9 % top-1 (mmpretrain).
# The published MAE recipe of mmpretrain stands in for CMAE's unknown settings.
_base_ = [
    'mmpretrain::mae/benchmarks/vit-huge-p14_8xb128-coslr-50e_in1k.py',
    '../_base_/plugin.py',
]
model = dict(
    backbone=dict(init_cfg=dict(checkpoint='work_dirs/pretrain/epoch_300.pth'))
)
optim_wrapper = dict(constructor='cmae_mm.LayerDecayOptimWrapperConstructor')
default_hooks = dict(checkpoint=dict(type='cmae_mm.DurableCheckpointHook'))
