from .autocast import AutocastOptimWrapper
from .checkpoint import PlainCheckpointHook
from .compile_hook import CompileHook
from .deferred_info import DeferredRuntimeInfoHook
from .durable_checkpoint import DurableCheckpointHook
from .endless_loop import EndlessEpochLoop
from .exact_resume import ExactResumeHook
from .freeze_hook import FreezeHook
from .layer_decay import LayerDecayOptimWrapperConstructor
from .micro_batches import MicroBatchTrainLoop
from .pretrained import CheckPretrainedHook
from .progress_bar import ProgressBar
from .sharding import ShardedCMAE, ShardedStrategy

__all__ = [
    'AutocastOptimWrapper',
    'CheckPretrainedHook',
    'CompileHook',
    'DeferredRuntimeInfoHook',
    'DurableCheckpointHook',
    'EndlessEpochLoop',
    'ExactResumeHook',
    'FreezeHook',
    'LayerDecayOptimWrapperConstructor',
    'MicroBatchTrainLoop',
    'PlainCheckpointHook',
    'ProgressBar',
    'ShardedCMAE',
    'ShardedStrategy',
]
