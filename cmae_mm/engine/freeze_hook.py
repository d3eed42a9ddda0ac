import gc

from mmengine.hooks import Hook
from mmengine.runner import Runner

from cmae_mm.registry import HOOKS


@HOOKS.register_module()
class FreezeHook(Hook):
    """Keeps Python's collector of garbage away from what exists before training.

    Workers are copies of the main process that share its memory until one of them
    writes to it. The collector writes to every object it looks at, so in the course of
    an epoch each worker would come to own a copy of all libraries. Objects that are
    made later are collected as ever.

    Source: the documentation of ``gc.freeze``.
    """

    priority = 'VERY_LOW'  # after the objects that other hooks make

    def before_train(self, runner: Runner) -> None:
        """Freeze what is there, before the workers are started."""
        freeze()

    def after_train(self, runner: Runner) -> None:
        """Let it go again."""
        gc.unfreeze()


def freeze() -> None:
    """Remove what is garbage, and leave the rest alone from now on."""
    gc.collect()
    gc.freeze()
