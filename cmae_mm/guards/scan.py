"""Reading every image of a folder before a run does; behind ``cmae scan``."""

import contextlib
import hashlib
import json
import multiprocessing
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2

from cmae_mm.datasets import jpeg
from cmae_mm.datasets.decoder import ImageDecoder, read_file
from cmae_mm.datasets.image_folder import EXTENSIONS, describe_emptiness
from cmae_mm.datasets.refused import Refused
from cmae_mm.preparation.progress import Progress

SUSPECT = 'suspect'
CRASH = 'crash'
_JOB = 32  # images that a worker takes at once


class Record(NamedTuple):
    """What is known of a file."""

    name: str
    """Its path below the folder, with '/'."""
    size: int
    """In bytes; -1 if that cannot be known."""
    changed: int
    """Time of the last change in nanoseconds; -1 if that cannot be known."""
    kind: str = ''
    """Empty for a good image, ``SUSPECT``, or why it is refused in a word or two."""
    reason: str = ''
    """The same in a sentence."""
    format: str = ''
    """What it is, whatever its name says; empty if it is no image."""
    height: int = 0
    """In pixels, as stored."""
    width: int = 0
    """In pixels."""
    digest: str = ''
    """Of the content, 128 bits; empty if it cannot be read."""

    @property
    def refused(self) -> bool:
        """Whether training would leave it out."""
        return self.kind not in ('', SUSPECT)


@dataclass
class Scan:
    """What was found in a folder."""

    folder: Path
    """The folder."""
    records: list[Record]
    """Of all images, sorted by name."""
    others: Counter = field(default_factory=Counter)
    """How many files have another ending, by it."""
    known: int = 0
    """How many were known from an earlier scan."""

    @property
    def refused(self) -> list[Record]:
        """Images that training would leave out."""
        return [record for record in self.records if record.refused]


