# Pre-training in minutes on a CPU: full precision (AMP of MMEngine needs a GPU), a
# small batch for many steps. Whoever inherits sets max_epochs and `end`.
_base_ = './adamw_bs4096-coslr-300e.py'
_base_.optim_wrapper.pop('loss_scale')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(lr=1e-3))
