"""The parts of the tools that can be checked without a long run."""

import json
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / 'tools'


@pytest.fixture
def demo_steps(monkeypatch):
    """The module behind tools/demo.py."""
    monkeypatch.syspath_prepend(str(TOOLS))
    import demo_steps

    yield demo_steps
    sys.modules.pop('demo_steps')


def test_progress_is_read_from_both_kinds_of_logs(demo_steps, tmp_path):
    log = tmp_path / 'log'
    log.write_text('')
    assert demo_steps._share_done(log) == 0
    log.write_text(
        'max_epochs=4\nEpoch(train)  [2][ 50/100]  lr\nEpoch(test) [3/9] x\n'
    )
    assert demo_steps._share_done(log) == pytest.approx(1.5 / 4)
    log.write_text('Iter(train) [ 50/200]  lr: 1\n')
    assert demo_steps._share_done(log) == pytest.approx(0.25)


def test_scalars_of_the_newest_run_are_read(demo_steps, tmp_path):
    for stamp, value in (('20260101_000000', 1.0), ('20260102_000000', 2.0)):
        folder = tmp_path / stamp / 'vis_data'
        folder.mkdir(parents=True)
        lines = [dict(loss=value, step=1), dict(loss=value / 2, step=2), dict(mIoU=3.0)]
        (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    assert demo_steps.read_scalars(tmp_path)['loss'] == dict(x=[1, 2], y=[2.0, 1.0])
    assert demo_steps.last_scalar(tmp_path, 'mIoU') == 3.0
    with pytest.raises(KeyError, match='it has loss, mIoU'):
        demo_steps.last_scalar(tmp_path, 'AP')


def test_a_step_names_the_mim_command_it_stands_for(demo_steps):
    step = demo_steps.Step(
        'knn',
        'mmpretrain',
        'test',
        Path('a.py'),
        Path('out'),
        1,
        checkpoint=Path('b.pth'),
        options=['x=1'],
    )
    assert step.mim_command() == (
        'mim test mmpretrain a.py --checkpoint b.pth --work-dir out --cfg-options x=1'
    )


def test_a_failed_step_shows_the_end_of_its_log(demo_steps, tmp_path):
    step = demo_steps.Step(
        'broken', 'mmpretrain', 'train', tmp_path / 'none.py', tmp_path / 'out', 1
    )
    with demo_steps.Progress([step]) as progress, pytest.raises(SystemExit) as stop:
        step.run(progress)
    assert 'broken failed' in str(stop.value)
    assert 'FileNotFoundError' in str(stop.value)
