# Two views of your own images, without labels: any number of channels, any bit
# depth (medical, satellite). Takes the place of imagenet_two-views.py.
#
# Set data_root, the channels here (12 stands for your number), and in the config:
#   model = dict(
#       data_preprocessor=dict(
#           _delete_=True,
#           type='cmae_mm.MultibandDataPreprocessor',
#           mean=[...], std=[...],  # of each channel, in the units of the files
#       ),
#       backbone=dict(in_channels=12),
#   )
data_root = 'data/images/'
train_pipeline = [
    dict(type='cmae_mm.LoadMultibandImage', channels=12),
    dict(
        type='RandomResizedCrop',  # master crop: view size + largest shift
        scale=255,
        crop_ratio_range=(0.2, 1.0),
        backend='cv2',  # Pillow resizes 8-bit images of few channels only
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
                # The colour operations of imagenet_two-views.py, for 8-bit images of
                # three channels; others get the shift alone. The channels are RGB
                # already: nothing is swapped here.
                dict(
                    type='cmae_mm.OnlyRGB',
                    transforms=[
                        dict(type='NumpyToPIL'),
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
                        dict(type='PILToNumpy'),
                        dict(
                            type='GaussianBlur',
                            magnitude_range=(0.1, 2.0),
                            magnitude_std='inf',
                            prob=0.5,
                        ),
                    ],
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
        type='cmae_mm.UnlabelledImages', data_root=data_root, pipeline=train_pipeline
    ),
)
