"""Files of features, written row by row: Parquet, NumPy's npz, CSV."""

import csv
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import numpy as np

from cmae_mm.bridge.extras import need
from cmae_mm.datasets.refused import printable

_ROW_GROUP = 4096  # rows that wait in memory


class Table(Protocol):
    """Takes rows."""

    def add(
        self, paths: list[str], classes: list[str | None], vectors: np.ndarray
    ) -> None:
        """Append rows.

        Args:
            paths (list[str]): N of them.
            classes (list[str | None]): N of them.
            vectors (ndarray): float32 (N, D).
        """


@contextmanager
def parquet(path: Path, width: int, meta: dict) -> Iterator[Table]:
    """Columns ``path``, ``class`` (null without) and ``vector``.

    Args:
        path (Path): File to write.
        width (int): Length of a vector.
        meta (dict): Plain values; JSON under ``cmae_mm`` in the metadata of the schema.

    Raises:
        ConversionError: If pyarrow is missing.
    """
    arrow = need('pyarrow')
    vector = arrow.list_(arrow.float32(), width)
    schema = arrow.schema(
        [('path', arrow.string()), ('class', arrow.string()), ('vector', vector)],
        metadata={'cmae_mm': json.dumps(meta)},
    )
    with need('pyarrow.parquet').ParquetWriter(path, schema) as writer:
        yield (table := _Parquet(arrow, schema, writer))
        table.flush()


class _Parquet:
    """Gathers rows: a group of rows is what Parquet reads and compresses at once."""

    def __init__(self, arrow, schema, writer) -> None:
        self.arrow, self.schema, self.writer = arrow, schema, writer
        self.waiting, self.rows = [], 0

    def add(
        self, paths: list[str], classes: list[str | None], vectors: np.ndarray
    ) -> None:
        flat = self.arrow.array(vectors.ravel())
        lists = self.arrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        columns = [self.arrow.array(c, self.arrow.string()) for c in (paths, classes)]
        batch = self.arrow.record_batch([*columns, lists], schema=self.schema)
        self.waiting.append(batch)
        self.rows += len(paths)
        if self.rows >= _ROW_GROUP:
            self.flush()

    def flush(self) -> None:
        if self.waiting:
            table = self.arrow.Table.from_batches(self.waiting)
            self.writer.write_table(table.combine_chunks())
        self.waiting, self.rows = [], 0


@contextmanager
def npz(path: Path, width: int, meta: dict) -> Iterator[Table]:
    """Arrays ``paths``, ``classes`` ('' without), ``vectors`` and ``meta`` (JSON).

    Args:
        path (Path): File to write.
        width (int): Length of a vector.
        meta (dict): Plain values.
    """
    raw = path.with_name(f'{path.name}.vectors')  # the shape comes first in the file
    try:
        with raw.open('wb') as file:
            yield (table := _Rows(file))
        _pack(path, raw, table, width, meta)
    finally:
        with suppress(OSError):
            raw.unlink()


class _Rows:
    """Keeps names, and appends vectors to a file."""

    def __init__(self, file) -> None:
        self.file = file
        self.paths: list[str] = []
        self.classes: list[str] = []

    def add(
        self, paths: list[str], classes: list[str | None], vectors: np.ndarray
    ) -> None:
        self.paths += paths
        self.classes += [label or '' for label in classes]
        self.file.write(vectors.astype('<f4').tobytes())


def _pack(path: Path, raw: Path, table: _Rows, width: int, meta: dict) -> None:
    """Put the parts into one file; numpy.savez would want all of it in memory."""
    names = {
        'paths': np.array(table.paths),
        'classes': np.array(table.classes),
        'meta': np.array(json.dumps(meta)),
    }
    shape = {'descr': '<f4', 'fortran_order': False, 'shape': (len(table.paths), width)}
    with zipfile.ZipFile(path, 'w') as archive:
        for name, array in names.items():
            with archive.open(f'{name}.npy', 'w') as part:
                np.lib.format.write_array(part, array, allow_pickle=False)
        with archive.open('vectors.npy', 'w', force_zip64=True) as part:
            np.lib.format.write_array_header_1_0(part, shape)
            with raw.open('rb') as file:
                while block := file.read(2**20):
                    part.write(block)


@contextmanager
def comma_separated(path: Path, width: int, meta: dict) -> Iterator[Table]:
    """Columns ``path``, ``class`` (empty without), ``0``, ``1``, ...; no metadata.

    Args:
        path (Path): File to write.
        width (int): Length of a vector.
        meta (dict): Not written: there is no place for it.
    """
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(['path', 'class', *range(width)])
        yield _Lines(writer)


class _Lines:
    """Writes numbers with 9 digits, which tell every float32 from its neighbours."""

    def __init__(self, writer) -> None:
        self.writer = writer

    def add(
        self, paths: list[str], classes: list[str | None], vectors: np.ndarray
    ) -> None:
        for path, label, vector in zip(paths, classes, vectors, strict=True):
            self.writer.writerow([path, label, *(f'{x:.9g}' for x in vector.tolist())])


def write_refused(file: Path, rows: list[tuple[str, str, str]]) -> None:
    """Name images that could not be read.

    Args:
        file (Path): CSV to write, with ``path``, ``kind`` and ``reason``.
        rows (list[tuple[str, str, str]]): What to write.
    """
    with file.open('w', newline='', encoding='utf-8') as text:
        writer = csv.writer(text, lineterminator='\n')
        writer.writerow(['path', 'kind', 'reason'])
        writer.writerows(map(printable, row) for row in rows)


FORMATS = {'.parquet': parquet, '.npz': npz, '.csv': comma_separated}
