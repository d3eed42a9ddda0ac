# Runtime of pre-training: few checkpoints, another seed on each rank, and losses that
# are read from the GPU only when they are logged.
_base_ = './classify_runtime.py'
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=3),
    runtime_info=dict(type='cmae_mm.DeferredRuntimeInfoHook'),
    resume=dict(type='cmae_mm.ExactResumeHook'),
)
randomness = dict(seed=0, diff_rank_seed=True)
