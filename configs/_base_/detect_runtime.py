# Runtime of everything that runs in mmdetection.
_base_ = ['mmdet::_base_/default_runtime.py', './plugin.py']
default_hooks = dict(checkpoint=dict(type='cmae_mm.DurableCheckpointHook'))
