# Mask R-CNN, ViT-B/16 with a plain feature pyramid, COCO, 1024 px, 100 epochs.
#
# Command: mim train mmdet \
#     configs/coco/mask-rcnn_vit-base-p16_fpn_32xb2-amp-lsj-100e_coco.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME \
#     --cfg-options model.backbone.init_cfg.checkpoint=<epoch_1600.pth>
# Test:    mim test mmdet <this file> --checkpoint <epoch_25.pth>
# Cost:    11.8 million image passes at 1024x1024, with global attention in every
#          block. Takes much memory: one or two images per GPU.
# Expect:  unknown; not in the paper.
# CMAE's own settings are largely unknown: ViTDet's stand in, see the schedule.
_base_ = [
    '../_base_/models/mask-rcnn_vit-base-p16_fpn.py',
    '../_base_/schedules/adamw_bs64-lsj-coslr-100e_coco.py',
]
model = dict(
    data_preprocessor=dict(
        batch_augments=[
            dict(type='BatchFixedSizePad', size=(1024, 1024), pad_mask=True)
        ]
    )
)
