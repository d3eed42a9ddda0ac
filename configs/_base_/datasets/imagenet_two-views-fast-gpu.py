# The views of imagenet_two-views-fast.py, their colours drawn in the worker and
# applied on the device of the model, whose data_preprocessor must be
# cmae_mm.TwoViewPreprocessor.
_base_ = './imagenet_two-views-fast.py'
_base_.train_dataloader.dataset.pipeline[1].colour_on = 'device'
_base_.train_dataloader.dataset.pipeline[2].meta_keys += ('colour',)
