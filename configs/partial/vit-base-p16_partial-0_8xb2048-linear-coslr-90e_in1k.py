# Partial fine-tuning of a ViT-B/16 on ImageNet-1K: no block, which is linear probing.
#
# Command: mim train mmpretrain \
#     configs/partial/vit-base-p16_partial-0_8xb2048-linear-coslr-90e_in1k.py \
#     --launcher pytorch --gpus 8 \
#     --cfg-options model.backbone.init_cfg.checkpoint=<epoch_1600.pth>
# Cost:    35 GFLOP per image and step (derived), 115 million image passes.
# Expect:  above MAE (paper; the figures were not available).
# As in MAE: here the class token goes to the head, through the frozen final norm.
_base_ = '../linear/vit-base-p16_8xb2048-linear-coslr-90e_in1k.py'
