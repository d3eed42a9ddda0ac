"""The site: documents, notebooks, and what the code says of itself.

    python tools/build_docs.py [--out build/site] [--no-notebooks]

Warnings are errors. Open build/site/index.html.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import docs_reference

ROOT = Path(__file__).resolve().parents[1]
# Laid out as in the repository, so that links between documents hold in both.
PARTS = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'LICENSE', 'Dockerfile']
PARTS += ['configs', 'docs', 'tools', 'cmae_mm', 'tests']
REDIRECT = """<!doctype html>
<meta charset="utf-8">
<title>cmae_mm</title>
<meta http-equiv="refresh" content="0; url=docs/index.html">
<a href="docs/index.html">cmae_mm</a>
"""


def lay_out(tree: Path) -> None:
    """Copy what documents are made of, or lead to."""
    tree.mkdir()
    leave_out = shutil.ignore_patterns('__pycache__', '.mim', '*.pyc', 'conf.py')
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=leave_out)
        else:
            shutil.copy(source, tree / name)


def run_notebooks(tree: Path) -> None:
    """Run the notebooks where they lie, each in a folder of its own; errors stop it."""
    import nbformat
    from nbclient import NotebookClient

    # Of tqdm, about a widget that a page cannot show.
    os.environ['PYTHONWARNINGS'] = 'ignore:IProgress not found'
    # For the cells that call cmae.
    scripts = Path(sys.executable).parent
    os.environ['PATH'] = f'{scripts}{os.pathsep}{os.environ["PATH"]}'
    for file in sorted(tree.glob('docs/tutorials/*.ipynb')):
        print(f'Running {file.name}', flush=True)
        cells = nbformat.read(file, as_version=4)
        with tempfile.TemporaryDirectory(prefix='cmae-notebook-') as folder:
            NotebookClient(
                cells,
                timeout=600,
                coalesce_streams=True,  # a shell's come in chunks that end anywhere
                resources=dict(metadata=dict(path=folder)),
            ).execute()
        nbformat.write(cells, file)


def main() -> int:
    """Build the site."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, default=ROOT / 'build/site')
    parser.add_argument(
        '--no-notebooks', action='store_true', help='show them, but do not run them'
    )
    args = parser.parse_args()
    try:
        from sphinx.cmd.build import build_main
    except ImportError:
        sys.exit("The site needs Sphinx. Try: pip install -e '.[docs]'")

    with tempfile.TemporaryDirectory(prefix='cmae-docs-') as folder:
        tree = Path(folder, 'source')
        lay_out(tree)
        for name, text in docs_reference.pages(ROOT).items():
            page = tree / 'docs/reference' / name
            page.parent.mkdir(exist_ok=True)
            page.write_text(text, encoding='utf-8')
        options = ['-W', '--keep-going', '-q', '-b', 'html', '-c', str(ROOT / 'docs')]
        if not args.no_notebooks:
            run_notebooks(tree)
        shutil.rmtree(args.out, ignore_errors=True)
        failed = build_main(
            [*options, '-d', str(Path(folder, 'trees')), str(tree), str(args.out)]
        )
    if failed:
        return 1
    (args.out / 'index.html').write_text(REDIRECT, encoding='utf-8')
    print(f'The site: {args.out / "index.html"}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
