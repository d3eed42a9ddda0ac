# Mask R-CNN in the manner of ViTDet, ViT-H, COCO, 1024 px, 75 epochs.
#
# Command: mim train mmdet \
#     configs/coco/mask-rcnn_vitdet-huge-p16_32xb2-amp-lsj-75e_coco.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME \
#     --cfg-options model.backbone.init_cfg.checkpoint=<epoch_1600.pth>
# Cost:    8.9 million image passes at 1024x1024. ViTDet (detectron2) reports 1.10 s
#          and 31.5 GB for one image on an A100, in training.
# Expect:  unknown for CMAE; MAE 56.7 box / 50.2 mask AP (ViTDet, detectron2).
# ViTDet's settings for ViT-H: layer decay 0.9, drop path 0.5, global blocks 7, 15, 23,
# 31, and patches of 16 px: the patch embedding of a ViT-H/14 is resized when loaded.
_base_ = './mask-rcnn_vitdet-base-p16_32xb2-amp-lsj-100e_coco.py'
model = dict(backbone=dict(arch='h', drop_path_rate=0.5), neck=dict(in_channels=1280))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.9))
# 25 rounds of the data set three times, not four.
train_dataloader = dict(dataset=dict(times=3))
