# Mask R-CNN on a plain ViT-B/16: the four maps become a pyramid by
# Feature2Pyramid, which FPN then mixes. LayerNorm follows each convolution of the
# pyramid, as in ViTDet: the maps of a plain ViT come without norm, and a large
# constant part in them makes training slow or unstable otherwise.
_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.VisionTransformer',
        arch='b',
        img_size=1024,
        patch_size=16,
        drop_path_rate=0.1,
        out_type='featmap',
        out_indices=[3, 5, 7, 11],
        final_norm=False,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/pretrain/epoch_300.pth',
            prefix='backbone.',
        ),
    ),
    neck=[
        dict(
            type='mmseg.Feature2Pyramid',
            embed_dim=768,
            norm_cfg=dict(type='mmpretrain.LN2d'),
        ),
        dict(
            type='FPN',
            in_channels=[768] * 4,
            out_channels=256,
            num_outs=5,
            norm_cfg=dict(type='mmpretrain.LN2d'),
        ),
    ],
)
