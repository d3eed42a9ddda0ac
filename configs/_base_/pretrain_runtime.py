# Runtime of pre-training: few checkpoints, another seed on each rank, losses that are
# read from the GPU only when they are logged, and unreadable images named.
_base_ = './classify_runtime.py'
_base_.custom_hooks.append(dict(type='cmae_mm.QuarantineHook'))
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=3),
    runtime_info=dict(type='cmae_mm.DeferredRuntimeInfoHook'),
)
randomness = dict(seed=0, diff_rank_seed=True)
