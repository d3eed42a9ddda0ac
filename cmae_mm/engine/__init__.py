from .checkpoint import PlainCheckpointHook
from .layer_decay import LayerDecayOptimWrapperConstructor
from .pretrained import CheckPretrainedHook

__all__ = [
    'CheckPretrainedHook',
    'LayerDecayOptimWrapperConstructor',
    'PlainCheckpointHook',
]
