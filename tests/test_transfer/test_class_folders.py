"""Class folders: what is found, how it is split, what is refused."""

import pytest

from cmae_mm.transfer.class_folders import read_class_folders


@pytest.fixture
def folder(tmp_path):
    """Make empty files that are called like images."""

    def make(**counts):
        for name, count in counts.items():
            sub = tmp_path / name.replace('__', '/')
            sub.mkdir(parents=True)
            for number in range(count):
                (sub / f'{number}.JPG').touch()
            (sub / 'notes.txt').touch()
        return tmp_path

    return make


def test_two_parts(folder):
    data = read_class_folders(
        folder(train__cat=3, train__dog=2, validation__cat=1, validation__dog=3)
    )
    assert data.classes == ('cat', 'dog') and data.how == 'train and validation'
    assert [label for _, label in data.train] == [0, 0, 0, 1, 1]
    assert data.val[0] == ('validation/cat/0.JPG', 0)
    assert data.chance == 3 / 4


def test_one_part_is_split_class_by_class_and_the_same_each_time(folder):
    root = folder(cat=10, dog=5, owl=2)
    data = read_class_folders(root)
    held_out = [label for _, label in data.val]
    assert [held_out.count(label) for label in range(3)] == [2, 1, 1]
    assert 'seed 0' in data.how and '20%' in data.how
    assert not set(data.train) & set(data.val)
    assert len(data.train) + len(data.val) == 17
    assert read_class_folders(root) == data
    assert read_class_folders(root, seed=1).val != data.val


@pytest.mark.parametrize(
    ('counts', 'complaint'),
    [
        (dict(cat=3), 'two or more'),
        (dict(cat=3, dog=0), 'none in dog'),
        (dict(cat=3, dog=1), 'A single image in class dog'),
        (dict(train__cat=2, train__dog=2), 'none of val, validation, test'),
        (
            dict(train__cat=1, train__dog=1, val__cat=1, val__owl=1),
            'only in one of them: dog, owl',
        ),
    ],
)
def test_what_is_refused(folder, counts, complaint):
    with pytest.raises(ValueError, match=complaint):
        read_class_folders(folder(**counts))
