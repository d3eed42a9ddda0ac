"""``cmae probe`` as it is called."""

import json

import pytest


@pytest.mark.slow
def test_the_four_figures_and_the_mim_command(cmae, nano_checkpoint, few_scenes):
    code, out, err = cmae(
        'probe', nano_checkpoint, few_scenes / 'classification', '--out', 'out'
    )
    assert code == 0
    found = json.loads(open('out/results.json').read())
    rows = ('pre-trained', 'random init', 'raw pixels', 'chance')
    assert tuple(found['top1']) == rows and all(row in out for row in rows)
    assert found['images'] == dict(train=24, val=12)
    assert found['top1']['chance']['always_the_largest_class'] == pytest.approx(100 / 6)

    # The library's own test of the config that was written.
    from mmengine.config import Config
    from mmengine.registry import RUNNERS

    assert f'mim test mmpretrain out/config.py --checkpoint {nano_checkpoint}' in out
    cfg = Config.fromfile('out/config.py')
    cfg.update(work_dir='knn', load_from=str(nano_checkpoint))
    metrics = RUNNERS.build(cfg).test()
    assert metrics['knn/top1'] == pytest.approx(found['top1']['pre-trained']['knn'])


def test_a_file_in_the_place_of_the_results_is_said_first(cmae, tmp_path):
    (tmp_path / 'file').touch()
    for out in ('file', 'file/below'):
        code, _, err = cmae('probe', 'nothing.pth', 'nowhere', '--out', out)
        assert code == 1 and len(err.splitlines()) == 1
        assert err.startswith('cmae: file is a file; a folder for the results')


def test_no_checkpoint_and_no_folder_are_one_line(cmae, few_scenes, tmp_path):
    _, _, err = cmae('probe', 'nothing.pth', few_scenes / 'classification')
    assert err.startswith('cmae: There is no checkpoint nothing.pth')
    _, _, err = cmae('probe', 'nothing.pth', 'nowhere')
    assert err.startswith('cmae: There is no folder nowhere')
    assert not (tmp_path / 'work_dirs').exists()
