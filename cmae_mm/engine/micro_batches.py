"""A batch too large for the memory, part by part, with the exact contrastive loss."""

import torch
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.distributed.fsdp import FullyShardedDataParallel

from cmae_mm.registry import LOOPS

from .endless_loop import EndlessEpochLoop


@LOOPS.register_module()
class MicroBatchTrainLoop(EndlessEpochLoop):
    """Trains on each batch in equal parts, as if it were computed at once.

    Plain gradient accumulation would show every part only its own negatives.
    Here the target projections of the whole batch come first, which carry no
    gradient and so little memory, and each part of the online branch is
    contrasted with all of them: InfoNCE over 4096 images is exact on one GPU. The
    gradients are those of the large batch, except that BatchNorm in projector and
    predictor takes its statistics from one part.

    Args:
        runner (Runner): The runner.
        dataloader (DataLoader or dict): Its batch size is that of the whole batch on
            this rank.
        micro_batches (int): Number of parts, 2 or more; divides the batch size.
        **kwargs: See :class:`EndlessEpochLoop`.

    Raises:
        ValueError: If the batch size is not a multiple of ``micro_batches``, or a
            short last batch may come.
    """

    def __init__(
        self, runner: Runner, dataloader, micro_batches: int, **kwargs
    ) -> None:
        super().__init__(runner, dataloader, **kwargs)
        batches = self.dataloader.batch_sampler
        batch_size = batches.batch_size
        if micro_batches < 2 or batch_size % micro_batches:
            raise ValueError(
                f'micro_batches={micro_batches} does not cut a batch of {batch_size} '
                'into two or more equal parts.'
            )
        if not batches.drop_last:
            raise ValueError(
                'Micro-batches need whole batches: set drop_last=True in '
                'train_dataloader.'
            )
        self.micro_batches = micro_batches
        # The wrapper is still a config here; it steps once per whole batch.
        runner.optim_wrapper['accumulative_counts'] = micro_batches

    def run(self) -> torch.nn.Module:
        """Launch training.

        Raises:
            ValueError: If the model is sharded.
        """
        if isinstance(self.runner.model, FullyShardedDataParallel):
            raise ValueError(
                'Micro-batches ask the target before the model runs, when a sharded '
                'model (FSDP) has not gathered its parameters. Take a config without '
                'strategy and runner_type.'
            )
        self.runner.optim_wrapper.initialize_count_status(
            self.runner.model,
            self.iter * self.micro_batches,
            self.max_iters * self.micro_batches,
        )
        return super().run()

    def run_iter(self, idx: int, data_batch: dict) -> None:
        """One optimiser step on a whole batch.

        Args:
            idx (int): Number of the batch in the epoch.
            data_batch (dict): ``inputs``, two views (B, channels, H, W) each, or
                for MAE one, and
                ``data_samples``, a list of B.
        """
        runner = self.runner
        runner.call_hook('before_train_iter', batch_idx=idx, data_batch=data_batch)
        parts = split_batch(data_batch, self.micro_batches)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if model.contrastive_weight:
            with runner.optim_wrapper.optim_context(runner.model):
                ready = (model.data_preprocessor(part, training=True) for part in parts)
                model.hold_keys([part['inputs'][1] for part in ready])
        outputs = [
            runner.model.train_step(part, optim_wrapper=runner.optim_wrapper)
            for part in parts
        ]
        means = {
            name: torch.stack([output[name].detach() for output in outputs]).mean()
            for name in outputs[0]
        }
        runner.call_hook(
            'after_train_iter', batch_idx=idx, data_batch=data_batch, outputs=means
        )
        self._iter += 1


def split_batch(data_batch: dict, parts: int) -> list[dict]:
    """Cut the views (or the only view) and the data samples into equal parts."""
    inputs = data_batch['inputs']
    single = isinstance(inputs, torch.Tensor)
    views = [view.chunk(parts) for view in ([inputs] if single else inputs)]
    samples = data_batch['data_samples']
    size = len(samples) // parts
    return [
        dict(
            inputs=views[0][i] if single else [chunks[i] for chunks in views],
            data_samples=samples[i * size : (i + 1) * size],
        )
        for i in range(parts)
    ]
