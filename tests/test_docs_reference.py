"""The pages that the code writes of itself."""

import inspect
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def reference(monkeypatch):
    """The module behind tools/build_docs.py."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    import docs_reference

    yield docs_reference
    sys.modules.pop('docs_reference')


def test_arguments_are_read_from_docstrings(reference):
    def sample(size, ratio=0.5, *rest, **kwargs):
        """Sum.

        Args:
            size (int | tuple[int, int]): Of a side (in pixels),
                over two lines.
            ratio (float, optional): In [0, 1). Defaults to 0.5.
            **kwargs: The others: all.

        Returns:
            int: Not an argument.
        """

    assert reference.options_of(sample) == [
        (
            '`size`',
            'int | tuple[int, int]',
            '',
            'Of a side (in pixels), over two lines.',
        ),
        ('`ratio`', 'float', '`0.5`', 'In [0, 1).'),
        ('`**kwargs`', '', '', 'The others: all.'),
    ]


def test_every_option_is_documented(reference):
    """Each argument of what is registered, and nothing that is no argument."""
    found = reference.registered()
    assert sum(map(len, found.values())) > 40
    for pieces in found.values():
        for name, piece in pieces.items():
            if inspect.isclass(piece) and '__init__' not in vars(piece):
                continue
            parameters = inspect.signature(piece).parameters.values()
            open_ended = any(p.kind == p.VAR_KEYWORD for p in parameters)
            takes = {
                p.name
                for p in parameters
                if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
            }
            documented = {row[0].strip('`') for row in reference.options_of(piece)}
            assert takes <= documented, name
            if not open_ended:
                assert documented <= takes, name


def test_every_config_and_command_has_its_section(reference):
    from cmae_mm.cli import COMMANDS

    page = reference.configs_page(ROOT)
    for file in ROOT.glob('configs/*/*.py'):
        assert (f'### {file.stem}\n' in page) is (file.parent.name != '_base_')
    page = reference.commands_page()
    assert page.count('## cmae ') == len(COMMANDS)
    assert page.count('Usage: cmae ') == len(COMMANDS)
