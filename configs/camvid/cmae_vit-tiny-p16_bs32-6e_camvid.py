# CMAE ViT-tiny/16 (width 192, depth 6) on the 367 training photos of CamVid.
#
# Data:    data/camvid/images/{train,val}/*.jpg
# Command: mim train mmpretrain configs/camvid/cmae_vit-tiny-p16_bs32-6e_camvid.py
# Cost:    about 10 minutes on 2 CPU cores (39,600 image passes).
# Expect:  docs/results.md.
_base_ = [
    '../_base_/models/cmae_vit-tiny.py',
    '../_base_/datasets/imagenet_two-views.py',
    '../_base_/schedules/adamw_cpu-coslr.py',
    '../_base_/pretrain_runtime.py',
]
model = dict(backbone=dict(img_size=128))
# Photos of 480x360: crops of a tenth to all of the street, views of 128 px, shifts
# of up to 15 px.
pipeline = _base_.train_dataloader.dataset.pipeline
pipeline[1].update(scale=143, crop_ratio_range=(0.1, 1.0))
pipeline[3].transforms[0][0].update(size=128)
pipeline[3].transforms[1][0].update(size=128, shift_range=(0, 16))
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        type='RepeatDataset',
        times=18,
        dataset=dict(
            type='CustomDataset',
            data_root='data/camvid',
            data_prefix='images/train',
            with_label=False,
            pipeline=pipeline,
        ),
    ),
)
# The photos have no class, so there is no k-NN to test.
test_dataloader = None
test_cfg = None
test_evaluator = None
_base_.param_scheduler[0].end = 1
_base_.param_scheduler[1].update(begin=1, end=6)
train_cfg = dict(max_epochs=6)
default_hooks = dict(
    checkpoint=dict(interval=2, max_keep_ckpts=2),
    logger=dict(interval=25),
    monitor=dict(interval=1),
)
