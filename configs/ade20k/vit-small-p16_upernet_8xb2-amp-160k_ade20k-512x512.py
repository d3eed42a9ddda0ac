# UperNet, ViT-S/16 (width 384, 12 blocks, 6 heads), ADE20K 512x512, 160k iterations.
#
# Command: mim train mmsegmentation \
#     configs/ade20k/vit-small-p16_upernet_8xb2-amp-160k_ade20k-512x512.py \
#     --launcher pytorch --gpus 8 \
#     --cfg-options model.backbone.init_cfg.checkpoint=<epoch_1600.pth>
# Test:    mim test mmsegmentation <this file> --checkpoint <iter_160000.pth>
#          Multi-scale + flip: add --tta
# Cost:    160k iterations of 16 images of 512x512; 0.3 times the encoder of ViT-B
#          (derived).
# Expect:  unknown.
# No settings for ViT-S are known: those of ViT-B stand in.
_base_ = './vit-base-p16_upernet_8xb2-amp-160k_ade20k-512x512.py'
model = dict(
    backbone=dict(arch='deit-s'),
    neck=dict(embed_dim=384),
    decode_head=dict(in_channels=[384] * 4, channels=384),
    auxiliary_head=dict(in_channels=384),
)
