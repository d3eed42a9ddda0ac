# Fine-tuning of a ViT-B/16 on ImageNet-1K, 100 epochs, from weights of 1600 epochs:
# half the rate (2.5e-4 per 256 images), as in the paper.
#
# Command: mim train mmpretrain \
#     configs/finetune/vit-base-p16_cmae-1600e-pre_8xb128-coslr-100e_in1k.py \
#     --launcher pytorch --gpus 8 \
#     --cfg-options model.backbone.init_cfg.checkpoint=<epoch_1600.pth>
# Cost:    106 GFLOP per image and step (derived), 128 million image passes.
# Expect:  84.7 % top-1 (paper, and the authors' released code; not yet measured by us).
_base_ = './vit-base-p16_8xb128-coslr-100e_in1k.py'
model = dict(
    backbone=dict(init_cfg=dict(checkpoint='work_dirs/pretrain/epoch_1600.pth'))
)
optim_wrapper = dict(optimizer=dict(lr=2.5e-4 * 1024 / 256))
