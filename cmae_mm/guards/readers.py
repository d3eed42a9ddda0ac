"""Who reads what of a config: the names that MMEngine and its scripts look up."""

from mmengine.optim import OptimWrapper
from mmengine.runner import (
    EpochBasedTrainLoop,
    FlexibleRunner,
    IterBasedTrainLoop,
    LogProcessor,
    Runner,
    TestLoop,
    ValLoop,
)
from mmengine.utils.dl_utils import set_multi_processing
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.utils.data import DataLoader

from .signatures import arguments

# Beside the arguments of the runners: what Runner looks up in its config later, what
# Config itself reads, and what the train and test scripts of the libraries do.
TOP_LEVEL = (arguments(Runner, FlexibleRunner) - {'cfg'}) | {
    'activation_checkpointing',
    'compile',
    'custom_imports',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'runner_type',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
}
# Known in every dict with a type: taken out before the constructor sees the rest.
TAKEN_OUT = frozenset(
    {
        '_delete_',
        '_scope_',
        'constructor',
        'convert_to_iter_based',
        'paramwise_cfg',
        'priority',
        'requires_grad',
        'type',
    }
)
# Dicts without a type, by their path.
PLACES = {
    'default_hooks': frozenset(
        {
            'checkpoint',
            'collapse',
            'finite',
            'freeze_objects',
            'logger',
            'monitor',
            'param_scheduler',
            'quarantine',
            'resume',
            'runtime_info',
            'sampler_seed',
            'timer',
            'visualization',
        }
    ),
    'env_cfg.mp_cfg': arguments(set_multi_processing),
    'log_processor': arguments(LogProcessor) | {'type'},
    'optim_wrapper': arguments(OptimWrapper) | TAKEN_OUT,
    'optim_wrapper.clip_grad': arguments(clip_grad_norm_, clip_grad_value_),
    'randomness': arguments(Runner.set_randomness),
    'test_cfg': arguments(TestLoop) | {'type'},
    'train_cfg': arguments(EpochBasedTrainLoop, IterBasedTrainLoop)
    | {'by_epoch', 'type'},
    'val_cfg': arguments(ValLoop) | {'type'},
}
DATA_LOADER = arguments(DataLoader) | {'num_batch_per_epoch'}
# Dicts that swallow any name: also one that resembles no other is refused.
CLOSED = {
    'auto_scale_lr': frozenset({'base_batch_size', 'enable'}),
    'env_cfg': frozenset({'cudnn_benchmark', 'dist_cfg', 'mp_cfg', 'resource_limit'}),
}
# Its names are those that the constructor of the optimiser looks up.
MULTIPLIERS = 'optim_wrapper.paramwise_cfg'
# Of single parameters, in its custom_keys; more names go to the optimiser.
MULTIPLIERS_OF_ONE = frozenset({'decay_mult', 'lr_mult'})
