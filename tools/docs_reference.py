"""Pages that the code writes: every config, command and option, and the API."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

ARGUMENT = re.compile(r'^    (\*{0,2}\w+)(?: \(([^)]*(?:\([^)]*\)[^)]*)*)\))?: (.*)$')
DEFAULT = re.compile(r'\s*Defaults? to [^.]*(?:\.\d[^.]*)?\.$')


def pages(root: Path) -> dict[str, str]:
    """All of them.

    Args:
        root (Path): Of the repository.

    Returns:
        dict[str, str]: File name -> Markdown.
    """
    return {
        'configs.md': configs_page(root),
        'commands.md': commands_page(),
        'options.md': options_page(),
        'api.md': api_page(),
    }


def configs_page(root: Path) -> str:
    """What every config says of itself: its command, cost and expected number."""
    lines = ['# Every config', '', 'What each file says at its head.', '']
    for folder in sorted(p for p in (root / 'configs').iterdir() if p.is_dir()):
        if folder.name == '_base_':
            continue
        lines += [f'## {folder.name}', '', _readme_line(folder), '']
        for file in sorted(folder.glob('*.py')):
            link = f'[the file](../../configs/{folder.name}/{file.name})'
            head = re.match(r'(?:#.*\n)*', file.read_text(encoding='utf-8')).group()
            text = '\n'.join(line.lstrip('#')[1:] for line in head.splitlines())
            lines += [f'### {file.stem}', '', '```text', text, '```', '', link, '']
    return '\n'.join(lines)


def _readme_line(folder: Path) -> str:
    """A link to the folder's own page."""
    return f'More in [its README](../../configs/{folder.name}/README.md).'


def commands_page() -> str:
    """The help of every command."""
    import click

    from cmae_mm.cli import cmae

    lines = ['# Every command', '', 'What `cmae COMMAND --help` says.', '']
    context = click.Context(cmae, info_name='cmae', terminal_width=88)
    for name in cmae.list_commands(context):
        command = cmae.get_command(context, name)
        inner = click.Context(
            command, info_name=name, parent=context, terminal_width=88
        )
        lines += [f'## cmae {name}', '', '```text', command.get_help(inner), '```', '']
    return '\n'.join(lines)


def options_page() -> str:
    """Arguments of everything that is registered."""
    lines = [
        '# Every option',
        '',
        'What can stand in a config beside `type=...`, with type, unit and default.',
        '',
    ]
    for title, pieces in registered().items():
        lines += [f'## {title[0].upper()}{title[1:]}s', '']
        for name, piece in sorted(pieces.items()):
            lines += [f'### cmae_mm.{name}', '', summary(piece), '']
            rows = options_of(piece)
            if rows:
                lines += ['| option | type | default | |', '|---|---|---|---|']
                lines += ['| ' + ' | '.join(map(_cell, row)) + ' |' for row in rows]
                lines += ['']
            elif '__init__' not in vars(piece):
                base = piece.__mro__[1]
                lines += [f'Takes what `{base.__module__}.{base.__name__}` takes.', '']
    return '\n'.join(lines)


def registered() -> dict[str, dict[str, type]]:
    """Our registered pieces, by the name of their registry."""
    from cmae_mm import registry

    found = {}
    for value in vars(registry).values():
        if getattr(value, 'scope', None) == 'cmae_mm':
            value.import_from_location()
            if value.module_dict:
                found[value.name] = dict(value.module_dict)
    return found


def summary(piece: type) -> str:
    """The first paragraph of its docstring, in Markdown."""
    return _markdown(inspect.getdoc(piece).split('\n\n')[0])


def options_of(piece: type) -> list[tuple[str, str, str, str]]:
    """Name, type, default and meaning of every documented argument.

    Args:
        piece (type): A class, or function, with a docstring in Google style.

    Returns:
        list[tuple[str, str, str, str]]: In the order of the docstring.
    """
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(piece).parameters.items()
    }
    rows = []
    for name, kind, text in arguments(inspect.getdoc(piece)):
        default = defaults.get(name, inspect.Parameter.empty)
        shown = '' if default is inspect.Parameter.empty else f'`{default!r}`'
        kind = kind.removesuffix(', optional')
        rows.append(
            (f'`{name}`', kind, shown, _markdown(DEFAULT.sub('', text) or text))
        )
    return rows


def arguments(doc: str) -> list[tuple[str, str, str]]:
    """The section `Args:` of a docstring: name, type and text of each."""
    section = re.search(r'^Args:\n(.*?)(?=^\S|\Z)', doc, re.S | re.M)
    found: list[list[str]] = []
    for line in section.group(1).splitlines() if section else []:
        start = ARGUMENT.match(line)
        if start:
            found.append([part or '' for part in start.groups()])
        elif found:
            found[-1][2] = f'{found[-1][2]} {line.strip()}'.strip()
    return [tuple(item) for item in found]


def _markdown(text: str) -> str:
    """Roles and double backquotes of reStructuredText, as Markdown."""
    text = re.sub(r':\w+:`~?([^`]*)`', r'`\1`', text)
    return text.replace('``', '`')


def _cell(text: str) -> str:
    return ' '.join(text.split()).replace('|', r'\|')


def api_page() -> str:
    """One section for each module."""
    import cmae_mm

    lines = ['# API', '']
    packages = sorted(
        m.name for m in pkgutil.walk_packages(cmae_mm.__path__, 'cmae_mm.')
    )
    for name in packages:
        if any(part.startswith('_') for part in name.split('.')):
            continue
        if not importlib.util.find_spec(name).submodule_search_locations:
            lines += [f'## {name}', '', '```{eval-rst}', f'.. automodule:: {name}']
            lines += ['   :members:', '   :show-inheritance:', '```', '']
    return '\n'.join(lines)