def scan_folder(folder: Path, state: Path, decoder: ImageDecoder, workers: int) -> Scan:
    """Read and decode every image below a folder that is new or changed.

    Images are found as :class:`cmae_mm.UnlabelledImages` finds them: by their ends, at
    any depth, none that is hidden. Links that lead nowhere, pipes and the like count
    if they have the name of an image.

    Args:
        folder (Path): With images at any depth.
        state (Path): Where to keep what was found, line by line, so that a scan that
            is stopped goes on later. One of another folder, or made by other rules,
            is begun anew.
        decoder (ImageDecoder): That of the run.
        workers (int): Processes, 1 or more.

    Returns:
        Scan: All images, also those known from before.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If there are no images in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f'There is no folder {folder}.')
    images, others = find_images(folder)
    if not images:
        raise ValueError(describe_emptiness(str(folder), others))
    scan = Scan(
        folder, [], Counter(Path(n).suffix.lower() or 'without ending' for n in others)
    )
    with State(state, _rules(folder, decoder)) as kept:
        fresh = []
        for image in images:
            record = kept.records.get(image.name)
            # What was refused may be mended without a change of the file: its
            # permissions, the memory of the machine.
            if record and record[:3] == image[:3] and not record.refused:
                scan.records.append(record)
            else:
                fresh.append(image)
        scan.known = len(scan.records)
        with Progress(f'Scanning {folder.name}', len(fresh), 'files') as progress:
            for records in examine_all(fresh, folder, decoder, workers):
                kept.add(records)
                scan.records += records
                progress.advance(len(records))
    scan.records.sort()
    return scan


def find_images(folder: Path) -> tuple[list[Record], list[str]]:
    """Walk a folder.

    Args:
        folder (Path): Where to look. Links to folders are followed, once each.

    Returns:
        tuple[list[Record], list[str]]: Images by their names, of which only size and
        change are known; names of all other files.
    """
    images, others, folders, seen = [], [], [''], set()
    while folders:
        inside = folders.pop()
        there = os.stat(folder / inside)
        if (there.st_dev, there.st_ino) in seen:
            continue
        seen.add((there.st_dev, there.st_ino))
        for entry in os.scandir(folder / inside):
            name = inside + entry.name
            if entry.name.startswith('.'):
                continue
            if entry.is_dir():
                folders.append(f'{name}/')
            elif entry.name.lower().endswith(EXTENSIONS):
                images.append(Record(name, *_stamp(entry)))
            else:
                others.append(name)
    return images, others


def _stamp(entry: os.DirEntry) -> tuple[int, int]:
    try:
        there = entry.stat()
    except OSError:
        return -1, -1
    return there.st_size, there.st_mtime_ns


def examine(image: Record, folder: Path, decoder: ImageDecoder) -> Record:
    """Read and decode an image.

    Args:
        image (Record): With its name.
        folder (Path): Where it is.
        decoder (ImageDecoder): Says what is refused.

    Returns:
        Record: The same with all that was found.
    """
    try:
        data = read_file(str(folder / image.name))
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        image = image._replace(digest=digest)
        header = decoder.read_header(data)
        image = image._replace(
            format=header.format, height=header.height, width=header.width
        )
        damage = jpeg.find_damage(data) if header.format == 'JPEG' else ''
        if damage is not None:
            decoder.decode(data)
    except Refused as error:
        return image._replace(kind=error.kind, reason=error.reason)
    if damage:
        return image._replace(kind=SUSPECT, reason=f'decoded, but: {damage}')
    return image


def examine_all(
    images: Iterable[Record], folder: Path, decoder: ImageDecoder, workers: int
) -> Iterator[list[Record]]:
    """Examine images in several processes.

    An image upon which a process dies (a decoder crashes, or takes all memory) is
    looked for among those in work, and gets the kind ``CRASH``; the others go on.

    Args:
        images (Iterable[Record]): What to examine.
        folder (Path): Where they are.
        decoder (ImageDecoder): Says what is refused.
        workers (int): Processes, 1 or more.

    Yields:
        list[Record]: Some of them, in any order.
    """
    images = iter(images)
    jobs = iter(lambda: list(islice(images, _JOB)), [])
    for job in jobs:
        lost: list[Record] = []
        with _pool(workers) as pool:
            running = {pool.submit(_examine_job, job, folder, decoder): job}
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    job = running.pop(future)
                    try:
                        yield future.result()
                    except BrokenProcessPool:
                        lost += job
                more = 0 if lost else 2 * workers - len(running)
                for job in islice(jobs, more):
                    try:
                        running[pool.submit(_examine_job, job, folder, decoder)] = job
                    except BrokenProcessPool:
                        lost += job
        for image in lost:
            yield [_examine_alone(image, folder, decoder)]


def _examine_job(
    job: list[Record], folder: Path, decoder: ImageDecoder
) -> list[Record]:
    return [examine(image, folder, decoder) for image in job]


def _examine_alone(image: Record, folder: Path, decoder: ImageDecoder) -> Record:
    """Examine an image in a process of its own, which may die."""
    with _pool(1) as pool:
        try:
            return pool.submit(_examine_job, [image], folder, decoder).result()[0]
        except BrokenProcessPool:
            return image._replace(kind=CRASH, reason='its decoder dies of it')


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that decode, with one thread each."""
    # What is started anew would import the libraries again, for seconds. What is
    # forked waits for ever for threads of OpenCV that only the parent has.
    method = 'fork' if sys.platform == 'linux' else None
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        with ProcessPoolExecutor(
            workers, multiprocessing.get_context(method), initializer=_start_worker
        ) as pool:
            yield pool
    finally:
        cv2.setNumThreads(threads)


def _start_worker() -> None:
    """No word from decoders, which tell of every bad file."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops them
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stderr__.fileno())


def _rules(folder: Path, decoder: ImageDecoder) -> dict:
    """What a finding depends on, beside the file."""
    return dict(
        folder=str(folder.resolve()),
        max_pixels=decoder.max_pixels,
        value_range=decoder.value_range and list(decoder.value_range),
        decoders=[cv2.__version__, getattr(jpeg.simplejpeg, '__version__', None)],
    )


class State:
    """What was found so far, a line of JSON for each file; later lines hold.

    Args:
        file (Path): The first line holds the rules, others are records. A line that
            was cut off by the end of a scan does not count.
        rules (dict): If the file was made by others, it is begun anew.
    """

    def __init__(self, file: Path, rules: dict) -> None:
        self.records: dict[str, Record] = {}
        file.parent.mkdir(parents=True, exist_ok=True)
        if not self._load(file, rules):
            file.write_text(json.dumps(rules) + '\n')
        self.file = file.open('a')
        self.file.write('\n')  # ends what was cut off

    def _load(self, file: Path, rules: dict) -> bool:
        """Read what is there; whether it was made by these rules."""
        if not file.exists():
            return False
        with file.open() as lines:
            if next(lines, '') != json.dumps(rules) + '\n':
                return False
            for line in lines:
                with contextlib.suppress(ValueError):  # cut off
                    record = Record(*json.loads(line))
                    self.records[record.name] = record
        return True

    def add(self, records: list[Record]) -> None:
        """Keep some more."""
        self.file.writelines(json.dumps(record) + '\n' for record in records)
        self.file.flush()

    def __enter__(self) -> 'State':
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()
