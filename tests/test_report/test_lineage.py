"""Where a run comes from, and what others reached."""

from datetime import timedelta

import pytest

from cmae_mm.report.lineage import checkpoint_meta, facts_of, in_words, lineage_card
from cmae_mm.report.recipes import changed_settings, expectations, find_recipe
from cmae_mm.report.records import read_run
from cmae_mm.zoo import find_root

LOG = """2026/01/01 10:00:01 - mmengine - INFO -
System environment:
    Python: 3.11.7 (main, ...)
    CUDA available: True
    GPU 0,1: Some Accelerator
    PyTorch: 2.1.0
    MMEngine: 0.10.7
2026/01/02 11:00:00 - mmengine - INFO - done
"""


def test_facts_of_a_run(trained, steps, write_part):
    write_part(trained, '20260101_100001', steps(5, 6), log=LOG)
    (trained / '20260101_100000' / '20260101_100000.log').write_text(
        '2026/01/01 10:00:01 - mmengine - INFO'
    )
    run = read_run(trained)
    facts = facts_of(run, checkpoint_meta(run))
    expected = {
        'config': 'toy',
        'cmae_mm': '9.9',
        'torch': '2.1.0',
        'mmengine': '0.10.7',
        'Python': '3.11.7',
        'device': '2 x Some Accelerator',
        'processes': '2',
        'seed': '3',
        'iterations': '6',
        'images seen': str(6 * 4 * 2),
        'images in the data set': '8',
        'data fingerprint': '0123456789abcdef',
    }
    assert facts.items() >= expected.items()
    assert facts['began'] == '01 January 2026, 10:00'
    assert facts['took'] == '1 d 1 h'


def test_unknown_facts_are_left_out(resumed):
    run = read_run(resumed)
    facts = facts_of(run, checkpoint_meta(run))
    assert facts['iterations'] == '8'
    assert not {'device', 'seed', 'images seen', 'data fingerprint'} & set(facts)


@pytest.mark.parametrize(
    ('span', 'words'),
    [
        (dict(seconds=5), '5 s'),
        (dict(minutes=12, seconds=5), '12 min 5 s'),
        (dict(hours=4, minutes=12, seconds=5), '4 h 12 min'),
        (dict(days=3, hours=1), '3 d 1 h'),
    ],
)
def test_times_in_words(span, words):
    assert in_words(timedelta(**span)) == words


@pytest.fixture
def recipe_run(tmp_path, steps, write_part):
    """Make a run of one of our configs with a result."""

    def make(folder, name, result):
        path = tmp_path / name
        write_part(path, '20260101_100000', [*steps(1, 2), result | dict(step=2)])
        file = find_root() / 'configs' / folder / f'{name}.py'
        (path / f'{name}.py').write_text(f"_base_ = '{file}'\nbeside = 1\n")
        return read_run(path)

    return make


def test_figures_are_met_unmet_or_not_measured(recipe_run):
    name = 'mask-rcnn_vitdet-base-p16_32xb2-amp-lsj-100e_coco'
    run = recipe_run('coco', name, {'coco/bbox_mAP': 0.53})
    boxes, masks = expectations(run, find_recipe(run))
    assert (boxes.value, boxes.measured) == (52.4, pytest.approx(53.0))
    assert boxes.verdict == 'met (+0.6)' and boxes.whose == 'paper'
    assert masks.verdict == 'not measured'
    run = recipe_run('scenes', 'cmae_vit-nano-p8_bs32-8e_scenes', {'knn/top1': 50.0})
    (figure,) = expectations(run, find_recipe(run))
    assert figure.verdict == 'unmet (-4.0)' and figure.whose == 'ours'


def test_another_training_is_not_taken_for_the_one_that_is_asked_for(recipe_run):
    """Of pre-training, the paper tells the accuracy after fine-tuning."""
    name = 'cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k'
    run = recipe_run('pretrain', name, {'accuracy/top1': 99.0})
    (figure,) = expectations(run, find_recipe(run))
    assert figure.measured is None and figure.whose == "authors' code"


@pytest.mark.slow
def test_changed_settings_are_told(recipe_run):
    run = recipe_run('scenes', 'cmae_vit-nano-p8_bs32-8e_scenes', {})
    text = run.config.read_text()
    run.config.write_text(f'{text}train_cfg = dict(max_epochs=2)\nwork_dir = "x"\n')
    changed = changed_settings(run, find_recipe(run))
    assert ('train_cfg.max_epochs', '8', '2') in changed
    assert {name for name, *_ in changed} == {'train_cfg.max_epochs', 'beside'}
    card = lineage_card(run, [], facts_of(run, {}))
    assert 'not measured' in card and 'train_cfg.max_epochs' in card


def test_an_own_config_has_no_figures_of_others(resumed):
    run = read_run(resumed)
    assert find_recipe(run) is None
    card = lineage_card(run, [], {})
    assert 'No figures of others' in card and 'left no config' in card


def test_settings_are_escaped(resumed):
    (resumed / 'own.py').write_text('a = "<script>alert(1)</script>"')
    card = lineage_card(read_run(resumed), [], {'config': '<b>'})
    assert '<script' not in card and '&lt;script&gt;' in card and '<b>' not in card
