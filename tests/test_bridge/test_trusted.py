"""Old checkpoints of MMEngine become plain ones, if somebody trusts them."""

import importlib
import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cmae_mm.bridge import ConversionError, UsageError, make_plain
from cmae_mm.engine.checkpoint import PlainCheckpointHook
from cmae_mm.safe_loading import load_checkpoint_file

TOOLS = Path(__file__).parents[2] / 'tools'


class Bomb:
    """Leaves a folder behind when a pickle of it is loaded."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


@pytest.fixture
def old(tmp_path, toy_runner):
    """The last checkpoint of two epochs by stock MMEngine."""
    stock = dict(type='CheckpointHook')
    toy_runner(tmp_path / 'old', checkpoint=stock, hooks=[]).train()
    return tmp_path / 'old' / 'epoch_2.pth'


@pytest.fixture
def bomb(tmp_path):
    """A file that would leave another one behind; both."""
    torch.save(dict(state_dict=Bomb(tmp_path / 'it-ran')), tmp_path / 'bomb.pth')
    return tmp_path / 'bomb.pth', tmp_path / 'it-ran'


def test_a_run_of_stock_mmengine_goes_on_from_the_plain_file(old, tmp_path, toy_runner):
    new = tmp_path / 'new' / 'epoch_2.pth'
    names = make_plain(old, new, trust=True)
    assert 'mmengine.logging.history_buffer.HistoryBuffer' in names
    resumed = toy_runner(tmp_path / 'new', resume=True, epochs=3)
    resumed.train()
    unbroken = toy_runner(tmp_path / 'unbroken', epochs=3)
    unbroken.train()
    assert resumed.iter == 6
    assert torch.equal(resumed.model.layer.weight, unbroken.model.layer.weight)
    losses = [run.message_hub.get_scalar('train/loss') for run in (resumed, unbroken)]
    assert np.array_equal(losses[0].data[0], losses[1].data[0])


def test_the_plain_file_holds_what_the_old_one_held(old, tmp_path):
    make_plain(old, tmp_path / 'new.pth', trust=True)
    new = load_checkpoint_file(str(tmp_path / 'new.pth'))
    PlainCheckpointHook().after_load_checkpoint(None, new)
    held = torch.load(old, weights_only=False)
    assert new.keys() == held.keys()
    assert new['meta'] == held['meta']
    assert new['optimizer']['param_groups'] == held['optimizer']['param_groups']
    for mine, theirs in (
        (new['state_dict'], held['state_dict']),
        (new['optimizer']['state'], held['optimizer']['state']),
    ):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    for name, buffer in held['message_hub']['log_scalars'].items():
        mine = new['message_hub']['log_scalars'][name]
        assert np.array_equal(mine.data, buffer.data)


def test_without_trust_nothing_is_run(bomb, tmp_path):
    file, marker = bomb
    with pytest.raises(UsageError, match=r'posix.mkdir.*add --trust'):
        make_plain(file, tmp_path / 'new.pth')
    assert not marker.exists() and not (tmp_path / 'new.pth').exists()


def test_what_has_no_plain_form_is_not_written(bomb, tmp_path):
    """Trusted, it is run, which shows that the tests of refusal can fail."""
    file, marker = bomb
    make_plain(file, tmp_path / 'new.pth', trust=True)
    assert marker.exists()
    torch.save(dict(meta=dict(thing=Path)), tmp_path / 'class.pth')
    with pytest.raises(ConversionError, match='meta.thing'):
        make_plain(tmp_path / 'class.pth', tmp_path / 'other.pth', trust=True)
    (tmp_path / 'list.pth').write_bytes(pickle.dumps([1]))
    (tmp_path / 'text.pth').write_text('hello')
    for name in ('list.pth', 'text.pth'):
        with pytest.raises(ConversionError, match=name):
            make_plain(tmp_path / name, tmp_path / 'other.pth', trust=True)
    assert not (tmp_path / 'other.pth').exists()


def test_arguments_that_do_not_fit(old, tmp_path):
    for src, dst, options in (
        (tmp_path / 'no.pth', tmp_path / 'a.pth', {}),
        (old, tmp_path / 'a.safetensors', {}),
        (old, old, dict(force=True)),
    ):
        with pytest.raises(UsageError):
            make_plain(src, dst, trust=True, **options)


@pytest.fixture
def main(monkeypatch):
    """The tool's main."""
    monkeypatch.syspath_prepend(str(TOOLS))
    yield importlib.import_module('convert_checkpoint').main
    sys.modules.pop('convert_checkpoint')


def test_the_tool(main, old, tmp_path, capsys):
    new = tmp_path / 'new.pth'
    with pytest.raises(SystemExit) as stop:
        main([str(old), str(new), '--from', 'mmengine'])
    assert stop.value.code == 2 and '--trust' in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main([str(old), str(new), '--from', 'mmengine', '--trust'])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert 'called from the file: ' in said and f'written to {new}' in said
    assert load_checkpoint_file(str(new))['meta']['epoch'] == 2


@pytest.mark.parametrize(
    'words', ['--from mmengine --to timm', '--from mae', '--from mae --to timm --trust']
)
def test_the_tool_says_which_words_go_together(main, words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(['a.pth', 'b.pth', *words.split()])
    assert stop.value.code == 2 and '--from' in capsys.readouterr().err
