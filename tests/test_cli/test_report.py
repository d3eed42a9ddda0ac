"""``cmae report``, as it is typed."""

import json

import pytest


@pytest.fixture
def report(cmae):
    """Exit code, and all that it printed."""

    def run(*args):
        code, out, err = cmae('report', *args)
        return code, out + err

    return run


@pytest.fixture
def run_folder(tmp_path):
    """A run that has recorded two losses."""
    folder = tmp_path / 'out' / '20260101_100000' / 'vis_data'
    folder.mkdir(parents=True)
    lines = [json.dumps(dict(loss=1 / i, iter=i, step=i)) for i in (1, 2)]
    (folder / 'scalars.json').write_text('\n'.join(lines))
    return 'out'


def test_the_page_lies_in_the_folder_of_the_run(report, run_folder, tmp_path):
    code, said = report(run_folder)
    assert code == 0 and 'Report: out/report.html (' in said
    assert '<h1>out</h1>' in (tmp_path / 'out/report.html').read_text()


def test_or_where_it_is_wanted(report, run_folder, tmp_path):
    code, _ = report(run_folder, '--html', 'deep/page.html')
    assert code == 0 and (tmp_path / 'deep/page.html').is_file()
    assert not (tmp_path / 'out/report.html').exists()


def test_bad_input_is_one_line(report, run_folder, tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'some.txt').write_text('x')
    for args, why in (
        (['missing'], 'There is no folder missing'),
        (['empty'], 'empty is empty'),
        (['some.txt'], 'some.txt is a file'),
        (['.'], 'is not a run, but holds 1: out'),
        (['out', '--data', 'missing'], 'There is no folder missing'),
        (['out', '--checkpoint', 'a.pth'], 'There is no checkpoint a.pth'),
        (['out', '--compare', 'empty'], 'empty is empty'),
        (['out', '--html', 'empty'], 'empty is a folder; the page is a file, such as'),
    ):
        code, said = report(*args)
        assert code == 1 and why in said and len(said.splitlines()) == 1, said
    assert report()[0] == 2
