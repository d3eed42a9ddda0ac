"""What a run has left in its folder: numbers, pictures, its config and its log.

MMEngine opens a folder named after the time for every start, so a training that was
resumed has several: its *parts*.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from .probed import read_probe

MONITOR = 'monitor_'  # begins the names of the pictures of the monitor hook
_PICTURE = re.compile(r'(.+)_(\d+)\.png')
_STAMP = '%Y%m%d_%H%M%S'
_LOG_TIME = re.compile(r'^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d', re.MULTILINE)
_LOG_FORMAT = '%Y/%m/%d %H:%M:%S'
_LOG_END = 2**16  # bytes that are read of either end of a log
# How long things took, which lines of a validation tell as well as those of training.
_COST = ('time', 'data_time', 'memory')


@dataclass
class Series:
    """A number over the training.

    Args:
        steps (list[int]): Rising.
        values (list[float]): Of the same length; nan and inf are kept.
        unit (str): What the steps count, 'iteration' or 'epoch'.
    """

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    unit: str = 'iteration'


@dataclass
class Part:
    """What lies in the folder of one start.

    Args:
        folder (Path): Named after the time of the start.
        training (list[dict]): Records of training steps, each with ``iter``.
        other (list[dict]): Records of validations and hooks, each with ``step``.
        results (dict[str, float]): Of a test.
        damaged (int): Lines that could not be read.
    """

    folder: Path
    training: list[dict] = field(default_factory=list)
    other: list[dict] = field(default_factory=list)
    results: dict[str, float] = field(default_factory=dict)
    damaged: int = 0

    @property
    def log(self) -> Path:
        """The text that MMEngine wrote."""
        return self.folder / f'{self.folder.name}.log'

    @property
    def start(self) -> datetime | None:
        """When it was started, or None if the name of the folder is no time."""
        try:
            return datetime.strptime(self.folder.name, _STAMP)
        except ValueError:
            return None

    @property
    def end(self) -> datetime | None:
        """The time of the last line of its log, or None without a log."""
        times = _LOG_TIME.findall(read_ends(self.log)[1])
        return datetime.strptime(times[-1], _LOG_FORMAT) if times else None


@dataclass
class Run:
    """A training, or a test, with everything it recorded.

    Args:
        folder (Path): Its ``work_dir``.
        parts (list[Part]): Of this training, in the order of time.
        series (dict[str, Series]): Numbers by name.
        results (dict[str, float]): Of the last test, by name.
        pictures (dict[str, dict[int, Path]]): Files by name and step.
        config (Path | None): Its settings in full.
        notes (list[str]): What was left out, a sentence each.
    """

    folder: Path
    parts: list[Part]
    series: dict[str, Series]
    results: dict[str, float]
    pictures: dict[str, dict[int, Path]]
    config: Path | None
    notes: list[str]

    @property
    def name(self) -> str:
        """That of the config file, or of the folder if the file has none of its own."""
        own = _newest(self.folder.glob('*.py'))
        named = own is not None and own.stem != 'config'  # as cmae pretrain writes it
        return own.stem if named else self.folder.resolve().name

    def last(self, name: str) -> float | None:
        """The last value of a number, or None if there is none."""
        if name in self.results:
            return self.results[name]
        series = self.series.get(name)
        return series.values[-1] if series else None


def read_run(folder: str | Path) -> Run:
    """Read what a run has recorded, merged over all its starts.

    A part that was resumed replaces what earlier parts recorded from its own first
    step on. A part that begins at the beginning is a training of its own; what came
    before it in the same folder is left out, and named.

    Args:
        folder (str | Path): The ``work_dir`` of a run of any library of OpenMMLab.

    Returns:
        Run: The newest training, and the results of tests in the same folder.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no record of a run.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(
            f'There is no folder {folder} (looked in {Path.cwd()}). Name the work_dir '
            'of a run.'
        )
    parts = [_read_part(child) for child in _starts(folder)]
    if not parts:
        raise ValueError(_describe_no_run(folder))
    notes = [
        f'{part.damaged} damaged lines in {part.folder.name} are left out.'
        for part in parts
        if part.damaged
    ]
    results = {name: v for part in parts for name, v in part.results.items()}
    parts, earlier = _newest_training(parts)
    if earlier:
        names = ', '.join(part.folder.name for part in earlier)
        notes.append(
            f'This folder also holds an earlier training, which is not shown: {names}.'
        )
    configs = [part.folder / 'vis_data' / 'config.py' for part in reversed(parts)]
    config = next((file for file in configs if file.is_file()), None)
    return Run(
        folder=folder,
        parts=parts,
        series=_merge(parts),
        results=results,
        pictures=_pictures(parts),
        config=config or _newest(folder.glob('*.py')),
        notes=notes,
    )


def _starts(folder: Path) -> list[Path]:
    """Folders of starts in the order of time; their names are times."""
    children = sorted(folder.iterdir()) if folder.is_dir() else []
    return [
        child
        for child in children
        if (child / 'vis_data').is_dir()
        or (child / f'{child.name}.log').is_file()
        or (child / f'{child.name}.json').is_file()
    ]


