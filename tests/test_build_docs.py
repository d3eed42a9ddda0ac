"""The site builds, and warnings are errors."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    """All but the notebooks' runs, which are a test of their own."""
    pytest.importorskip('sphinx')
    pytest.importorskip('myst_nb')
    out = tmp_path / 'site'
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', str(ROOT / 'tools/build_docs.py')]
        + ['--no-notebooks', '--out', str(out)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert 'docs/index.html' in (out / 'index.html').read_text()
    for page in ('index', 'reference/options', 'tutorials/transfer'):
        assert (out / f'docs/{page}.html').is_file()
    # Pictures of the documents come along.
    assert (out / '_images/demo.png').is_file()
    api = (out / 'docs/reference/api.html').read_text()
    assert 'cmae_mm.engine.exact_resume' in api
