# Runtime of pre-training: few checkpoints, another seed on each rank, losses that are
# read from the GPU only when they are logged, workers that share their memory, a watch
# over numbers, features and images that cannot be read, pictures of what is learnt,
# and, on several GPUs, gradients that lie where they are summed instead of in a copy.
_base_ = './classify_runtime.py'
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=3),
    runtime_info=dict(type='cmae_mm.DeferredRuntimeInfoHook'),
    resume=dict(type='cmae_mm.ExactResumeHook'),
    quarantine=dict(type='cmae_mm.QuarantineHook'),
    finite=dict(type='cmae_mm.FiniteStepsHook'),
    collapse=dict(type='cmae_mm.CollapseHook'),
    monitor=dict(type='cmae_mm.LearningMonitor', interval=20),
    freeze_objects=dict(type='cmae_mm.FreezeHook'),
)
randomness = dict(seed=0, diff_rank_seed=True)
model_wrapper_cfg = dict(
    type='MMDistributedDataParallel',
    broadcast_buffers=False,
    gradient_as_bucket_view=True,
)
