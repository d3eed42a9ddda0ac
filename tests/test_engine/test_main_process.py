"""Two processes over gloo: one acts, both know."""

import os
import time

import pytest
import torch.distributed as dist

from cmae_mm.engine.main_process import on_main_process


def two_ranks(tmp_path, script):
    """Call script(rank) in two processes; what they returned or raised, as text."""
    children = []
    for rank in range(2):
        child = os.fork()
        if child == 0:
            try:
                dist.init_process_group(
                    'gloo', f'file://{tmp_path}/meet', rank=rank, world_size=2
                )
                said = repr(script(rank))
            except BaseException as error:
                said = f'{type(error).__name__}: {error}'
            (tmp_path / str(rank)).write_text(said)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    return [(tmp_path / str(rank)).read_text() for rank in range(2)]


def test_the_result_is_known_everywhere_and_nobody_leaves_before(tmp_path):
    def act():
        time.sleep(0.2)
        (tmp_path / 'done').touch()
        return os.getpid()

    def script(rank):
        result = on_main_process(act)
        return (tmp_path / 'done').exists(), rank == 0 or result != os.getpid()

    assert two_ranks(tmp_path, script) == ['(True, True)'] * 2


def test_an_error_is_known_everywhere(tmp_path):
    def fail():
        raise ValueError('the reason')

    assert two_ranks(tmp_path, lambda rank: on_main_process(fail)) == [
        'ValueError: the reason',
        'RuntimeError: On rank 0: the reason',
    ]


def test_one_process_alone_acts(tmp_path):
    assert on_main_process(lambda: 3) == 3
    with pytest.raises(ValueError, match='no'):
        on_main_process(lambda: int('no'))
