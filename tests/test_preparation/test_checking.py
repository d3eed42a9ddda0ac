import pytest

from cmae_mm.preparation.checking import count, examine, files_below


def test_count_is_good_only_if_equal():
    assert count('images', 3, 3, 'mend').good
    assert not count('images', 4, 3, 'mend').good


def test_files_below_sorts_and_leaves_hidden_ones_out(tmp_path):
    for name in (
        'b/2.JPEG',
        'b/1.jpeg',
        'a.jpeg',
        'c.txt',
        '.d.jpeg.part',
        '.e/f.jpeg',
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert files_below(tmp_path, ('.jpeg',)) == ['a.jpeg', 'b/1.jpeg', 'b/2.JPEG']
    assert files_below(tmp_path / 'nowhere', ('.jpeg',)) == []


@pytest.mark.parametrize(('sample', 'looked_at'), [(None, 2500), (7, 7), (9999, 2500)])
def test_examine_looks_at_as_many_as_asked_for(sample, looked_at):
    seen = []
    finding = examine('numbers', range(2500), seen.append, sample, 'mend')
    assert finding.good
    assert finding.found == f'{looked_at} of {looked_at}'
    assert len(set(seen)) == len(seen) == looked_at


def test_examine_draws_the_same_again():
    draws = []
    for _ in range(2):
        seen = []
        examine('numbers', range(1000), seen.append, 5, 'mend')
        draws.append(sorted(seen))
    assert draws[0] == draws[1] != list(range(5))


def test_examine_names_five_faults():
    def fault(number):
        return f'<{number}>' if number % 2 else None

    finding = examine('numbers', range(16), fault, None, 'Mend it.')
    assert not finding.good
    assert finding.found == '8 of 16'
    assert finding.mend.startswith('<1>; <3>; <5>; <7>; <9> ...')
    assert finding.mend.endswith('Mend it.')


def test_examine_finds_nothing_not_good():
    finding = examine('numbers', [], str, None, 'Mend it.')
    assert (finding.good, finding.found, finding.mend) == (False, 'none', 'Mend it.')
