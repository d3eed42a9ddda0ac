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


@pytest.fixture
def composed_run(tmp_path, steps, write_part):
    """Make a run as our commands leave it: config.py, which names its recipe."""

    def make(name, origin, result=(), settings=''):
        part = write_part(
            tmp_path / name, '20260101_100000', [*steps(1, 2), dict(result, step=2)]
        )
        for file in (tmp_path / name / 'config.py', part / 'vis_data/config.py'):
            file.write_text(f"composed_from = '{origin}'\n{settings}")
        return read_run(tmp_path / name)

    return make


VITDET = 'mask-rcnn_vitdet-base-p16_32xb2-amp-lsj-100e_coco'


def test_a_composed_run_finds_its_recipe_and_meets_nothing_on_own_images(composed_run):
    run = composed_run(
        'ships', VITDET, {'coco/bbox_mAP': 0.9, 'coco/segm_mAP': 0.25, 'lr': 1.0}
    )
    boxes, masks = expectations(run, find_recipe(run))
    assert (boxes.value, boxes.measured) == (52.4, pytest.approx(90.0))
    assert not boxes.met and boxes.verdict == 'no verdict: own images'
    assert not masks.met and masks.verdict == 'unmet (-21.5), own images'
    facts = facts_of(run, {})
    assert facts['composed from'] == VITDET and 'config' not in facts
    card = lineage_card(run, [], facts)
    assert '(all of COCO)' in card and 'at full size' in card and '>met' not in card


def test_a_composed_pretraining_beside_the_figures_of_imagenet(composed_run):
    name = 'cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k'
    run = composed_run(
        'photos', name, settings='asked = dict(batch=8)\ntest_dataloader = None\n'
    )
    card = lineage_card(run, [], facts_of(run, {}))
    assert '(all of ImageNet-1k)' in card and 'not measured' in card
    changed = changed_settings(run, find_recipe(run))
    ((name, before, now),) = changed
    assert (name, now) == ('test_dataloader', 'not set')
    assert before.startswith('batch_size, ') and before.endswith('dataset (...)')


def test_results_that_no_recipe_has_a_figure_of_are_shown(composed_run, resumed):
    recipe = 'vit-small-p16_upernet_8xb2-amp-160k_ade20k-512x512'
    street = composed_run('street', recipe, dict(mIoU=41.26))
    card = lineage_card(read_run(resumed), [street], {})
    cells = '<td>mIoU, %</td><td>41.3</td><td>none known</td>'
    assert f'<th scope="row">street</th>{cells}' in card
    assert 'No figures of others' in card


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
