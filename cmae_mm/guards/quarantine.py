"""What happens to images that cannot be read while a run goes on."""

import contextlib
import csv
import io
import math
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset, Compose
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from cmae_mm.datasets.refused import Refused, printable
from cmae_mm.datasets.sampling import SampleIndex
from cmae_mm.registry import HOOKS

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

COLUMNS = ('path', 'kind', 'reason', 'bytes', 'time', 'epoch', 'stand_in')
_NAMED_AT_ONCE = 5  # lines in the log


class TooManyBadImages(RuntimeError):
    """More images were refused than the run allows."""


@HOOKS.register_module()
class QuarantineHook(Hook):
    """Goes on without images that cannot be read, says so, and stops at a limit.

    A refused image (:class:`cmae_mm.datasets.refused.Refused`) gets a line in
    ``quarantine.csv`` in the run's folder, and another image of the same data set
    stands in for it, named in the same line. So batches are always full, as InfoNCE
    across processes needs them. Which one follows from (seed, epoch, index of the
    refused image) alone with :class:`cmae_mm.SeededSampler`, otherwise from the index;
    with the former it is also cropped and coloured as the refused one would have been.

    The limit counts different paths, since this start of the run, in all processes
    that write into the same file: a few unreadable files are usual, many mean that
    the storage or the preparation is broken, and the run is no longer what it says.

    It guards the data sets of the training data loader, before workers start; the
    iteration-based loop of MMEngine starts them earlier, so there a refused image
    stops the run.

    Args:
        max_bad (int | float): How many images may be refused; a float in [0, 1) is a
            share of the data set, rounded up. Defaults to 0.001, one in a thousand.
        interval (int): Iterations between two looks at the file for the log.
            Defaults to 50.

    Raises:
        ValueError: If ``max_bad`` is out of range.
        TooManyBadImages: During training, if there are more; raised in the worker.
    """

    def __init__(self, max_bad: int | float = 0.001, interval: int = 50) -> None:
        if max_bad < 0 or (isinstance(max_bad, float) and max_bad >= 1):
            raise ValueError(
                f'max_bad={max_bad!r}; it takes a number of images (0, 1, 2, ...) or a '
                'share of them as a float from 0.0 up to, not including, 1.0.'
            )
        self.max_bad = max_bad
        self.interval = interval

    def before_train(self, runner: Runner) -> None:
        """Put the guard around the pipeline of every data set."""
        datasets = list(_leaves(runner.train_dataloader.dataset))
        total = sum(map(len, datasets))
        share = isinstance(self.max_bad, float)
        limit = math.ceil(self.max_bad * total) if share else self.max_bad
        self.book = Quarantine(Path(runner.work_dir) / 'quarantine.csv', limit, total)
        self.told: set[str] = set()
        for dataset in datasets:
            dataset.pipeline = GuardedPipeline(dataset, self.book)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Tell the log now and then."""
        if self.every_n_train_iters(runner, self.interval):
            self._tell(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Tell the log what came since."""
        self._tell(runner)

    @master_only
    def _tell(self, runner: Runner) -> None:
        """Name images in the log that were not named yet."""
        rows = {row['path']: row for row in self.book.rows()}
        news = [row for path, row in rows.items() if path not in self.told]
        for row in news[:_NAMED_AT_ONCE]:
            runner.logger.warning(
                f'{printable(row["path"])} is left out: {row["reason"]}. In its place '
                f'came {printable(row["stand_in"])}.'
            )
        if news:
            runner.logger.warning(
                f'{len(rows)} images left out so far; the run stops beyond '
                f'{self.book.limit}. All of them: {self.book.file}'
            )
        self.told.update(rows)