def _describe_no_run(folder: Path) -> str:
    """Say what is there instead of a run."""
    if not folder.is_dir():
        return f'{folder} is a file. Name the folder that a run wrote to, its work_dir.'
    children = sorted(folder.iterdir())
    if not children:
        return f'{folder} is empty. Name the folder that a run wrote to, its work_dir.'
    if read_probe(folder):
        return (
            f'{folder} is no run, but holds what cmae probe found. Name the run that '
            f'was probed, and this folder behind --compare.'
        )
    runs = [child.name for child in children if child.is_dir() and _starts(child)]
    if runs:
        more = ', ...' if len(runs) > 8 else ''
        return (
            f'{folder} is not a run, but holds {len(runs)}: '
            f'{", ".join(runs[:8])}{more}. Name one, such as {folder / runs[0]}.'
        )
    return (
        f'{folder} is not a run: it has no folder such as 20260131_120000 with '
        'vis_data/scalars.json. Name the folder that a run wrote to, its work_dir.'
    )


def _read_part(folder: Path) -> Part:
    """Read the records of one start."""
    part = Part(folder)
    for record in _json_lines(folder / 'vis_data' / 'scalars.json', part):
        if 'iter' in record:
            part.training.append(record)
        elif 'step' in record:
            part.other.append(record)
    for record in _json_lines(folder / f'{folder.name}.json', part):
        part.results.update(
            (name, value)
            for name, value in _numbers(record)
            if name not in (*_COST, 'step')
        )
    return part


def _json_lines(file: Path, part: Part) -> Iterable[dict]:
    """The records of a file; damaged lines are counted in ``part``."""
    if not file.is_file():
        return
    for line in file.read_text(encoding='utf-8', errors='replace').splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            record = None
        if isinstance(record, dict):
            yield record
        elif line.strip():
            part.damaged += 1


def _numbers(record: dict) -> list[tuple[str, float]]:
    """Names and values of a record that are numbers."""
    return [
        (name, float(value))
        for name, value in record.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    ]


def _newest_training(parts: list[Part]) -> tuple[list[Part], list[Part]]:
    """The parts of the newest training, and those of other ones before it."""
    trained = [part for part in parts if part.training]
    if not trained:
        return parts, []
    begin = 0
    for i in range(1, len(trained)):
        if _first(trained[i]) <= _first(trained[begin]):
            begin = i
    return trained[begin:], trained[:begin]


def _first(part: Part) -> int:
    """The iteration of the first record of a training."""
    return int(part.training[0]['iter'])


def _merge(parts: list[Part]) -> dict[str, Series]:
    """Numbers by name; later parts replace earlier ones from their first step on."""
    merged: dict[str, dict[int, float]] = {}
    epochs = [int(r['epoch']) for p in parts for r in p.training if 'epoch' in r]
    by_iteration: set[str] = set()
    for part in parts:
        found: dict[str, dict[int, float]] = {}
        for record in part.training:
            for name, value in _numbers(record):
                if name not in ('iter', 'step', 'epoch'):
                    found.setdefault(name, {})[int(record['iter'])] = value
                    by_iteration.add(name)
        for record in part.other:
            for name, value in _numbers(record):
                if name not in (*_COST, 'step'):
                    found.setdefault(name, {})[int(record['step'])] = value
        for name, points in found.items():
            merged[name] = _continue(merged.get(name, {}), points)
    return {
        name: Series(
            steps=sorted(points),
            values=[points[step] for step in sorted(points)],
            # A validation counts epochs in a training by epochs.
            unit='iteration'
            if name in by_iteration or max(points) > max(epochs, default=0)
            else 'epoch',
        )
        for name, points in merged.items()
    }


def _continue(before: dict, after: dict) -> dict:
    """What is by step, replaced from the first step of ``after`` on."""
    return {k: v for k, v in before.items() if k < min(after)} | after


def _pictures(parts: list[Part]) -> dict[str, dict[int, Path]]:
    """Files of the visualiser by name and step."""
    merged: dict[str, dict[int, Path]] = {}
    for part in parts:
        found: dict[str, dict[int, Path]] = {}
        for file in sorted((part.folder / 'vis_data' / 'vis_image').glob('*.png')):
            if match := _PICTURE.fullmatch(file.name):
                found.setdefault(match[1], {})[int(match[2])] = file
        for name, files in found.items():
            merged[name] = _continue(merged.get(name, {}), files)
    return {
        name: dict(sorted(files.items()))
        for name, files in sorted(merged.items(), key=lambda item: _natural(item[0]))
    }


def _natural(name: str) -> list:
    """A key that sorts view_10 after view_9."""
    return [int(s) if s.isdigit() else s for s in re.split(r'(\d+)', name)]


def _newest(files: Iterable[Path]) -> Path | None:
    """The file that was changed last."""
    return max(files, key=lambda file: file.stat().st_mtime, default=None)


def read_ends(file: Path) -> tuple[str, str]:
    """The beginning and the end of a text file; empty ones if there is none."""
    if not file.is_file():
        return '', ''
    with open(file, 'rb') as stream:
        head = stream.read(_LOG_END)
        stream.seek(max(0, file.stat().st_size - _LOG_END))
        tail = stream.read()
    return head.decode('utf-8', 'replace'), tail.decode('utf-8', 'replace')
