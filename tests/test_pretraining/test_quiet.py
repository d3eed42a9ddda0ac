"""What a runner says while it is built goes to its file."""

import pytest

from cmae_mm.pretraining.quiet import quiet_building


def test_the_file_has_all_and_the_terminal_what_matters(toy_runner, tmp_path, capsys):
    with quiet_building():
        runner = toy_runner(tmp_path, log_level='INFO')
        runner.logger.warning('look out')
    out = capsys.readouterr().out
    assert 'look out' in out and 'System environment' not in out
    (file,) = tmp_path.glob('*/*.log')
    assert 'System environment' in file.read_text()
    runner.logger.info('as always')
    assert 'as always' in capsys.readouterr().out
    runner.train()
    out = capsys.readouterr().out
    assert 'Saving checkpoint at 2 epochs' in out and 'deprecated' not in out
    assert 'deprecated' in file.read_text()


def test_an_error_gives_the_terminal_back(capsys):
    with pytest.raises(ValueError), quiet_building():
        print('not now')
        raise ValueError
    print('now')
    assert capsys.readouterr().out == 'now\n'