class GuardedPipeline(Compose):
    """A pipeline that takes another image when one is refused, and writes it down.

    Args:
        dataset (BaseDataset): With the pipeline to guard; gives the stand-ins.
        book (Quarantine): Where to write.
    """

    def __init__(self, dataset: BaseDataset, book: 'Quarantine') -> None:
        super().__init__(dataset.pipeline.transforms)
        self.dataset = dataset
        self.book = book

    def __call__(self, data: dict) -> dict:
        """Send a sample through, or its stand-in.

        Args:
            data (dict): From ``dataset.get_data_info``.

        Returns:
            dict: What the last step returns.

        Raises:
            TooManyBadImages: If the limit is passed, or no stand-in can be read.
            RuntimeError: If a step returns None: MMEngine would then swap in a random
                image and tell nobody.
        """
        try:
            return self._run(data)
        except Refused as error:
            return self._replace(data, error)

    def _run(self, data: dict) -> dict:
        """Do all steps."""
        path = data['img_path']
        out = super().__call__(data)
        if out is None:
            raise RuntimeError(
                f'A step of the pipeline returned nothing for {path}. To leave an '
                'image out, raise cmae_mm.datasets.refused.Refused.'
            )
        return out

    def _replace(self, data: dict, error: Refused) -> dict:
        """Go through the data set in random order until one can be read."""
        index = data['sample_idx']
        draw = getattr(index, 'draw', None)
        path = data['img_path']
        order = np.random.default_rng(draw or index).permutation(len(self.dataset))
        for other in map(int, order):
            if other == index:
                continue
            stand_in = self.dataset.get_data_info(
                other if draw is None else SampleIndex(other, draw)
            )
            # Now, since the steps may change what they are given.
            next_path = stand_in['img_path']
            self.book.add(path, error, next_path, epoch=draw[1] + 1 if draw else None)
            try:
                return self._run(stand_in)
            except Refused as refusal:
                path, error = next_path, refusal
        raise TooManyBadImages(
            f'None of the {len(order)} images of a data set can be read, the last one '
            f'{printable(path)}: {error.reason}. {self.book.way_out()}'
        )


class Quarantine:
    """The file that names refused images, for all processes of a run.

    A line is one write in append mode, under a lock where the file system has locks,
    so lines of several workers do not mix. Each process writes first and counts then:
    the limit holds up to the images that are being refused at that very moment, one
    per worker at most.

    Args:
        file (Path): CSV with the columns :data:`COLUMNS`, in UTF-8; names that are no
            UTF-8 keep their bytes. Lines of earlier runs stay, and do not count.
        limit (int): How many different paths it may name.
        total (int): How many images there are, for the message.
    """

    def __init__(self, file: Path, limit: int, total: int) -> None:
        self.file = file
        self.limit = limit
        self.total = total
        self.start = file.stat().st_size if file.exists() else 0

    def add(self, path: str, error: Refused, stand_in: str, epoch: int | None) -> None:
        """Write an image down.

        Args:
            path (str): The refused image.
            error (Refused): Why.
            stand_in (str): What comes in its place.
            epoch (int, optional): As in the log, from 1.

        Raises:
            TooManyBadImages: If there are now more than the limit.
        """
        try:
            size = os.path.getsize(path)
        except OSError:
            size = None
        now = datetime.now().astimezone().isoformat(timespec='seconds')
        row = (path, error.kind, error.reason, size, now, epoch, stand_in)
        with self.file.open('ab', buffering=0) as file, _locked(file):
            new = os.fstat(file.fileno()).st_size == 0
            rows = [COLUMNS, row] if new else [row]
            file.write(_to_csv(rows))
        count = len({row['path'] for row in self.rows()})
        if count > self.limit:
            raise TooManyBadImages(
                f'{count} of {self.total} images could not be read, more than '
                f'max_bad allows ({self.limit}). The last one: {printable(path)}: '
                f'{error.reason}. {self.way_out()}'
            )

    def rows(self) -> list[dict[str, str]]:
        """What was written since this object was made, as (column, text)."""
        if not self.file.exists():
            return []
        with self.file.open('rb') as file:
            file.seek(self.start)
            text = file.read().decode('utf-8', 'surrogateescape')
        table = csv.reader(io.StringIO(text, newline=''))
        rows = [dict(zip(COLUMNS, row, strict=False)) for row in table]
        return [row for row in rows if row['path'] != COLUMNS[0]]

    def way_out(self) -> str:
        """What to do about it."""
        return (
            f'All of them are in {self.file}. Look at the folder with `cmae scan`; if '
            'its storage is well, remove these files, or allow more: '
            '--cfg-options default_hooks.quarantine.max_bad=<number>'
        )


def _to_csv(rows: list[tuple]) -> bytes:
    """Lines of CSV; what is None stays empty."""
    text = io.StringIO(newline='')
    csv.writer(text, lineterminator='\n').writerows(rows)
    return text.getvalue().encode('utf-8', 'surrogateescape')


@contextlib.contextmanager
def _locked(file: io.FileIO) -> Iterator[None]:
    """Hold the lock of a file; some network file systems have none."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
    yield  # closing the file lets go


def _leaves(dataset: object) -> Iterator[BaseDataset]:
    """The data sets that read files, below those that repeat or join them."""
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    if inner != [None]:
        for part in inner:
            yield from _leaves(part)
    elif isinstance(dataset, BaseDataset):
        yield dataset
