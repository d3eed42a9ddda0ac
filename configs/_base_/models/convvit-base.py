# ConvMAE's hybrid as a backbone of transfer; whoever inherits sets img_size,
# drop_path_rate and out_type, and replaces a backbone by it.
convvit = dict(
    _delete_=True,
    type='cmae_mm.ConvViT',
    final_norm=False,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='work_dirs/pretrain/epoch_300.pth',
        prefix='backbone.',
    ),
)
