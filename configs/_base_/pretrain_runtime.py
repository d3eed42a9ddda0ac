# Runtime of pre-training: few checkpoints, another seed on each rank, losses that are
# read from the GPU only when they are logged, workers that share their memory, and a
# watch over numbers, features and images that cannot be read.
_base_ = './classify_runtime.py'
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=3),
    runtime_info=dict(type='cmae_mm.DeferredRuntimeInfoHook'),
    resume=dict(type='cmae_mm.ExactResumeHook'),
    quarantine=dict(type='cmae_mm.QuarantineHook'),
    finite=dict(type='cmae_mm.FiniteStepsHook'),
    collapse=dict(type='cmae_mm.CollapseHook'),
    freeze_objects=dict(type='cmae_mm.FreezeHook'),
)
randomness = dict(seed=0, diff_rank_seed=True)
