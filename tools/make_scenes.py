"""Generate the ``scenes`` data set: small, labelled, licence-free pictures.

.. code-block:: bash

    python tools/make_scenes.py OUT [--train N] [--val N] [--size 96] \
        [--seed 0] [--workers N] [--shortcuts]

See :mod:`cmae_mm.datasets.scenes` for the layout of OUT. A finished data set
of the same parameters is left as it is.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any

from cmae_mm.datasets.scenes import generate_scenes, measure_shortcuts


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` by default)."""
    parser = argparse.ArgumentParser(description='Generate the scenes data set.')
    parser.add_argument('out', help='folder to write to; absent or empty')
    parser.add_argument(
        '--train', type=int, default=2000, help='training pictures of each subset'
    )
    parser.add_argument(
        '--val', type=int, default=500, help='validation pictures of each subset'
    )
    parser.add_argument('--size', type=int, default=96, help='picture side, pixels')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--workers', type=int, help='processes; by default one per core'
    )
    parser.add_argument(
        '--shortcuts',
        action='store_true',
        help='measure how far colour and raw pixels alone give the class',
    )
    return parser.parse_args(argv)


def show_progress(done: int, total: int) -> None:
    """Keep one line of a terminal up to date; print nothing to a file."""
    if sys.stderr.isatty():
        end = '\n' if done == total else ''
        print(f'\r{done}/{total} pictures', end=end, file=sys.stderr, flush=True)


def describe(meta: dict[str, Any]) -> str:
    """Lines with the number of pictures and objects of every split."""
    lines = []
    for subset, splits in meta['counts'].items():
        for split, counts in splits.items():
            objects = sum(counts['objects'].values())
            lines.append(
                f'{subset}/{split}: {counts["images"]} pictures, {objects} objects'
            )
    return '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    args = parse_args(argv)
    start = time.perf_counter()
    try:
        meta = generate_scenes(
            args.out,
            num_train=args.train,
            num_val=args.val,
            size=args.size,
            seed=args.seed,
            workers=args.workers,
            progress=show_progress,
        )
    except ValueError as error:
        sys.exit(f'error: {error}')
    print(describe(meta))
    print(f'written to {args.out} in {time.perf_counter() - start:.1f} s')
    print(f'fingerprint {meta["fingerprint"]}')
    if args.shortcuts:
        for name, accuracy in measure_shortcuts(args.out).items():
            print(f'{name}: {accuracy:.3f}')


if __name__ == '__main__':
    main()
