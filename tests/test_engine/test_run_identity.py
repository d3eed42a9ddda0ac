"""What must stay the same in a resumed run."""

import pytest
from mmengine.dataset import BaseDataset, ConcatDataset

from cmae_mm.engine import run_identity
from cmae_mm.engine.run_identity import changes, names_fingerprint


class Images(BaseDataset):
    """Images of these names."""

    def __init__(self, paths):
        self.paths = paths
        super().__init__()

    def load_data_list(self):
        return [dict(img_path=path) for path in self.paths]


NAMES = [f'cats/{i}.jpg' for i in range(50)]


def fingerprint(names):
    return names_fingerprint(Images(names))


def test_the_folder_above_does_not_count():
    first = fingerprint([f'/scratch/a/{name}' for name in NAMES])
    assert first == fingerprint([f'/scratch/b/c/{name}' for name in NAMES])


@pytest.mark.parametrize(
    'changed',
    [NAMES[1:], NAMES[::-1], ['dogs/0.jpg', *NAMES[1:]], [*NAMES, 'cats/50.jpg']],
)
def test_other_names_or_another_order_count(changed):
    assert fingerprint(changed) != fingerprint(NAMES)


def test_of_many_images_some_are_looked_at(monkeypatch):
    asked = []
    monkeypatch.setattr(run_identity, '_SAMPLED_NAMES', 10)
    dataset = Images(NAMES)
    get = dataset.get_data_info
    dataset.get_data_info = lambda index: asked.append(index) or get(index)
    assert names_fingerprint(dataset)
    assert asked == list(range(0, 50, 5))


def test_a_data_set_of_several_parts_tells_its_names():
    both = ConcatDataset([Images(NAMES[:20]), Images(NAMES[20:])])
    assert names_fingerprint(both) == fingerprint(NAMES)


def test_a_data_set_without_names_has_no_fingerprint():
    assert names_fingerprint([1, 2, 3]) is None


def test_changes_are_said_in_words():
    then = dict(world_size=2, batch_size=8, names='a')
    now = dict(world_size=1, batch_size=8, names='a')
    assert changes(then, now) == ['number of processes: 2 then, 1 now']
    assert changes(then, then) == []
