"""Features turned into colours and places, checked by other means."""

import numpy as np
import pytest
import torch

from cmae_mm.report.maps import heat_map, nearest_neighbours, pca_maps, principal


def test_components_are_those_of_the_covariance():
    features = torch.randn(60, 5) * torch.tensor([9.0, 5.0, 1.0, 0.5, 0.1])
    projected, share = principal(features, 2)
    values, vectors = np.linalg.eigh(np.cov(features.double().numpy().T, ddof=0))
    centred = features.double().numpy() - features.double().numpy().mean(0)
    for i, vector in enumerate(vectors.T[::-1][:2]):
        expected = centred @ vector * np.sign(vector[np.abs(vector).argmax()])
        np.testing.assert_allclose(projected[:, i].numpy(), expected, atol=1e-3)
    assert share == pytest.approx(values[::-1][:2].sum() / values.sum(), abs=1e-5)


def test_features_that_are_all_the_same_give_zeros():
    projected, share = principal(torch.ones(4, 3), 2)
    assert (projected == 0).all() and share == 0
    assert principal(torch.randn(1, 3), 3)[0].shape == (1, 3)


def test_the_random_generator_is_left_alone():
    state = torch.get_rng_state()
    principal(torch.randn(5, 4, generator=torch.Generator()), 2)
    assert torch.equal(torch.get_rng_state(), state)


def test_like_patches_have_the_same_colour_in_all_pictures():
    patches = torch.zeros(2, 4, 6)
    patches[0, 1] = patches[1, 2] = torch.tensor([5.0, 0, 0, 0, 0, 0])
    patches[1, 3, 4] = 3.0
    one, two = pca_maps(patches, (2, 2))
    assert one.shape == (2, 2, 3) and one.dtype == np.uint8
    assert (one[0, 1] == two[1, 0]).all() and (one[0, 0] == two[0, 0]).all()
    assert (one[0, 1] != one[0, 0]).any() and (two[1, 1] != two[0, 0]).any()


def test_attention_is_bright_where_it_looks():
    seen = torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    warm = heat_map(seen, np.zeros((8, 8, 3), np.uint8)).sum(axis=2)
    assert warm[7, 7] > 3 * max(warm[0, 0], 1) and warm.shape == (8, 8)


def test_neighbours_by_hand():
    features = torch.tensor([[1.0, 0], [9, 1], [0, 1], [-1, -1]])
    cosines, found = nearest_neighbours(features, [0, 2], 2)
    assert found.tolist() == [[1, 2], [1, 0]]
    assert cosines[0, 0] == pytest.approx(9 / 82**0.5)
    assert nearest_neighbours(features, [0], 9)[1].shape == (1, 3)
