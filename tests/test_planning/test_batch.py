"""The batch that fits, against a search that tries every size."""

import pytest

from cmae_mm.planning import batch
from cmae_mm.planning.batch import fitting_batch, free_memory


@pytest.mark.parametrize('fixed', [0, 1000, 79_999])
@pytest.mark.parametrize('per_image', [1, 37, 1000])
@pytest.mark.parametrize('small', [(2, 8), (4, 5)])
def test_the_largest_batch_below_the_share(fixed, per_image, small):
    asked = []

    def cost(images):
        asked.append(images)
        return fixed + per_image * images

    free = 100_000
    found = fitting_batch(cost, free, most=500, share=0.82, small=small)
    assert asked == [*small], 'nothing large is tried'
    fits = [n for n in range(2, 501) if fixed + per_image * n <= 0.82 * free]
    assert found == max(fits)


def test_a_cost_without_a_slope_gives_what_is_wanted():
    assert fitting_batch(lambda images: 100 - images, 1000, most=64) == 64


def test_two_images_that_do_not_fit_are_said():
    with pytest.raises(RuntimeError, match=r'needs 3\.00 GiB, and 2\.40 may') as error:
        fitting_batch(lambda images: images * 3 * 2**29, 3 * 2**30, most=64)
    assert 'smaller network' in str(error.value)


def test_free_memory_stays_within_the_container(tmp_path, monkeypatch):
    free = free_memory('cpu')
    if free is None:
        pytest.skip('no /proc here')
    for name, content in (('_LIMIT', f'{2**30}\n'), ('_USED', f'{2**29}\n')):
        (tmp_path / name).write_text(content)
        monkeypatch.setattr(batch, name, tmp_path / name)
    assert free_memory('cpu') == min(2**29, free_memory('cpu'))
    (tmp_path / '_LIMIT').write_text('max\n')
    assert free_memory('cpu') > 2**29 or free < 2**30
