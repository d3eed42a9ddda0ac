# Runtime of pre-training: few checkpoints, another seed on each rank.
_base_ = './classify_runtime.py'
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=3))
randomness = dict(seed=0, diff_rank_seed=True)
