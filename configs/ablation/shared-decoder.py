# Ablation: the pixel decoder completes the features, too; only the last layer is the
# feature decoder's own. How the authors shared the weights is not known.
#
# Command: mim train mmpretrain configs/ablation/shared-decoder.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    104 GFLOP per image and step (derived), 384 million image passes.
# Expect:  unknown; the worst of the feature decoders (paper, no value).
_base_ = '../pretrain/cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
model = dict(
    feature_decoder=dict(
        _delete_=True,
        type='cmae_mm.SharedFeatureDecoder',
        decoder_embed_dim=512,
        init_cfg=_base_.model.feature_decoder.init_cfg,
    )
)
