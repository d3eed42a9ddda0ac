"""Matches on cases whose answer is known."""

import numpy as np
import pytest
import torch

from cmae_mm.datasets import PixelShift
from cmae_mm.models.masking import Masking
from cmae_mm.monitor.matching import (
    _compare,
    complete_patches,
    match_completed,
    match_figures,
    match_visible,
    true_places,
)

EVEN = torch.arange(0, 16, 2).expand(3, 8)
MASKING = Masking(EVEN, EVEN + 1)


@pytest.mark.parametrize(
    'decoder',
    [
        dict(decoder_depth=1),
        dict(type='cmae_mm.SharedFeatureDecoder'),
    ],
    ids=['own', 'shared'],
)
def test_completed_patches_have_the_mean_that_is_trained(
    build, tiny_cfg, views, decoder
):
    tiny_cfg['feature_decoder'].update(decoder)
    model = build(tiny_cfg).eval()
    latent, _ = model.backbone(views[0], MASKING)
    tokens = model.pixel_decoder.complete(latent, MASKING)
    expected = model.complete_features(latent, MASKING, tokens)
    found = complete_patches(model, latent, MASKING)
    assert found.shape == (3, 16, 16)
    torch.testing.assert_close(found.mean(dim=1), expected)


def test_without_a_feature_decoder_nothing_is_completed(build, tiny_cfg, views):
    model = build({**tiny_cfg, 'feature_decoder': None}).eval()
    assert match_completed(model, *views, MASKING) is None
    assert match_visible(model, *views, MASKING).maps.shape == (3, 8, 16)


def test_maps_are_cosines_of_centred_projections(build, tiny_cfg, views):
    """Patch by patch in plain loops, for one image."""
    model = build(tiny_cfg).eval()
    found = match_completed(model, *views, MASKING)
    with torch.no_grad():
        latent, _ = model.backbone(views[0], MASKING)
        decoder = model.feature_decoder
        tokens = decoder.decoder_pred(
            decoder.decoder_norm(decoder.complete(latent, MASKING))
        )
        keys = model.target_backbone(views[1], None)[-1][:, 1:]

        def project(vector, *necks):
            for neck in necks:
                vector = neck((vector[None],))[0][0]
            return vector

        predictor = model.contrastive_head.predictor
        q = torch.stack([project(t, model.projector, predictor) for t in tokens[1]])
        k = torch.stack([project(t, model.target_projector) for t in keys[1]])
    q, k = q - q.mean(0), k - k.mean(0)
    for n, place in enumerate(MASKING.ids_masked[1].tolist()):
        expected = torch.cosine_similarity(q[place][None], k, dim=1)
        torch.testing.assert_close(found.maps[1, n], expected, rtol=1e-4, atol=1e-5)


def test_places_are_where_the_pixels_are():
    """PixelShift itself cuts a picture whose pixels know where they come from."""
    patch, cols = 4, 5
    rows_, cols_ = np.mgrid[:30, :40]
    master = np.stack([rows_, cols_], axis=-1).astype(np.float32)
    np.random.seed(3)
    shift = PixelShift(size=(16, 20), shift_range=(0, 8))
    target = shift(dict(img=master))['img']
    ids = torch.arange(20)[None]
    shifts = torch.tensor([shift.last_offset])
    assert shift.last_offset != (0, 0)
    places = true_places(ids, shifts, cols, patch)[0]
    for index in range(20):
        row, col = divmod(index, cols)
        corner = master[row * patch, col * patch]  # of the patch in the online view
        hit = np.argwhere((target == corner).all(-1))
        if len(hit):
            assert (places[index].numpy() * patch).tolist() == hit[0].tolist()
        else:
            assert places[index].min() < 0


def test_features_that_know_their_place_match_everywhere():
    """Shifted by exactly one patch down, features follow their content."""
    torch.manual_seed(1)
    content = torch.randn(2, 6 * 5, 8)  # of a master of 6 rows and 5 columns
    online, target = content[:, : 5 * 5], content[:, 5:]
    ids = torch.arange(25).expand(2, 25)
    match = _compare(online, target, ids)
    places = true_places(ids, torch.tensor([[8, 0], [8, 0]]), 5, 8)
    hits, chance = match_figures(match.maps, places, (5, 5))
    assert hits == 1
    # By hand: of the 20 patches that are held, columns see 2, 3, 3, 3, 2 columns
    # and rows 2, 3, 3, 3 rows within one patch.
    assert chance == pytest.approx(13 / 5 * 11 / 4 / 25)
    foreign, _ = match_figures(match.foreign, places, (5, 5))
    assert foreign < 0.5
    wrong = true_places(ids, torch.tensor([[-16, 0], [-16, 0]]), 5, 8)
    assert match_figures(match.maps, wrong, (5, 5))[0] < 0.5


def test_guessing_hits_by_chance():
    torch.manual_seed(0)
    ids = torch.arange(64).expand(50, 64)
    places = true_places(ids, torch.randint(0, 9, (50, 2)), 8, 8)
    hits, chance = match_figures(torch.randn(50, 64, 64), places, (8, 8))
    assert hits == pytest.approx(chance, abs=0.02)


def test_a_target_that_holds_no_patch_gives_no_figure():
    places = true_places(torch.arange(4)[None], torch.tensor([[99, 0]]), 2, 4)
    hits, chance = match_figures(torch.rand(1, 4, 4), places, (2, 2))
    assert hits != hits and chance != chance
