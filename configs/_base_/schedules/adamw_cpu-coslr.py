# Pre-training in minutes on a CPU: full precision, which costs a small model no time,
# and a small batch for many steps. Whoever inherits sets max_epochs and `end`.
_base_ = './adamw_bs4096-coslr-300e.py'
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(lr=1e-3))
auto_scale_lr = dict(base_batch_size=32)
