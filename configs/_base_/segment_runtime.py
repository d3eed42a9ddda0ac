# Runtime of everything that runs in mmsegmentation, but for its default_hooks: those
# come with the schedule.
_base_ = ['mmseg::_base_/default_runtime.py', './plugin.py']
