# MAE ViT-B/16, ImageNet-1K, 300 epochs: the baseline in CMAE's frame. Contrastive
# weight 0 leaves out the second branch, and the pipeline its view.
#
# Command: mim train mmpretrain \
#     configs/pretrain/mae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py \
#     --launcher slurm --gpus 32 --gpus-per-node 8 --partition NAME
# Cost:    59 GFLOP per image and step (derived), 384 million image passes.
# Expect:  82.9 % top-1 after fine-tuning (the CMAE authors' run; not yet
#          measured by us).
_base_ = './cmae-paper_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
model = dict(contrastive_weight=0.0)
_base_.train_dataloader.dataset.pipeline[0].scale = 224
_base_.train_dataloader.dataset.pipeline.pop(1)  # TwoViews
