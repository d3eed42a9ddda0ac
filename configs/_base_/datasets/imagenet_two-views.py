# ImageNet-1K as CMAE sees it: one master crop and one flip for both views; the
# online view is its top-left corner, the target view is shifted and recoloured.
# Images are BGR until the data preprocessor of the model makes them RGB; the
# colour operations get RGB, too (NumpyToPIL).
data_root = 'data/imagenet/'
train_pipeline = [
    dict(type='cmae_mm.LoadImage'),
    dict(
        type='RandomResizedCrop',  # master crop: view size + largest shift
        scale=255,
        crop_ratio_range=(0.2, 1.0),
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='MultiView',
        num_views=[1, 1],
        transforms=[
            [dict(type='cmae_mm.PixelShift', size=224, shift_range=(0, 1))],
            [
                dict(type='cmae_mm.PixelShift', size=224, shift_range=(0, 31)),
                dict(type='NumpyToPIL', to_rgb=True),
                dict(
                    type='RandomApply',
                    prob=0.8,
                    transforms=[
                        dict(
                            type='torchvision/ColorJitter',
                            brightness=0.4,
                            contrast=0.4,
                            saturation=0.4,
                            hue=0.1,
                        )
                    ],
                ),
                dict(type='torchvision/RandomGrayscale', p=0.2),
                dict(type='PILToNumpy', to_bgr=True),
                dict(
                    type='GaussianBlur',
                    magnitude_range=(0.1, 2.0),
                    magnitude_std='inf',
                    prob=0.5,
                ),
            ],
        ],
    ),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='cmae_mm.SeededSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ImageNet', data_root=data_root, split='train', pipeline=train_pipeline
    ),
)

# `mim test` of pre-training: k-NN of the validation in the training images.
test_pipeline = [
    dict(type='cmae_mm.LoadImage'),
    dict(
        type='ResizeEdge',
        scale=256,
        edge='short',
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
bank_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ImageNet', data_root=data_root, split='train', pipeline=test_pipeline
    ),
)
test_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ImageNet', data_root=data_root, split='val', pipeline=test_pipeline
    ),
)
test_cfg = dict(type='cmae_mm.KNNTestLoop', bank_dataloader=bank_dataloader)
test_evaluator = dict(type='cmae_mm.KNNAccuracy', k=20)
