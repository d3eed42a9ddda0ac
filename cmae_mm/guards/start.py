"""The checks of a run's settings, at the two moments when they can be made."""

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from cmae_mm.registry import HOOKS, RUNNERS

from .batches import check_batches
from .labels import check_labels
from .refusal import refuse
from .schedule import check_schedule
from .settings import check_config, own_names


@RUNNERS.register_module()
class CheckedRunner(Runner):
    """A runner that reads its config with care before it builds anything.

    The scripts behind ``mim train`` and ``mim test`` take it by
    ``runner_type='cmae_mm.CheckedRunner'``. In all else it is MMEngine's.
    """

    @classmethod
    def from_cfg(cls, cfg: Config) -> 'CheckedRunner':
        """Build the runner.

        Args:
            cfg (Config): See :class:`mmengine.runner.Runner`.

        Returns:
            CheckedRunner: The runner.

        Raises:
            ValueError: If :func:`cmae_mm.guards.check_config` has complaints.
        """
        refuse(check_config(cfg))
        return super().from_cfg(cfg)


@HOOKS.register_module()
class CheckSettingsHook(Hook):
    """Refuses a run that cannot be meant, when it is built but has not started.

    It sees what a config alone does not tell: how many images there are, of which
    classes, on how many processes. What is possible but looks like a mistake is
    logged as a warning.

    Raises:
        ValueError: If there are complaints; all are said at once.
    """

    priority = 'HIGHEST'  # before other hooks open files or load weights

    def before_run(self, runner: Runner) -> None:
        """Check the config, and for a training data and schedule."""
        if not isinstance(runner, CheckedRunner):
            refuse(check_config(runner.cfg))
        names = own_names(runner.cfg)
        if names:
            runner.logger.info(f'Read by the config files alone: {", ".join(names)}.')
        if not isinstance(runner.optim_wrapper, OptimWrapper):
            return  # a test: there is nothing to train
        refuse([*check_batches(runner), *check_labels(runner)])
        for remark in check_schedule(runner):
            runner.logger.warning(remark)
