"""``cmae inspect``, as it is typed."""

import pytest
import torch


@pytest.fixture
def inspect(cmae, monkeypatch):
    """Run it on a file; exit code, and what it printed."""
    monkeypatch.setenv('COLUMNS', '200')

    def run(path):
        code, out, err = cmae('inspect', path)
        return code, out + err

    return run


def test_a_checkpoint_of_a_run(inspect, toy_runner, tmp_path):
    toy_runner(tmp_path / 'run').train()
    code, said = inspect(tmp_path / 'run' / 'epoch_2.pth')
    assert code == 0
    rows = {line.split()[0]: ' '.join(line.split()[1:]) for line in said.splitlines()}
    assert rows['kind'] == 'training checkpoint, of an unknown network'
    assert rows['epoch'] == '2' and rows['iteration'] == '4'
    assert rows['resume'] == 'yes' and 'cmae_mm' in rows and 'torch' in rows
    assert '│ layer    │       2 │       2 │ float32 │' in said


def test_what_is_wrong_is_said_and_tells_by_the_exit_code(inspect, tmp_path):
    torch.save(dict(w=torch.tensor(float('inf')), x=torch.ones(2)), tmp_path / 'a.pth')
    code, said = inspect(tmp_path / 'a.pth')
    assert code == 1 and '1: w' in said and 'resume' in said
    (tmp_path / 'b.pth').write_bytes(b'cos\nsystem\n.')
    code, said = inspect(tmp_path / 'b.pth')
    assert code == 1 and 'pickle with code' in said and '1: os.system' in said


def test_a_file_cannot_paint_on_the_terminal(inspect, tmp_path):
    weights = {'[red]a\x1b[31m.b': torch.ones(1)}
    torch.save(dict(state_dict=weights, meta=dict(epoch='\x1b[2J')), tmp_path / 'a.pth')
    code, said = inspect(tmp_path / 'a.pth')
    assert code == 0 and '\x1b' not in said
    assert r'[red]a\x1b[31m' in said and r'\x1b[2J' in said


def test_a_missing_file_is_an_error(inspect, tmp_path):
    code, said = inspect(tmp_path / 'no.pth')
    assert 'There is no file' in said and code == 1
