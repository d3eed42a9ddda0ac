"""The notebooks run from top to bottom, on pictures that they make."""

import os
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / 'docs/tutorials').glob('*.ipynb'))


def test_there_are_three():
    assert len(NOTEBOOKS) == 3


@pytest.mark.slow
@pytest.mark.parametrize('notebook', NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs(notebook, tmp_path, monkeypatch):
    nbformat = pytest.importorskip('nbformat')
    nbclient = pytest.importorskip('nbclient')
    pytest.importorskip('ipykernel')
    scripts = Path(sys.executable).parent  # cmae, for the cells of the shell
    monkeypatch.setenv('PATH', f'{scripts}{os.pathsep}{os.environ["PATH"]}')
    cells = nbformat.read(notebook, as_version=4)
    client = nbclient.NotebookClient(
        cells, timeout=600, resources=dict(metadata=dict(path=str(tmp_path)))
    )
    client.execute()
    assert all(cell.get('execution_count') for cell in cells.cells if 'outputs' in cell)
