# Runtime of everything that runs in mmpretrain: pre-training and classification.
_base_ = ['mmpretrain::_base_/default_runtime.py', './plugin.py']
default_hooks = dict(checkpoint=dict(type='cmae_mm.DurableCheckpointHook'))
