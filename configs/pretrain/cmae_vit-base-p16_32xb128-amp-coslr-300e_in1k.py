# CMAE ViT-B/16, ImageNet-1K, 300 epochs, the released recipe.
#
# Command: mim train mmpretrain \
#     configs/pretrain/cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# k-NN:    mim test mmpretrain <this file> --checkpoint <epoch_300.pth>
# Cost:    112 GFLOP per image and step (derived), 384 million image passes.
# Expect:  83.8 % top-1 after fine-tuning (authors' released code; not yet
#          measured by us).
_base_ = [
    '../_base_/presets/released.py',
    '../_base_/schedules/adamw_bs4096-coslr-300e.py',
    '../_base_/pretrain_runtime.py',
]
