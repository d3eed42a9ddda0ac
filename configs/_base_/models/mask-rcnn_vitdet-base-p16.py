# Mask R-CNN in the manner of ViTDet on a ViT-B/16: windows, relative positions, a
# simple pyramid, 2 convolutions in the RPN, 4 and one linear layer in the box head,
# LayerNorm after each convolution of box and mask head.
_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'
norm_cfg = dict(type='mmpretrain.LN2d', eps=1e-6)
model = dict(
    # Every picture is padded to a square of 1024 px, also in the test: windows and
    # positions then stand as in training.
    data_preprocessor=dict(pad_size_divisor=1024),
    backbone=dict(
        _delete_=True,
        type='cmae_mm.ViTDet',
        arch='b',
        img_size=1024,
        patch_size=16,
        drop_path_rate=0.1,
        final_norm=False,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/pretrain/epoch_300.pth',
            prefix='backbone.',
        ),
    ),
    neck=dict(_delete_=True, type='cmae_mm.SimpleFeaturePyramid', in_channels=768),
    rpn_head=dict(num_convs=2),
    roi_head=dict(
        bbox_head=dict(type='Shared4Conv1FCBBoxHead', norm_cfg=norm_cfg),
        mask_head=dict(norm_cfg=norm_cfg),
    ),
)
