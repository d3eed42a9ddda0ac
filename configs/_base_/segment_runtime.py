# Runtime of everything that runs in mmsegmentation.
_base_ = ['mmseg::_base_/default_runtime.py', './plugin.py']
