"""Generators read, set and left alone."""

import random

import numpy as np
import pytest
import torch

from cmae_mm.engine.random_state import (
    gather_random_states,
    random_state,
    set_random_state,
    undisturbed,
)


def draws():
    """One number of each kind, so that spare normal deviates are in play, too."""
    return (
        random.random(),
        random.gauss(0, 1),
        np.random.rand(),
        np.random.randn(),
        torch.rand(3).tolist(),
        torch.randn(3).tolist(),
    )


@pytest.mark.parametrize('earlier', [0, 1, 2])
def test_a_state_that_is_set_gives_the_same_draws(earlier):
    for _ in range(earlier):
        draws()
    state = random_state()
    first = draws()
    assert draws() != first
    set_random_state(state)
    assert draws() == first


def test_a_state_consists_of_tensors_alone():
    for state in gather_random_states():
        assert all(isinstance(value, torch.Tensor) for value in state.values())


def test_what_is_drawn_undisturbed_leaves_no_trace():
    state = random_state()
    first = draws()
    set_random_state(state)
    with undisturbed():
        draws()
    assert draws() == first


def test_an_error_leaves_no_trace_either():
    state = random_state()
    first = draws()
    set_random_state(state)
    with pytest.raises(OSError), undisturbed():
        draws()
        raise OSError
    assert draws() == first
