# Mask R-CNN in the manner of ViTDet, ViT-L/16, COCO, 1024 px, 100 epochs.
#
# Command: mim train mmdet \
#     configs/coco/mask-rcnn_vitdet-large-p16_32xb2-amp-lsj-100e_coco.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME \
#     --cfg-options model.backbone.init_cfg.checkpoint=<epoch_1600.pth>
# Cost:    11.8 million image passes at 1024x1024. ViTDet (detectron2) reports 0.60 s
#          and 20.9 GB for one image on an A100, in training.
# Expect:  unknown for CMAE; MAE 55.5 box / 49.2 mask AP (ViTDet, detectron2).
# ViTDet's settings for ViT-L: layer decay 0.8, drop path 0.4, global blocks 5, 11,
# 17, 23.
_base_ = './mask-rcnn_vitdet-base-p16_32xb2-amp-lsj-100e_coco.py'
model = dict(backbone=dict(arch='l', drop_path_rate=0.4), neck=dict(in_channels=1024))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.8))
