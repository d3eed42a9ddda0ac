"""docs/features.md: every mark of ours has something to show."""

import re
from pathlib import Path

from cmae_mm.cli import COMMANDS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / 'docs/features.md').read_text(encoding='utf-8')


def section(title):
    return re.split(r'^## ', TEXT.partition(f'## {title}')[2], flags=re.M)[0]


def rows(text):
    """Numbered rows of a table: number -> other cells."""
    found = re.findall(r'^\| (\d+) \|(.*)\|$', text, re.M)
    return {
        int(number): [c.strip() for c in cells.split('|')] for number, cells in found
    }


MARKS = rows(TEXT.partition('## ')[0])
EVIDENCE = rows(section('Ours: what shows it'))


def test_every_cell_has_a_mark():
    assert list(MARKS) == list(range(1, 36))
    for number, (what, *cells) in MARKS.items():
        assert what and len(cells) == 7, number
        for cell in cells:
            assert re.fullmatch(r'[YPN](/[YPN])*|-|\?', cell), (number, cell)


def test_what_is_in_part_or_missing_is_said():
    assert set(MARKS) == set(EVIDENCE)
    for number, (shown, test, missing) in EVIDENCE.items():
        assert shown, number
        ours = MARKS[number][1]
        assert missing or set(ours) <= set('Y/'), number
        assert test or 'Y' not in ours, number


def test_commands_named_exist():
    assert set(re.findall(r'`cmae ([a-z-]+)', TEXT)) <= set(COMMANDS)


def test_tests_named_exist():
    named = {
        n for cells in EVIDENCE.values() for n in re.findall(r'`(\S+\.py)`', cells[1])
    }
    assert len(named) > 30
    assert not [name for name in named if not (ROOT / 'tests' / name).is_file()]


def test_files_and_types_named_exist():
    from cmae_mm import registry

    ours = TEXT.partition('## The others')[0]
    files = re.findall(r'`((?:tools|cmae_mm|configs)/[\w./-]+)`', ours)
    assert files and all((ROOT / file).exists() for file in files)
    registries = [r for r in vars(registry).values() if hasattr(r, 'module_dict')]
    for name in set(re.findall(r'`cmae_mm\.([A-Z]\w+)', ours)):
        assert any(registry.get(f'cmae_mm.{name}') for registry in registries), name
