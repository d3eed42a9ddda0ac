# UperNet on the feature maps of a plain ViT-B/16, four levels by Feature2Pyramid.
_base_ = 'mmseg::_base_/models/upernet_mae.py'
model = dict(
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='mmpretrain.VisionTransformer',
        arch='b',
        img_size=512,
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
    neck=dict(embed_dim=768),
    decode_head=dict(in_channels=[768] * 4, channels=768),
    auxiliary_head=dict(in_channels=768),
)
