"""How far something long is."""

import sys
from types import TracebackType

import rich.progress
from rich.console import Console


class Progress:
    """A bar on a terminal; elsewhere a line for every tenth.

    Args:
        label (str): What is being done.
        total (int): When it is done; with 0 nothing is shown.
        unit (str): 'bytes' or 'files'. Defaults to 'bytes'.
    """

    def __init__(self, label: str, total: int, unit: str = 'bytes') -> None:
        self.label = label
        self.total = total
        self.done = 0
        self.bar = None
        if total and sys.stderr.isatty():
            amount = {
                'bytes': rich.progress.DownloadColumn(),
                'files': rich.progress.MofNCompleteColumn(),
            }[unit]
            self.bar = rich.progress.Progress(
                rich.progress.TextColumn('{task.description}', markup=False),
                rich.progress.BarColumn(),
                amount,
                rich.progress.TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self.task = self.bar.add_task(label, total=total)

    def advance(self, amount: int = 1) -> None:
        """Say that this much more is done."""
        before, self.done = self.done, self.done + amount
        if self.bar:
            self.bar.advance(self.task, amount)
        elif self.total and 10 * self.done // self.total > 10 * before // self.total:
            percent = 100 * self.done // self.total
            print(f'{self.label}: {percent} %', file=sys.stderr, flush=True)

    def __enter__(self) -> 'Progress':
        if self.bar:
            self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.bar:
            self.bar.stop()
