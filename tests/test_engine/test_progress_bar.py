"""The bar on a terminal, and its absence elsewhere."""

import io
import logging
import re
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub

from cmae_mm.engine import progress_bar
from cmae_mm.engine.progress_bar import ProgressBar, describe, memory_in_use, place

HOOKS = (dict(type='cmae_mm.PlainCheckpointHook'), dict(type='cmae_mm.ProgressBar'))


class Terminal(io.StringIO):
    """Keeps what was written; says that somebody looks."""

    def isatty(self):
        return True


def screen(text):
    """What is to be read on a terminal in the end: its codes, one after the other."""
    lines, row, column = [''], 0, 0
    for code in re.findall(r'\x1b\[\??[0-9;]*[A-Za-z]|.|\n', text, re.S):
        if code == '\n':
            row, column = row + 1, 0
            lines += [''] * (row + 1 - len(lines))
        elif code == '\r':
            column = 0
        elif code == '\x1b[2K':
            lines[row] = ''
        elif code.endswith('A') and code.startswith('\x1b'):
            row -= int(code[2:-1])
        elif not code.startswith('\x1b'):
            lines[row] = (
                lines[row][:column].ljust(column) + code + lines[row][column + 1 :]
            )
            column += 1
    return [line.rstrip() for line in lines]


@pytest.fixture
def look(monkeypatch):
    """Put a terminal in the place of stdout; to be called by the test itself."""

    def put():
        terminal = Terminal()
        monkeypatch.setattr(sys, 'stdout', terminal)
        monkeypatch.setenv('TERM', 'xterm')
        monkeypatch.setenv('COLUMNS', '120')
        monkeypatch.setattr(progress_bar, '_PAUSE', 0)
        return terminal

    return put


def bar_of(runner):
    return next(hook for hook in runner.hooks if isinstance(hook, ProgressBar))


def test_the_bar_moves_and_the_log_stays_whole(look, toy_runner, tmp_path):
    terminal = look()
    runner = toy_runner(tmp_path, hooks=HOOKS, log_level='INFO')
    streams = [getattr(handler, 'stream', None) for handler in runner.logger.handlers]
    start = len(terminal.getvalue())
    runner.train()
    shown = terminal.getvalue()[start:]
    for part in ('epoch 1/2', 'epoch 2/2', ' left', 'images/s', 'data wait', '100%'):
        assert part in shown
    logged = [line for line in screen(shown) if line]
    assert not any('images/s' in line for line in logged), 'the bar is gone'
    (file,) = tmp_path.glob('*/*.log')
    # The same lines as in the file, whose date is longer.
    written = [line.partition(' - ')[2] for line in file.read_text().splitlines()]
    assert len(logged) > 4
    for line in logged:
        assert line.partition(' - ')[2] in written
    after = [getattr(handler, 'stream', None) for handler in runner.logger.handlers]
    assert after == streams and sys.stdout is terminal


def test_nothing_changes_without_a_terminal(toy_runner, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress_bar, '_PAUSE', 0)
    said = []
    for name, hooks in (('with', HOOKS), ('without', HOOKS[:1])):
        runner = toy_runner(tmp_path / name, hooks=hooks, log_level='INFO')
        capsys.readouterr()
        runner.train()
        out = re.sub(
            r'time: \S+|eta: \S+|\d\d:\d\d:\d\d|toy-\S+', '', capsys.readouterr().out
        )
        said.append(out.replace(str(tmp_path / name), ''))
    assert said[0] == said[1] and '\x1b[2K' not in said[0]


@pytest.mark.parametrize('reason', ['another rank', 'a dumb terminal'])
def test_only_the_first_rank_and_a_real_terminal(
    reason, look, toy_runner, tmp_path, monkeypatch
):
    terminal = look()
    if reason == 'another rank':
        monkeypatch.setattr(progress_bar, 'is_main_process', lambda: False)
    else:
        monkeypatch.setenv('TERM', 'dumb')
    toy_runner(tmp_path, hooks=HOOKS).train()
    assert 'images/s' not in terminal.getvalue()


def test_after_an_error_the_terminal_is_given_back(look, toy_runner, tmp_path):
    terminal = look()
    runner = toy_runner(tmp_path, hooks=HOOKS)
    handlers = [h for h in runner.logger.handlers if type(h) is logging.StreamHandler]
    runner.model.forward = None
    with pytest.raises(TypeError):
        runner.train()
    print('a reason')
    assert [h.stream for h in handlers] != [terminal]
    before = terminal.getvalue()
    assert before.rindex('\x1b[?25h') > before.rindex('\x1b[?25l'), 'also if killed'
    bar_of(runner).close()  # what the end of the process calls
    assert [h.stream for h in handlers] == [terminal] and sys.stdout is terminal
    assert 'a reason' in screen(terminal.getvalue()), 'a line of its own'
    assert (
        terminal.getvalue().endswith('\x1b[2K') and '\x1b[?25h' in terminal.getvalue()
    )


def runner_with(scalars, **infos):
    hub = MessageHub(f'bar-{len(MessageHub._instance_dict)}')
    for name, values in scalars.items():
        for value in values:
            hub.update_scalar(name, value)
    for name, value in infos.items():
        hub.update_info(name, value)
    batches = SimpleNamespace(batch_size=32)
    return SimpleNamespace(
        message_hub=hub,
        world_size=4,
        train_dataloader=SimpleNamespace(batch_sampler=batches),
    )


def test_figures_are_those_of_the_last_steps(monkeypatch):
    monkeypatch.setattr(progress_bar, 'memory_in_use', lambda: 3 * 2**29)
    # The first steps, long ago, do not count.
    times, waits = [100.0] + 20 * [0.5], [99.0] + 20 * [0.1]
    runner = runner_with({'train/time': times, 'train/data_time': waits}, eta=3723.4)
    assert describe(runner) == [
        '1:02:03 left',
        '256 images/s',
        'data wait 20 %',
        '1.50 GiB',
    ]
    assert isinstance(runner.message_hub.get_scalar('train/time'), HistoryBuffer)


def test_what_nobody_measures_is_left_out(monkeypatch):
    monkeypatch.setattr(progress_bar, 'memory_in_use', lambda: None)
    assert describe(runner_with({})) == ['', '', '', '']


def test_memory_grows_with_what_is_held():
    before = memory_in_use()
    if before is None or torch.cuda.is_available():
        pytest.skip('not told here')
    held = torch.ones(2**26)  # 256 MiB
    assert memory_in_use() - before > 200 * 2**20 and held[0] == 1


def test_trainings_by_iterations_count_steps():
    assert place(SimpleNamespace(max_iters=400), 20) == 'step 20/400'
