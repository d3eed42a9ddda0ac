"""The door of ``cmae demo``; the demo itself takes a quarter of an hour."""

import importlib.util
from pathlib import Path

import pytest

from cmae_mm.cli import demo


@pytest.fixture
def runs(monkeypatch):
    """The demo without its runs; what it would have run."""
    module = demo.load_demo()
    done = []
    monkeypatch.setattr(module, 'make_data', lambda: 'fingerprint')
    monkeypatch.setattr(module, 'save_random_start', lambda path: None)
    monkeypatch.setattr(module.Step, 'run', lambda step, progress: done.append(step))
    rows = [[row[0], 1.0, 2.0] for row in module.MEASURES]
    monkeypatch.setattr(module, 'collect', lambda steps: rows)
    monkeypatch.setattr(module, 'write_report', lambda out, *rest: out / 'report.html')
    monkeypatch.setattr(demo, 'load_demo', lambda: module)
    return done


@pytest.mark.parametrize(
    'args, out', [([], 'work_dirs/demo'), (['--out', 'mine'], 'mine')]
)
def test_all_runs_go_to_one_folder(cmae, runs, args, out):
    code, said, err = cmae('demo', *args)
    assert (code, err) == (0, '')
    assert f'Report: {out}/report.html' in said and 'k-NN, top-1 %' in said
    assert len(runs) == 9
    for step in runs:
        assert step.work_dir.is_relative_to(out) and Path(step.config).is_file()
        assert f'  {step.mim_command()}\n' in said


def test_a_library_that_is_not_there_is_said_before(cmae, runs, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        'find_spec',
        lambda name: None if name == 'mmdet' else find(name),
    )
    _, said, err = cmae('demo')
    assert err.startswith('cmae: The demo also segments and detects, which needs mmdet')
    assert 'mim install mmdet' in err and not said and not runs


def test_a_file_is_no_folder(cmae, runs, tmp_path):
    (tmp_path / 'out').write_text('')
    _, said, err = cmae('demo', '--out', 'out')
    assert err.startswith('cmae: out is a file') and not said and not runs


def test_help_has_an_example(cmae):
    code, said, _ = cmae('demo', '--help')
    assert code == 0 and 'Example: cmae demo --out' in said and 'work_dirs/demo' in said
