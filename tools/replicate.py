"""The paper's claims at small scale: many variants and seeds, one table.

    python tools/replicate.py run cifar10 [--seeds 0 1 2] [--jobs 2]
    python tools/replicate.py run cifar10_frozen --lengths 0.5 4   # no fine-tuning
    python tools/replicate.py run camvid
    python tools/replicate.py table        # docs/replication.json -> Markdown

Every run is a process of its own and leaves one line of numbers in
docs/replication.json; what is there already is not run again, so the command can be
stopped and started at will. `--scale gpu` (not camvid) takes a ViT of DeiT-S
widths, a hundred times the epochs, batches of 1024 and bfloat16, and compares the same
variants. The photos are expected in data/cifar10 and data/camvid.
"""

import argparse
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tools'))

from replicate_runs import EXPERIMENTS, SCALES, measure  # noqa: E402
from replicate_table import write_markdown  # noqa: E402

RECORDS = ROOT / 'docs/replication.json'
WORK_DIR = ROOT / 'work_dirs/replication'


def load_records() -> list[dict]:
    """All numbers measured so far."""
    return json.loads(RECORDS.read_text()) if RECORDS.exists() else []


def save_record(record: dict) -> None:
    """Add one run's numbers, replacing none; another `run` may do the same."""
    WORK_DIR.mkdir(parents=True, exist_ok=True)
    with open(WORK_DIR / 'lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        records = [*load_records(), record]
        records.sort(key=lambda r: json.dumps(r['run']))
        lines = ',\n'.join(json.dumps(record) for record in records)
        partial = RECORDS.with_suffix('.partial')
        partial.write_text(f'[\n{lines}\n]\n')
        os.replace(partial, RECORDS)


def wanted_runs(args: argparse.Namespace) -> list[dict]:
    """The runs asked for that have no numbers yet, seed by seed."""
    done = [record['run'] for record in load_records()]
    variants = args.variants or list(EXPERIMENTS[args.experiment].variants)
    runs = [
        dict(
            experiment=args.experiment,
            scale=args.scale,
            variant=variant,
            length=length,
            batch=args.batch,
            seed=seed,
        )
        for seed in args.seeds
        for length in args.lengths
        for variant in variants
    ]
    return [run for run in runs if run not in done]


def run_all(args: argparse.Namespace) -> int:
    """Start the wanted runs, ``--jobs`` at a time; 1 if one failed."""
    todo, running, failed = wanted_runs(args), {}, 0
    total = len(todo)
    WORK_DIR.mkdir(parents=True, exist_ok=True)
    threads = max(1, len(os.sched_getaffinity(0)) // args.jobs)
    while todo or running:
        while todo and len(running) < args.jobs:
            run = todo.pop(0)
            name = '_'.join(str(value) for value in run.values())
            log = open(WORK_DIR / f'{name}.log', 'w')  # noqa: SIM115
            process = subprocess.Popen(
                [sys.executable, '-W', 'ignore', __file__, 'one', json.dumps(run)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, 'OMP_NUM_THREADS': str(threads)},
            )
            running[process] = (name, run, time.time())
        time.sleep(1)
        for process in [p for p in running if p.poll() is not None]:
            name, run, started = running.pop(process)
            last = process.stdout.read().strip().splitlines()[-1:]
            if process.returncode or not last:
                failed += 1
                print(f'{name}: FAILED, see {WORK_DIR / name}.log', flush=True)
                continue
            numbers = json.loads(last[0])
            seconds = round(time.time() - started)
            save_record(dict(run=run, numbers=numbers, seconds=seconds))
            left = len(todo) + len(running)
            print(
                f'{name}: {numbers} ({seconds} s; {left} of {total} left)', flush=True
            )
    return 1 if failed else 0


def main() -> int:
    """Run, or write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest='command', required=True)
    run = commands.add_parser('run', help='measure what is missing')
    run.add_argument('experiment', choices=EXPERIMENTS)
    run.add_argument('--scale', choices=SCALES, default='cpu')
    run.add_argument('--variants', nargs='+', help='default: all of the experiment')
    run.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    run.add_argument(
        '--lengths',
        nargs='+',
        type=float,
        default=[1.0],
        help='length of the pre-training, in units of its config',
    )
    run.add_argument('--batch', type=int, help='of pre-training; default: its config')
    run.add_argument('--jobs', type=int, default=2, help='processes at a time')
    one = commands.add_parser('one', help='one run, as started by `run`')
    one.add_argument('run', type=json.loads)
    commands.add_parser('table', help='print docs/replication.md')
    args = parser.parse_args()
    if args.command == 'run':
        unknown = set(args.variants or []) - set(EXPERIMENTS[args.experiment].variants)
        if unknown:
            parser.error(
                f'{args.experiment} has no variant {", ".join(sorted(unknown))}; '
                f'it has {", ".join(EXPERIMENTS[args.experiment].variants)}'
            )
        if args.scale not in EXPERIMENTS[args.experiment].scales:
            parser.error(f'{args.experiment} has no scale {args.scale} yet')
        return run_all(args)
    if args.command == 'one':
        print(json.dumps(measure(args.run, WORK_DIR)))
        return 0
    print(write_markdown(load_records()), end='')
    return 0


if __name__ == '__main__':
    sys.exit(main())
