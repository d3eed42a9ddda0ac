"""Writes the measured tables of docs/benchmarks.md.

    python tools/benchmark_tables.py [--check]

Between `<!-- NAME -->` and `<!-- /NAME -->` of the page comes what
docs/benchmarks/NAME.json holds, the file that `--json` of tools/benchmark.py has
written. A word of NAME says what it is: `step`, `ablate`, `e2e`, `loop` or `data`.
Where there is no file yet, the page says so. `--check` writes nothing, and fails if the
page is not what the files say.
"""

import json
import re
import sys
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tools'))

from benchmark_ablate import CHANGES  # noqa: E402

PAGE = ROOT / 'docs/benchmarks.md'
MARKED = re.compile(r'(<!-- ([\w-]+) -->\n).*?(<!-- /\2 -->)', re.DOTALL)
MISSING = 'not measured yet'
# Who trains, and what was thought to come before anybody measured, on one H200 with 8
# workers unless said.
RUNS = {
    'default': ('the config as it is', '-'),
    'released': (
        "the authors' released code",
        'the first row 2.7 to 3.0 times as fast',
    ),
    'reference': ('reference pipeline, stock loop and reads', '-'),
    'device-colour': ('colours on the device', '1.2 times as many images per core'),
    'reference-views': ('reference pipeline', '-'),
    'stock-loop': ("MMEngine's loop", '1 to 1.5 s at each start of an epoch'),
    'stock-reads': ('losses read at every step', '2 to 5 ms per step'),
}
PLANNED = {
    'e2e': ('default', 'released', 'reference', 'device-colour'),
    'loop': ('default', 'stock-loop', 'stock-reads'),
}


def fill(page: str, folder: Path) -> str:
    """The page with the tables of all files in a folder."""

    def table(found: re.Match) -> str:
        name = found[2]
        file = folder / f'{name}.json'
        result = json.loads(file.read_text()) if file.exists() else None
        kind = next(kind for kind in WRITERS if kind in name.split('-'))
        lines = [*describe(result), *WRITERS[kind](result)]
        return found[1] + '\n' + '\n'.join(lines) + '\n\n' + found[3]

    return MARKED.sub(table, page)


def describe(result: dict | None) -> list[str]:
    """The command and the machine."""
    if result is None:
        return []
    machine = result['machine']
    threads = machine['threads']
    what = (
        f'{machine["device"]}, {threads} thread{"s" * (threads > 1)}, '
        f'torch {machine["torch"]}, commit {machine["commit"]}'
    )
    return [f'    {machine["command"]}', '', what + '.', '']


def row(*cells: object) -> str:
    """A row of a Markdown table."""
    return '| ' + ' | '.join(str(cell) for cell in cells) + ' |'


def head(*cells: str) -> list[str]:
    """The first two rows."""
    return [row(*cells), '|' + '---|' * len(cells)]


def spread(timing: dict, digits: int = 1) -> str:
    """Median and distance of the quarters, in ms."""
    quarters = timing.get('quartiles_ms')
    median = f'{timing["median_ms"]:.{digits}f}'
    return median if quarters is None else f'{median} ({quarters:.{digits}f})'


def step_table(result: dict | None) -> list[str]:
    """The step and its parts beside a peer."""
    if result is None:
        return [f'*{MISSING.capitalize()}.*']
    names = list(result['step'])
    lines = head('median (distance of the quarters)', *names)
    for part in ('step', 'forward + backward', 'optimiser', 'momentum'):
        lines.append(row(f'{part}, ms', *(spread(result[part][n]) for n in names)))
    steps = [result['step'][name] for name in names]
    lines.append(row('images per second', *(s['images_per_s'] for s in steps)))
    if 'host_ms' in steps[0]:
        lines.append(row('host, ms', *(s['host_ms'] for s in steps)))
    if 'memory_mib' in result:
        memory = result['memory_mib'].values()
        lines.append(row('peak memory of three steps, MiB', *memory))
    facts = (
        f'{result["gflop_per_image"]} GFLOP per image; {result["mfu"]:.1%} of a matrix '
        f"product's {result['ceiling_gflop_per_s']:,} GFLOP/s in the same run."
    )
    if 'speed_up' in result:
        facts = f'Faster by {result["speed_up"]}. {facts}'
    if result.get('shims'):
        facts += f' Replaced in the peer: {"; ".join(result["shims"])}.'
    return [*lines, '', facts]


