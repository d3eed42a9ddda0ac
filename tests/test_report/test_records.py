"""Reading what runs have left."""

import math
from datetime import datetime

import pytest

from cmae_mm.report.records import read_run


def test_a_resumed_run_is_one_curve(resumed):
    run = read_run(resumed)
    loss = run.series['loss']
    assert loss.steps == [1, 2, 3, 4, 5, 6, 7, 8]
    assert loss.values[:4] == [1, 1 / 2, 1 / 3, 1 / 4]
    assert loss.values[4:] == [2 / 5, 2 / 6, 2 / 7, 2 / 8]
    assert run.last('loss') == 2 / 8
    assert not run.notes and len(run.parts) == 2


def test_a_resumed_run_is_one_film(resumed):
    files = read_run(resumed).pictures['monitor_view_0']
    assert list(files) == [2, 4, 6, 8]
    starts = [file.parents[2].name for file in files.values()]
    assert starts == ['20260101_100000'] * 2 + ['20260101_120000'] * 2


def test_another_training_in_the_same_folder_is_named_and_left_out(
    resumed, steps, write_part
):
    write_part(resumed, '20260102_100000', steps(1, 2, scale=9.0))
    run = read_run(resumed)
    assert run.series['loss'].values == [9, 9 / 2]
    assert run.pictures == {}
    assert '20260101_100000, 20260101_120000' in run.notes[0]


def test_validations_count_epochs_and_do_not_tell_the_speed(
    tmp_path, steps, write_part
):
    records = [*steps(1, 20), dict(mIoU=0.4, time=99.0, step=1)]
    records += [{'monitor/knn_top1': 30.0, 'step': 20}]
    write_part(tmp_path, '20260101_100000', records)
    run = read_run(tmp_path)
    assert run.series['mIoU'].unit == 'epoch'
    assert run.series['monitor/knn_top1'].unit == 'iteration'
    assert set(run.series['time'].values) == {0.5}


def test_damaged_lines_are_counted_and_left_out(tmp_path, write_part):
    records = ['{"loss": 1.0, "iter": 1}', '{"loss": 2.0, "it', '[1]', '']
    records.append('{"loss": NaN, "iter": 3, "name": "x", "list": [1], "flag": true}')
    write_part(tmp_path, '20260101_100000', records)
    run = read_run(tmp_path)
    assert run.series['loss'].steps == [1, 3] and list(run.series) == ['loss']
    assert math.isnan(run.series['loss'].values[1])
    assert run.notes == ['2 damaged lines in 20260101_100000 are left out.']


def test_results_of_a_test_count_beside_the_training(resumed, write_part):
    results = {'knn/top1': 54.0, 'time': 0.1}
    write_part(resumed, '20260103_100000', results=results)
    run = read_run(resumed)
    assert run.results == {'knn/top1': 54.0} and run.last('knn/top1') == 54.0
    assert run.last('loss') == 2 / 8 and run.last('nothing') is None


def test_names_and_config(resumed):
    assert read_run(resumed).name == 'run' and read_run(resumed).config is None
    (resumed / 'recipe.py').write_text('a = 1')
    run = read_run(resumed)
    assert run.name == 'recipe' and run.config == resumed / 'recipe.py'
    (resumed / 'recipe.py').rename(resumed / 'config.py')  # of cmae pretrain
    assert read_run(resumed).name == 'run'


def test_a_part_lasts_from_its_name_to_the_last_line_of_its_log(
    tmp_path, steps, write_part
):
    log = '2026/01/01 10:00:02 - mmengine\nmore\n2026/01/01 11:30:00 - mmengine - done'
    write_part(tmp_path, '20260101_100000', steps(1, 2), log=log)
    (part,) = read_run(tmp_path).parts
    assert part.start == datetime(2026, 1, 1, 10)
    assert part.end == datetime(2026, 1, 1, 11, 30)
    (tmp_path / '20260101_100000' / '20260101_100000.log').unlink()
    assert part.end is None


def test_what_is_not_a_run_is_said(tmp_path, resumed):
    with pytest.raises(FileNotFoundError, match='no folder .*nowhere'):
        read_run(tmp_path / 'nowhere')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='is empty'):
        read_run(tmp_path / 'empty')
    (tmp_path / 'empty' / 'file.txt').write_text('x')
    with pytest.raises(ValueError, match='is not a run: it has no folder such as'):
        read_run(tmp_path / 'empty')
    with pytest.raises(ValueError, match='is a file'):
        read_run(tmp_path / 'empty' / 'file.txt')
    with pytest.raises(ValueError, match='not a run, but holds 1: run'):
        read_run(tmp_path)
