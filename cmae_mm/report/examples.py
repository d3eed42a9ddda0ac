"""Pictures that segmentation and detection runs have drawn themselves."""

from .blocks import picture, sentence, text
from .encoding import read_picture
from .records import MONITOR, Run

_MOST = 12  # pictures of a run
_WIDTH = 560  # pixels
_SHEET = 'pictures.png'  # of `make demo`


def example_pictures(runs: list[Run]) -> str:
    """Newest pictures of the visualisation hooks of each run, as HTML.

    Args:
        runs (list[Run]): Of mmpretrain, mmseg or mmdet.

    Returns:
        str: HTML; empty if no run has drawn anything.
    """
    return ''.join(map(_of_run, runs))


def _of_run(run: Run) -> str:
    """What one run has drawn."""
    newest = [
        (step, name, files[step])
        for name, files in run.pictures.items()
        if not name.startswith(MONITOR)
        for step in files
    ]
    newest = sorted(newest, key=lambda item: (-item[0], item[1]))[:_MOST]
    shown = [(f'{name}, step {step:,}', file) for step, name, file in newest]
    for folder in (run.folder, run.folder.parent):
        if (folder / _SHEET).is_file():
            shown.append(('all tasks of the demo', folder / _SHEET))
            break
    drawn, damaged = '', 0
    for words, file in shown:
        try:
            image = picture(read_picture(file, _WIDTH, 4 * _WIDTH), words)
        except OSError:
            damaged += 1
            continue
        drawn += f'<figure>{image}<figcaption>{text(words)}</figcaption></figure>'
    if not shown:
        return ''
    note = sentence(f'{damaged} damaged pictures are left out.') if damaged else ''
    return f'<h3>{text(run.name)}</h3><div class="gallery">{drawn}</div>{note}'
