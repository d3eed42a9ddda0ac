# UperNet, ViT-L/16, ADE20K 512x512, 160k iterations.
#
# Command: mim train mmsegmentation \
#     configs/ade20k/vit-large-p16_upernet_8xb2-amp-160k_ade20k-512x512.py \
#     --launcher pytorch --gpus 8 \
#     --cfg-options model.backbone.init_cfg.checkpoint=<epoch_1600.pth>
# Test:    mim test mmsegmentation <this file> --checkpoint <iter_160000.pth>
#          Multi-scale + flip: add --tta
# Cost:    160k iterations of 16 images of 512x512; 3.4 times the encoder of ViT-B
#          (derived).
# Expect:  unknown for CMAE; MAE 53.6 mIoU (paper of MAE).
# No settings for ViT-L are known: those of ViT-B stand in, with the drop path of
# MAE's fine-tuning of ViT-L (0.2).
_base_ = './vit-base-p16_upernet_8xb2-amp-160k_ade20k-512x512.py'
model = dict(
    backbone=dict(arch='l', drop_path_rate=0.2, out_indices=[7, 11, 15, 23]),
    neck=dict(embed_dim=1024),
    decode_head=dict(in_channels=[1024] * 4, channels=1024),
    auxiliary_head=dict(in_channels=1024),
)
