# Ablation: each view is a random resized crop and flip of its own instead of a
# shifted crop of one master.
#
# Command: mim train mmpretrain configs/ablation/random-crop.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    112 GFLOP per image and step (derived), 384 million image passes.
# Expect:  unknown with colour; 83.0 % top-1 without (paper).
_base_ = '../pretrain/cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
pipeline = _base_.reference_pipeline
own_crop = [{**pipeline[1], 'scale': 224}, pipeline[2]]
for view in pipeline[3].transforms:
    view[:1] = own_crop
pipeline[1:3] = []
train_dataloader = dict(dataset=dict(pipeline=pipeline))
