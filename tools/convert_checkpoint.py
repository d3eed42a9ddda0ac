"""Convert weights between cmae_mm and the formats of others.

.. code-block:: bash

    python tools/convert_checkpoint.py SRC DST \
        --from {cmae-released,mae,timm,hf,cmae-mm} \
        --to {cmae-mm,timm,hf,safetensors} \
        [--heads N] [--grid ROWS COLUMNS] [--channels {bgr,rgb}] [--force]
    python tools/convert_checkpoint.py OLD NEW --from mmengine --trust [--force]

The second form turns a checkpoint that MMEngine wrote without
``cmae_mm.PlainCheckpointHook`` into one that can be read safely, to test it or to
resume from it. It runs code from OLD: see :func:`cmae_mm.bridge.make_plain`.

The first form ends in a strict load of what was written and a comparison of its
features with the source's. That cannot prove the number of heads and the eps of the
norms: both sides are built with the same. Exit status: 0 done; 1 it failed, and nothing
was written; 2 the arguments do not fit. See :func:`cmae_mm.bridge.convert`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cmae_mm.bridge import (
    READERS,
    TOLERANCE,
    WRITERS,
    Conversion,
    ConversionError,
    UsageError,
    convert,
    make_plain,
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` by default)."""
    parser = argparse.ArgumentParser(
        description='Convert weights between cmae_mm and the formats of others.'
    )
    parser.add_argument('src', type=Path, help='file to read; a folder for hf, too')
    parser.add_argument(
        'dst',
        type=Path,
        help='file to write, .pth or .safetensors; a folder for hf',
    )
    parser.add_argument(
        '--from',
        dest='source',
        required=True,
        choices=[*READERS, 'mmengine'],
        help='format of SRC; mmengine: any checkpoint with objects in it',
    )
    parser.add_argument(
        '--to', dest='target', choices=WRITERS, help='format of DST; not for mmengine'
    )
    parser.add_argument(
        '--trust', action='store_true', help='run code from SRC, for --from mmengine'
    )
    parser.add_argument(
        '--heads',
        type=int,
        help='attention heads; by default what SRC says, or those of ViT-S, B, L, H',
    )
    parser.add_argument(
        '--grid',
        type=int,
        nargs=2,
        metavar=('ROWS', 'COLUMNS'),
        help='patches per image; by default a square',
    )
    parser.add_argument(
        '--channels',
        choices=('bgr', 'rgb'),
        help='input of cmae-released; bgr (default) is turned to rgb',
    )
    parser.add_argument('--force', action='store_true', help='replace DST')
    args = parser.parse_args(argv)
    if (args.source == 'mmengine') == (args.target is not None):
        parser.error('--from mmengine takes no --to; every other needs one')
    if args.trust and args.source != 'mmengine':
        parser.error(f'--trust is for --from mmengine; {args.source} needs none')
    return args


def describe(done: Conversion) -> str:
    """Lines on what was converted, what was not, and how well."""
    written = ', '.join(f'{part} ({n} tensors)' for part, n in done.parts.items())
    left_out = ', '.join(f'{part} ({n} tensors)' for part, n in done.left_out.items())
    return '\n'.join(
        [
            str(done.size),
            f'written: {written}',
            f'left out: {left_out or "nothing"}',
            *(f'note: {note}' for note in done.notes),
            'loaded strictly; largest difference of the features on random images: '
            f'{done.difference:.1e} (allowed: {TOLERANCE:.0e})',
            f'licence: {done.licence}',
        ]
    )


def complain(error: Exception, status: int) -> None:
    """Say what is wrong in one line, and leave."""
    print(f'error: {" ".join(str(error).split())}', file=sys.stderr)
    sys.exit(status)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    args = parse_args(argv)
    try:
        if args.source == 'mmengine':
            names = make_plain(args.src, args.dst, trust=args.trust, force=args.force)
            said = f'called from the file: {", ".join(names) or "nothing"}'
        else:
            said = describe(
                convert(
                    args.src,
                    args.dst,
                    args.source,
                    args.target,
                    heads=args.heads,
                    grid=args.grid and tuple(args.grid),
                    channels=args.channels,
                    force=args.force,
                )
            )
    except UsageError as error:
        complain(error, 2)
    except (ConversionError, OSError) as error:
        complain(error, 1)
    print(said)
    print(f'written to {args.dst}')


if __name__ == '__main__':
    main()
