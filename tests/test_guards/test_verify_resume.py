"""Proof in processes of their own that a resumed run is the same run."""

import numpy as np
import pytest
import torch

from cmae_mm.guards.verify_resume import fingerprints, verify_resume


def checkpoint(path, **changes):
    content = {
        'state_dict': {'weight': torch.arange(4.0)},
        'optimizer': {'state': {0: {'step': 1}}},
        'param_schedulers': [{'last_step': 3}],
        'random_states': [{'torch': torch.zeros(3, dtype=torch.uint8)}],
        'message_hub': {'log_scalars': {'train/loss': [0.5], 'train/time': [0.1]}},
        **changes,
    }
    torch.save(content, path)
    return fingerprints(path)


def test_equal_checkpoints_have_equal_fingerprints(tmp_path):
    assert checkpoint(tmp_path / 'a') == checkpoint(tmp_path / 'b')


@pytest.mark.parametrize(
    'part, value',
    [
        ('state_dict', {'weight': torch.arange(4.0) + 1e-6}),
        ('state_dict', {'weight': torch.arange(4.0).double()}),
        ('optimizer', {'state': {0: {'step': 2}}}),
        ('param_schedulers', [{'last_step': 4}]),
        ('random_states', [{'torch': torch.ones(3, dtype=torch.uint8)}]),
    ],
)
def test_each_part_has_a_fingerprint_of_its_own(tmp_path, part, value):
    one, other = checkpoint(tmp_path / 'a'), checkpoint(tmp_path / 'b', **{part: value})
    assert [name for name in one if one[name] != other[name]] == [part]


def test_times_are_no_part_of_the_logs(tmp_path):
    one = checkpoint(tmp_path / 'a')
    slower = {'log_scalars': {'train/loss': [0.5], 'train/time': [0.2]}}
    assert checkpoint(tmp_path / 'b', message_hub=slower) == one
    other = {'log_scalars': {'train/loss': [np.nextafter(0.5, 1).item()]}}
    assert checkpoint(tmp_path / 'c', message_hub=other)['logs'] != one['logs']


def test_a_folder_that_is_in_use_is_left_alone(tmp_path):
    (tmp_path / 'resumed').mkdir()
    with pytest.raises(ValueError, match='exists'):
        verify_resume('any.py', tmp_path)


def test_a_run_that_fails_says_why(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("raise OSError('no such disk')\n")
    with pytest.raises(RuntimeError, match='no such disk'):
        verify_resume(str(config), tmp_path / 'runs', steps=1)
