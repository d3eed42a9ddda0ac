"""Convert weights between cmae_mm and the formats of others: ``cmae convert``.

.. code-block:: bash

    python tools/convert_checkpoint.py SRC DST \
        --from {cmae-released,mae,timm,hf,cmae-mm} \
        --to {cmae-mm,timm,hf,safetensors} \
        [--heads N] [--grid ROWS COLUMNS] [--channels {bgr,rgb}] [--force]
    python tools/convert_checkpoint.py OLD NEW --from mmengine --trust [--force]

See ``cmae convert --help``, or :func:`cmae_mm.bridge.convert`.
"""

import sys
from collections.abc import Sequence

from cmae_mm.cli import main as cmae


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; exits with its code."""
    cmae(['convert', *(sys.argv[1:] if argv is None else argv)])


if __name__ == '__main__':
    main()
