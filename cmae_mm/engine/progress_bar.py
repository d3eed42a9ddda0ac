"""How far a training is: a line at the bottom of the terminal."""

import atexit
import logging
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column
from rich.text import Text

from cmae_mm.registry import HOOKS

# Steps over which speed and waiting are averaged.
_WINDOW = 20
# Seconds between two drawings.
_PAUSE = 0.2


@HOOKS.register_module()
class ProgressBar(Hook):
    """Shows a bar on a terminal, and nothing elsewhere.

    Beside it: the epoch, the time left, images per second of all processes, the share
    of the time that the model waited for data, and memory (the peak of a GPU's
    tensors; without a GPU, what the process holds). Time left, speed and waiting are
    MMEngine's own measurements. The lines of the log are written above the bar, as
    they always are, and the bar goes when the training ends.

    Only the first process shows it, and only if its standard output is a terminal.
    """

    # After the timer has measured a step and the logger has written its line.
    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._handlers: list[logging.StreamHandler] = []
        self._drawn_at = 0.0

    def before_train(self, runner: Runner) -> None:
        """Put up the bar."""
        self.close()  # of a training that an error has ended
        if not is_main_process() or not sys.stdout.isatty():
            return
        console = Console(file=sys.stdout)
        if console.is_dumb_terminal:
            return
        self._bar = Progress(
            TextColumn('{task.description}'),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            TaskProgressColumn(),
            TextColumn('{task.fields[figures]}'),
            console=console,
            # No thread that draws: workers are forked, and would inherit its locks.
            auto_refresh=False,
            expand=True,
            transient=True,
        )
        self._task = self._bar.add_task('', total=runner.max_iters, figures='')
        # Nobody tells a hook of an error: the cursor must come back all the same.
        atexit.register(self.close)
        self._draw(runner, runner.iter)
        self._bar.start()
        self._lift_the_log(runner.logger)

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Move the bar, a few times per second."""
        if self._bar is None or time.monotonic() - self._drawn_at < _PAUSE:
            return
        self._draw(runner, runner.iter + 1)
        self._bar.refresh()
        self._drawn_at = time.monotonic()

    def after_train(self, runner: Runner) -> None:
        """Take the bar away."""
        self.close()

    def close(self) -> None:
        """Give the terminal back as it was; a second call does nothing."""
        if self._bar is None:
            return
        while self._handlers:
            self._handlers.pop().setStream(self._bar.console.file)
        self._bar.stop()
        self._bar = None
        atexit.unregister(self.close)

    def _draw(self, runner: Runner, done: int) -> None:
        """Take what is shown from the runner, after so many steps."""
        figures = ' · '.join(f for f in describe(runner) if f)
        where = place(runner.train_loop, done)
        self._bar.update(
            self._task, completed=done, description=where, figures=figures
        )

    def _lift_the_log(self, logger: logging.Logger) -> None:
        """Let what the log writes to the terminal pass above the bar."""
        above = _AboveTheBar(self._bar.console)
        for handler in logger.handlers:
            if getattr(handler, 'stream', None) is self._bar.console.file:
                handler.setStream(above)
                self._handlers.append(handler)


class _AboveTheBar:
    """A stream whose lines are printed above the bar, as they are.

    Args:
        console (Console): The one with the bar.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def write(self, text: str) -> None:
        """Write whole lines, as a handler of a log does."""
        line = Text.from_ansi(text.rstrip('\n'))
        # soft_wrap: long lines are broken by the terminal, not by new lines in them.
        self._console.print(line, soft_wrap=True)

    def flush(self) -> None:
        """All is written already."""


def place(loop: BaseLoop, done: int) -> str:
    """Where a training is.

    Args:
        loop (BaseLoop): Its loop.
        done (int): Steps that are done.

    Returns:
        str: Such as 'epoch 3/300', or in a training by iterations 'step 20/400'.
    """
    if not isinstance(loop, EpochBasedTrainLoop):
        return f'step {done}/{loop.max_iters}'
    return f'epoch {min(loop.epoch + 1, loop.max_epochs)}/{loop.max_epochs}'


def describe(runner: Runner) -> list[str]:
    """The figures beside the bar, as far as they are known.

    Args:
        runner (Runner): In training.

    Returns:
        list[str]: Time left, speed, waiting, memory; '' for what is not known.
    """
    hub = runner.message_hub
    left, speed, waiting = '', '', ''
    # Another hook may measure the time, or none.
    if 'train/time' in hub.log_scalars and 'train/data_time' in hub.log_scalars:
        seconds = hub.get_scalar('train/time').mean(_WINDOW)
        images = _images_per_step(runner)
        if images and seconds > 0:
            speed = f'{images / seconds:.3g} images/s'
        if seconds > 0:
            share = hub.get_scalar('train/data_time').mean(_WINDOW) / seconds
            waiting = f'data wait {100 * min(share, 1):.0f} %'
    if 'eta' in hub.runtime_info:
        left = f'{timedelta(seconds=round(hub.get_info("eta")))} left'
    memory = memory_in_use()
    return [left, speed, waiting, f'{memory / 2**30:.2f} GiB' if memory else '']


def memory_in_use() -> int | None:
    """Memory of the training.

    Returns:
        int | None: Bytes. On a GPU the peak of all tensors; else what this process
        holds now, without its workers; where that cannot be read, the peak of it;
        None where that cannot either.
    """
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    try:
        pages = int(Path('/proc/self/statm').read_text().split()[1])
        return pages * os.sysconf('SC_PAGE_SIZE')
    except (OSError, ValueError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == 'darwin' else peak * 1024


def _images_per_step(runner: Runner) -> int | None:
    """Images that all processes take in one step."""
    loader = runner.train_dataloader
    size = getattr(loader.batch_sampler, 'batch_size', None)
    return size and size * runner.world_size
