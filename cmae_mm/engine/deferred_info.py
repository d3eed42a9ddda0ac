import torch
from mmengine.hooks import CheckpointHook, LoggerHook, RuntimeInfoHook
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner

from cmae_mm.registry import HOOKS


@HOOKS.register_module()
class DeferredRuntimeInfoHook(RuntimeInfoHook):
    """Reads the losses from the device only when somebody wants them.

    MMEngine's hook reads every number of every step, and each read waits until the
    GPU has finished the step. Here the numbers wait on the device and are read at
    once, right before they are logged or saved: the history holds the same
    numbers.

    To replace the stock hook:
    ``default_hooks=dict(runtime_info=dict(type='cmae_mm.DeferredRuntimeInfoHook'))``.

    Args:
        history (int): Steps that the history keeps of each number. MMEngine keeps a
            million, and copies all of them at every step. Defaults to 10000.
    """

    def __init__(self, history: int = 10000) -> None:
        self.history = history

    def before_train(self, runner: Runner) -> None:
        """Find out how often numbers are wanted."""
        super().before_train(runner)
        self.waiting: list[dict[str, torch.Tensor | float]] = []
        self.intervals = {
            hook.interval
            for hook in runner.hooks
            if isinstance(hook, LoggerHook)
            # MMEngine's own, which does not tell when it saves.
            or (isinstance(hook, CheckpointHook) and not hook.by_epoch)
        }

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Keep the numbers of this step; hand all over if it is time."""
        if outputs is not None:
            # Detached: a loss that waits must not keep the graph of its step alive.
            self.waiting.append(
                {
                    name: value.detach() if isinstance(value, torch.Tensor) else value
                    for name, value in outputs.items()
                }
            )
        wanted = any(
            self.every_n_inner_iters(batch_idx, n)
            or self.every_n_train_iters(runner, n)
            for n in self.intervals
        )
        if (
            wanted
            or self.end_of_epoch(runner.train_dataloader, batch_idx)
            or self.is_last_train_iter(runner)
        ):
            self.hand_over(runner)

    def prepare_checkpoint(self, runner: Runner) -> None:
        """A checkpoint is due: its history must be complete."""
        self.hand_over(runner)

    def hand_over(self, runner: Runner) -> None:
        """Write the waiting numbers into the history, in one read of the device."""
        numbers = [item for outputs in self.waiting for item in outputs.items()]
        self.waiting = []
        if not numbers:
            return
        tensors = [torch.as_tensor(value).float().mean() for _, value in numbers]
        device = next((t.device for t in tensors if t.is_cuda), tensors[0].device)
        values = torch.stack([t.to(device) for t in tensors]).tolist()
        for (name, _), value in zip(numbers, values, strict=True):
            runner.message_hub.update_scalar(f'train/{name}', value)
        self.shorten(runner.message_hub.log_scalars)

    def shorten(self, histories: dict[str, HistoryBuffer]) -> None:
        """Let no history grow beyond its length."""
        for name, buffer in histories.items():
            if buffer.max_length > self.history:
                values, counts = (part[-self.history :] for part in buffer.data)
                histories[name] = HistoryBuffer(values, counts, self.history)
