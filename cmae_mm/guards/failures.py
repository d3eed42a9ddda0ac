from collections.abc import Iterator
from contextlib import contextmanager

from torch.utils.data import DataLoader

from .devices import explain_memory_failure
from .worker_failures import explain_worker_failure


@contextmanager
def explain_failures(dataloader: DataLoader) -> Iterator[None]:
    """Explain what the machine does to a training: workers, /dev/shm, GPU memory.

    Args:
        dataloader (DataLoader): That of the training, for its settings.

    Raises:
        RuntimeError: In place of an error whose cause is known, with the ways out; the
            error itself is its ``__cause__``. All others pass unchanged.
    """
    try:
        yield
    except Exception as error:
        advice = explain_memory_failure(error) or explain_worker_failure(
            error, dataloader
        )
        if advice is None:
            raise
        raise RuntimeError(
            f'{advice} Nothing that was saved is lost: the same command with --resume '
            'goes on from the last checkpoint.'
        ) from error
