"""A run that was interrupted goes on as if it had not been."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from cmae_mm.registry import HOOKS

from .random_state import gather_random_states, random_state, set_random_state
from .run_identity import changes, run_identity
from .weights import compare_weights


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Gives a resumed run all that the interrupted one had.

    MMEngine restores weights, optimiser, schedules and logs. This hook adds the
    random generators of every rank, refuses to go on with another data set, batch
    size, seed or number of processes, and demands that the weights fit key by key.
    Validation in between no longer moves the generators of the training.

    Together with ``cmae_mm.EndlessEpochLoop`` and ``cmae_mm.SeededSampler``, N steps,
    a restart and N steps give on the CPU the bits of 2N steps, also in the middle of an
    epoch.

    ``cmae_mm.DurableCheckpointHook`` tells all ranks when a checkpoint is due.

    Args:
        accept_changes (bool): Whether to go on although something differs. The epoch
            then starts again from its first batch. Defaults to False.

    Raises:
        RuntimeError: If the checkpoint is not one of this run.
    """

    # Before the checkpoint hooks save, and before PlainCheckpointHook looks.
    priority = 'VERY_HIGH'

    def __init__(self, accept_changes: bool = False) -> None:
        self.accept_changes = accept_changes
        self._states: list[dict] | None = None
        self._to_restore: list[dict] | None = None
        self._before_val: dict | None = None

    def prepare_checkpoint(self, runner: Runner) -> None:
        """Collect the generators of all ranks; called on all of them."""
        self._states = gather_random_states()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Write down what run this is, and its generators."""
        checkpoint['meta']['run'] = run_identity(runner)
        if self._states is not None:
            checkpoint['random_states'], self._states = self._states, None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Look at a checkpoint to be resumed, before any of it is used."""
        if not runner._resume:  # the only place where MMEngine keeps it
            return
        compare_weights(runner.model, checkpoint['state_dict'])
        meta = checkpoint['meta']
        self._adopt_seed(runner, meta.get('seed'))
        found, here = meta.get('run'), run_identity(runner)
        if found is None:
            runner.logger.warning(
                'The checkpoint does not say on which data and with how many processes '
                'it was trained, so nothing is compared. The random numbers start '
                'anew: the run goes on, but not exactly.'
            )
            return
        differences = changes(found, here)
        if differences and not self.accept_changes:
            raise RuntimeError(
                'The run to be resumed was another one: '
                + '; '.join(differences)
                + '. Restore the old setting, or start anew in another work_dir. To go '
                'on all the same, from the start of the epoch: --cfg-options '
                'default_hooks.resume.accept_changes=True'
            )
        if differences:
            runner.logger.warning(
                'Resumed although ' + '; '.join(differences) + ' (accept_changes): '
                'the epoch starts again, with new random numbers.'
            )
            meta['iter'] = meta['epoch'] * len(runner.train_dataloader)
            return
        self._to_restore = checkpoint.get('random_states')

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Put the generators back, right before the first step that needs them."""
        if self._to_restore is not None:
            set_random_state(self._to_restore[runner.rank])
            self._to_restore = None

    def before_val(self, runner: Runner) -> None:
        """Remember the generators: a resumed run does not validate again."""
        self._before_val = random_state()

    def after_val(self, runner: Runner) -> None:
        """Go on where the training was."""
        if self._before_val is not None:
            set_random_state(self._before_val)
            self._before_val = None

    def _adopt_seed(self, runner: Runner, seed: int | None) -> None:
        """Let the sampler take the seed of the checkpoint where none was chosen."""
        if seed is None or runner.cfg.get('randomness', {}).get('seed') is not None:
            return
        loader = runner.train_dataloader
        for owner in (loader, loader.batch_sampler):
            sampler = getattr(owner, 'sampler', None)
            if hasattr(sampler, 'seed'):
                sampler.seed = seed