def ablate_table(result: dict | None) -> list[str]:
    """One row for each change."""
    lines = head(
        'change',
        'predicted',
        'GFLOP per image without it',
        'it saves, ms (distance of the quarters)',
        'share of the step',
        'that part alone, with and without it, ms',
        'it saves, MiB',
    )
    whole = result['whole'] if result else {}
    for name, change in CHANGES.items():
        found = result['rows'].get(name) if result else None
        if found is None:
            why = f'only with {change.needs}' if result and change.needs else MISSING
            lines.append(row(change.what, change.predicted, why, *'----'))
            continue
        share = found['saved_ms'] / whole['step']['median_ms']
        part = found.get('part')
        lines.append(
            row(
                change.what,
                change.predicted,
                '-' if change.added else found['gflop_per_image'],
                f'{found["saved_ms"]:.1f} ({found.get("saved_quartiles_ms", 0):.1f})',
                f'{share:.1%}',
                f'{spread(part["whole"])}, {spread(part[name])}' if part else '-',
                found.get('saved_mib', '-'),
            )
        )
    if result:
        lines += [
            '',
            f'The whole step: {spread(whole["step"])} ms, '
            f'{whole["gflop_per_image"]} GFLOP per image.',
        ]
    return lines


def e2e_table(result: dict | None, kind: str) -> list[str]:
    """The real runner."""
    lines = head(
        'who trains',
        'predicted',
        'images per second',
        'the first row is faster by',
        'waiting between steps',
        'device idle between steps',
        'peak memory, MiB',
        'MFU',
    )
    if result is None:
        for name in PLANNED[kind]:
            lines.append(row(*RUNS[name], MISSING, *'-----'))
        return lines
    for name, run in result['runs'].items():
        lines.append(
            row(
                *RUNS[name],
                run['images_per_s'],
                '-' if name == 'default' else run['default_is_faster_by'],
                f'{run["waiting"]:.1%}',
                f'{run["idle"]:.1%}' if 'idle' in run else '-',
                run['memory_mib'],
                f'{run["mfu"]:.1%}' if 'mfu' in run else '-',
            )
        )
    settings = ', '.join(
        f'{name} {value}'
        for name, value in result['settings'].items()
        if value is not None
    )
    notes = f'Pictures: {result["pictures"]}; {settings}.'
    shims = result['runs'].get('released', {}).get('shims')
    if shims:
        notes += f' Replaced in the released code: {"; ".join(shims)}.'
    return [*lines, '', notes.replace('per_epoch', 'iterations of an epoch')]


def data_table(result: dict | None) -> list[str]:
    """The pipelines on one core."""
    if result is None:
        return [f'*{MISSING.capitalize()}.*']
    first = next(iter(result['pipelines']))
    lines = head(
        'pipeline',
        'images per second and core',
        f'against {first}',
        'with collation and transfer',
        f'against {first}',
    )
    for name, found in result['pipelines'].items():
        lines.append(
            row(
                name,
                round(found['images_per_s']),
                f'{found["ratio"]:.2f}',
                round(1000 / found['worker_ms']),
                f'{found["worker_ratio"]:.2f}',
            )
        )
    return [*lines, '', f'Pictures: {result["pictures"]}.']


WRITERS = dict(
    step=step_table,
    ablate=ablate_table,
    e2e=partial(e2e_table, kind='e2e'),
    loop=partial(e2e_table, kind='loop'),
    data=data_table,
)


def main() -> None:
    """Write the page, or check it."""
    page = PAGE.read_text()
    filled = fill(page, PAGE.with_suffix(''))
    if '--check' in sys.argv[1:]:
        if filled != page:
            raise SystemExit(
                f'{PAGE} is not what the files beside it say. Run '
                'python tools/benchmark_tables.py.'
            )
        return
    PAGE.write_text(filled)


if __name__ == '__main__':
    main()
