"""Nearest names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmae_mm.guards.spelling import count_slips, nearest

WORDS = st.text(alphabet='abc_', max_size=5)


def search_slips(one, other):
    """The same distance by trying everything: slow and obvious."""
    if not one or not other:
        return len(one) + len(other)
    if one[0] == other[0]:
        return search_slips(one[1:], other[1:])
    ways = [
        search_slips(one[1:], other),
        search_slips(one, other[1:]),
        search_slips(one[1:], other[1:]),
    ]
    if one[1:2] == other[0] and other[1:2] == one[0]:
        ways.append(search_slips(one[2:], other[2:]))
    return 1 + min(ways)


@given(WORDS, WORDS)
def test_slips_are_those_of_an_exhaustive_search(one, other):
    assert count_slips(one, other) == search_slips(one, other)


@pytest.mark.parametrize(
    ('word', 'meant'),
    [
        ('optim_wraper', ['optim_wrapper']),
        ('optmi_wraper', ['optim_wrapper']),
        ('Model', ['model']),
        ('rl', ['lr']),
        ('env_cgf', ['env_cfg']),
        ('conv_cfg', []),
        ('my_root', []),
        ('lu', ['lr', 'mu']),
    ],
)
def test_only_slips_are_corrected(word, meant):
    known = ['optim_wrapper', 'model', 'lr', 'mu', 'env_cfg', 'work_dir']
    assert nearest(word, known) == meant
