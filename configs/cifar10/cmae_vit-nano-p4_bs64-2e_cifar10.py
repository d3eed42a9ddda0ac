# CMAE ViT-nano/4 (width 128, depth 4, 64 patches) on the training photos of CIFAR-10.
#
# Data:    data/cifar10/{train,test}/<class>/<n>.jpg
# Command: mim train mmpretrain configs/cifar10/cmae_vit-nano-p4_bs64-2e_cifar10.py
# k-NN:    mim test mmpretrain <this file> --checkpoint <epoch_2.pth>
# All variants and seeds: python tools/replicate.py run cifar10
# Cost:    0.29 GFLOP per image and step (derived), 100,000 image passes.
# Expect:  docs/replication.md.
_base_ = [
    '../_base_/models/cmae_vit-nano.py',
    '../_base_/datasets/imagenet_two-views.py',
    '../_base_/schedules/adamw_cpu-coslr.py',
    '../_base_/pretrain_runtime.py',
]
model = dict(backbone=dict(img_size=32, patch_size=4))
# Shifts of up to 4 px of 32, an eighth of the view, as 31 px are of 224.
pipeline = _base_.train_dataloader.dataset.pipeline
pipeline[1].update(scale=36, crop_ratio_range=(0.4, 1.0))
pipeline[3].transforms[0][0].update(size=32)
pipeline[3].transforms[1][0].update(size=32, shift_range=(0, 5))
# A blur of 2 px would leave nothing of pictures of 32 px.
pipeline[3].transforms[1][-1].magnitude_range = (0.1, 0.6)
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root='data/cifar10/train',
        with_label=False,
        pipeline=pipeline,
    ),
)
test_pipeline = [dict(type='cmae_mm.LoadImage'), dict(type='PackInputs')]
labelled = dict(
    _delete_=True,
    type='CustomDataset',
    data_root='data/cifar10',
    pipeline=test_pipeline,
)
test_dataloader = dict(num_workers=0, dataset=dict(data_prefix='test', **labelled))
# Every fifth training photo, a thousand of each class, is what the labels of k-NN,
# linear probe and fine-tuning come from.
bank_dataloader = dict(
    num_workers=0,
    dataset=dict(data_prefix='train', indices=[*range(0, 50000, 5)], **labelled),
)
test_cfg = dict(bank_dataloader=bank_dataloader)
_base_.param_scheduler[0].update(end=150, by_epoch=False, convert_to_iter_based=False)
_base_.param_scheduler[1].update(begin=0, end=2)
train_cfg = dict(max_epochs=2)
auto_scale_lr = dict(base_batch_size=64)
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=2),
    logger=dict(interval=100),
    monitor=dict(interval=1),
)
