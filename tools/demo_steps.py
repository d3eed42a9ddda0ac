"""Runs of the demo: one process each, its progress read from its log."""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

MODULES = {'mmpretrain': 'mmpretrain', 'mmsegmentation': 'mmseg', 'mmdet': 'mmdet'}
# 'Epoch(train) [3][50/125]' and 'Iter(train) [ 50/700]' of mmengine's log.
PLACE = re.compile(r'(Epoch|Iter)\((\w+)\)\s+(?:\[\s*(\d+)\])?\[\s*(\d+)/(\d+)\]')


@dataclass
class Step:
    """One run of a library's own train or test script.

    Args:
        name (str): For the progress bar.
        library (str): 'mmpretrain', 'mmsegmentation' or 'mmdet'.
        action (str): 'train' or 'test'.
        config (Path): The config file.
        work_dir (Path): Where logs and checkpoints go.
        seconds (float): What it is expected to take, for the ETA.
        checkpoint (Path, optional): What to test.
        options (list[str]): ``--cfg-options``.
    """

    name: str
    library: str
    action: str
    config: Path
    work_dir: Path
    seconds: float
    checkpoint: Path | None = None
    options: list[str] = field(default_factory=list)

    def arguments(self) -> list[str]:
        """Arguments of the library's script."""
        given = [str(self.config)]
        if self.checkpoint:
            given.append(str(self.checkpoint))
        given += ['--work-dir', str(self.work_dir)]
        return given + (['--cfg-options', *self.options] if self.options else [])

    def mim_command(self) -> str:
        """The `mim` command that does the same."""
        given = [os.path.relpath(self.config)]
        given += ['--checkpoint', str(self.checkpoint)] if self.checkpoint else []
        given += ['--work-dir', str(self.work_dir)]
        given += ['--cfg-options', *self.options] if self.options else []
        return ' '.join(['mim', self.action, self.library, *given])

    def run(self, progress: 'Progress') -> None:
        """Run it, and tell the progress bar where it is.

        Raises:
            SystemExit: If the run failed; the end of its log is shown.
        """
        # The script that `mim train` and `mim test` start, too.
        package = Path(find_spec(MODULES[self.library]).origin).parent
        script = package / f'.mim/tools/{self.action}.py'
        self.work_dir.mkdir(parents=True, exist_ok=True)
        log = self.work_dir / 'demo.log'
        with open(log, 'w') as file:
            process = subprocess.Popen(
                [sys.executable, '-W', 'ignore', script, *self.arguments()],
                stdout=file,
                stderr=subprocess.STDOUT,
            )
            try:
                while process.poll() is None:
                    time.sleep(0.5)
                    progress.update(self, _share_done(log))
            finally:
                process.kill()
        if process.returncode:
            tail = ''.join(log.read_text().splitlines(keepends=True)[-15:])
            raise SystemExit(f'{self.name} failed; the end of {log}:\n{tail}')
        progress.finish(self)


def _share_done(log: Path) -> float:
    """How much of a run its log has reached, in [0, 1]."""
    text = log.read_text(errors='replace')
    places = [match for match in PLACE.finditer(text) if match.group(2) == 'train']
    if not places:
        return 0.0
    kind, _, epoch, step, of = places[-1].groups()
    if kind == 'Iter':
        return int(step) / int(of)
    epochs = re.search(r'max_epochs=(\d+)', text)
    total = int(epochs.group(1)) if epochs else 1
    return (int(epoch) - 1 + int(step) / int(of)) / total


class Progress:
    """A bar with an ETA on a terminal, a line per step elsewhere.

    Args:
        steps (list[Step]): All steps; their expected seconds weigh the bar.
    """

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps
        self.total = sum(step.seconds for step in steps)
        self.done = 0.0
        self.bar = None
        self.started = self.step_started = time.time()

    def __enter__(self) -> 'Progress':
        if sys.stdout.isatty():
            from rich import progress as rich_progress

            self.bar = rich_progress.Progress(
                rich_progress.TextColumn('{task.description:18}'),
                rich_progress.BarColumn(),
                rich_progress.TaskProgressColumn(),
                rich_progress.TimeElapsedColumn(),
                rich_progress.TextColumn('ETA {task.fields[eta]}'),
            )
            self.bar.start()
            self.task = self.bar.add_task('start', total=self.total, eta='?')
        return self

    def __exit__(self, *error) -> None:
        if self.bar:
            self.bar.stop()

    def update(self, step: Step, share: float) -> None:
        """Show that ``share`` in [0, 1] of a step is done."""
        if self.bar:
            reached = self.done + share * step.seconds
            self.bar.update(
                self.task,
                completed=reached,
                description=step.name,
                eta=self._eta(reached),
            )

    def finish(self, step: Step) -> None:
        """Show that a step is done."""
        self.done += step.seconds
        took = time.time() - self.step_started
        self.step_started = time.time()
        line = f'{step.name:16} {took:5.0f} s   ETA {self._eta(self.done)}'
        if self.bar:
            self.bar.console.print(line)
        else:
            print(line, flush=True)

    def _eta(self, reached: float) -> str:
        """Time left, from the pace so far and the expected seconds."""
        elapsed = time.time() - self.started
        pace = elapsed / reached if reached > 0.05 * self.total else 1.0
        left = round((self.total - reached) * pace)
        return f'{left // 60}:{left % 60:02d}'


def read_scalars(work_dir: Path) -> dict[str, dict[str, list[float]]]:
    """Read what mmengine's local visualiser has recorded of the last run.

    Args:
        work_dir (Path): Of the run.

    Returns:
        dict: By name the steps ``x`` and values ``y``; of a test, only the
        results.
    """
    files = sorted(work_dir.glob('*/vis_data/scalars.json')) or sorted(
        work_dir.glob('*/*.json')
    )
    if not files:
        raise FileNotFoundError(f'{work_dir} holds no record of a run.')
    record: dict[str, dict[str, list[float]]] = {}
    for line in files[-1].read_text().splitlines():
        values = json.loads(line)
        for name, value in values.items():
            if isinstance(value, (int, float)) and name != 'step':
                entry = record.setdefault(name, dict(x=[], y=[]))
                entry['x'].append(values.get('step', 0))
                entry['y'].append(value)
    return record


def last_scalar(work_dir: Path, name: str) -> float:
    """The last recorded value of a name, see :func:`read_scalars`."""
    record = read_scalars(work_dir)
    if name not in record:
        raise KeyError(f'{work_dir} has no {name}; it has {", ".join(record)}.')
    return float(record[name]['y'][-1])
