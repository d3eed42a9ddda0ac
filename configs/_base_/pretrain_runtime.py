# Runtime of pre-training: few checkpoints, another seed on each rank, losses that are
# read from the GPU only when they are logged, and workers that share their memory.
_base_ = './classify_runtime.py'
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=3),
    runtime_info=dict(type='cmae_mm.DeferredRuntimeInfoHook'),
    freeze_objects=dict(type='cmae_mm.FreezeHook'),
)
randomness = dict(seed=0, diff_rank_seed=True)
