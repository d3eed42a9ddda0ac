"""Check that every relative link in the documents leads to a file that exists.

Also checks `#heading` anchors into Markdown files. Addresses outside this project
are not opened.
"""

import re
import sys
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r'\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|(?:src|href)="([^"]+)"')
FENCE = re.compile(r'^( *)(```|~~~).*?^ *\2[`~]*\s*$', re.M | re.S)


def documents():
    """List the Markdown files that people read."""
    yield from sorted(ROOT.glob('*.md'))
    for folder in ('docs', 'configs'):
        yield from sorted((ROOT / folder).rglob('*.md'))


def prose(document):
    """Read a document, with code blanked out (line numbers stay)."""
    text = document.read_text(encoding='utf-8')
    text = FENCE.sub(lambda m: '\n' * m.group().count('\n'), text)
    return re.sub(r'`[^`\n]*`', '``', text)


def anchors(document):
    """Collect the anchors that hosting sites make from headings."""
    text = document.read_text(encoding='utf-8')
    found = set(re.findall(r'(?:id|name)="([^"]+)"', text))
    counts = {}
    for title in re.findall(r'^#{1,6} +(.+?) *#*$', FENCE.sub('', text), re.M):
        title = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', title)
        slug = re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-')
        number = counts[slug] = counts.get(slug, -1) + 1
        found.add(f'{slug}-{number}' if number else slug)
    return found


def complaint(document, target):
    """Say what is wrong with a link, or nothing."""
    if re.match(r'[a-z][a-z0-9+.-]*:|//', target, re.I):
        return None
    path, _, anchor = unquote(target).partition('#')
    base = ROOT / path.lstrip('/') if path.startswith('/') else document.parent / path
    file = base if path else document
    if not file.exists():
        return 'leads to no file'
    if anchor and file.suffix == '.md' and anchor not in anchors(file):
        return f'{file.name} has no heading for #{anchor}'
    return None


def main():
    """Print the broken links; return 1 when there is one."""
    checked = broken = 0
    for document in documents():
        for number, line in enumerate(prose(document).splitlines(), 1):
            for match in LINK.finditer(line):
                target = match.group(1) or match.group(2)
                checked += 1
                if wrong := complaint(document, target):
                    broken += 1
                    print(f'{document.relative_to(ROOT)}:{number}: {target}: {wrong}')
    print(f'{checked} links checked, {broken} broken')
    return int(broken > 0)


if __name__ == '__main__':
    sys.exit(main())
