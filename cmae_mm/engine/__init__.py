from .checkpoint import PlainCheckpointHook
from .endless_loop import EndlessEpochLoop
from .layer_decay import LayerDecayOptimWrapperConstructor
from .pretrained import CheckPretrainedHook

__all__ = [
    'CheckPretrainedHook',
    'EndlessEpochLoop',
    'LayerDecayOptimWrapperConstructor',
    'PlainCheckpointHook',
]
