import torch
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from cmae_mm.datasets.sampling import EndlessBatchSampler
from cmae_mm.guards.failures import explain_failures
from cmae_mm.guards.workers import with_timeout
from cmae_mm.registry import LOOPS

from .random_state import undisturbed


@LOOPS.register_module()
class EndlessEpochLoop(EpochBasedTrainLoop):
    """Training by epochs without a pause for the data between them.

    The stock loop asks for a new iterator in every epoch: its workers then start
    with empty queues, and the device waits until one of them has put together a
    whole batch. Here one iterator lasts for the whole training, and batches of
    the next epoch are prepared while the last ones of this epoch train. Hooks,
    schedulers and checkpoints see the epochs they know. Resumed in the middle of an
    epoch, it goes on with the next batch, and no image is decoded in vain.

    Args:
        runner (Runner): The runner.
        dataloader (dict | DataLoader): As for the stock loop. A config gets the
            batch sampler that this loop needs; a data loader must have it.
        **kwargs: See :class:`mmengine.runner.EpochBasedTrainLoop`.

    Raises:
        ValueError: If the batches of the data loader end with the epoch.
    """

    def __init__(self, runner: Runner, dataloader: dict | DataLoader, **kwargs) -> None:
        dataloader = with_timeout(dataloader)
        if isinstance(dataloader, dict) and 'batch_sampler' not in dataloader:
            dataloader = {**dataloader}
            dataloader['batch_sampler'] = dict(
                type='cmae_mm.EndlessBatchSampler',
                drop_last=dataloader.pop('drop_last', False),
            )
        super().__init__(runner, dataloader, **kwargs)
        sampler = self.dataloader.batch_sampler
        if not isinstance(sampler, EndlessBatchSampler):
            raise ValueError(
                f'EndlessEpochLoop got a data loader with {type(sampler).__name__}, '
                'whose batches end with the epoch. Leave out batch_sampler, or give '
                "batch_sampler=dict(type='cmae_mm.EndlessBatchSampler')."
            )
        self._batches = None

    def run(self) -> torch.nn.Module:
        """Launch training; workers that die and memory that is full are explained."""
        with explain_failures(self.dataloader):
            return super().run()

    def run_epoch(self) -> None:
        """Train for as many batches as an epoch has, or still has."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        length = len(self.dataloader)
        done = self._iter - self._epoch * length  # 0, unless resumed in the middle
        # After the hook that tells the sampler the epoch. A run that was saved after
        # the last batch of an epoch only ends that epoch here.
        if self._batches is None and done < length:
            self.dataloader.batch_sampler.skip = done
            self._batches = iter(self.dataloader)
        for idx in range(done, length):
            self.run_iter(idx, self._next_batch())
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def _next_batch(self) -> dict:
        """The next batch, drawn apart from the random numbers of the model."""
        if self.dataloader.num_workers:  # they have generators of their own
            return next(self._batches)
        with undisturbed():
            return next(self._batches)
