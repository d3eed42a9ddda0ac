"""Pictures that segmentation and detection runs have drawn themselves."""

from pathlib import Path

from .blocks import picture, sentence, text
from .encoding import read_picture
from .records import MONITOR, Run

_MOST = 12  # pictures of a run
_WIDTH = 560  # pixels
_WIDE = 1120  # of a sheet, which holds several side by side
_DEMO = 'pictures.png'  # of `make demo`, beside its runs
_DRAWN = 'examples.png'  # of cmae segment and cmae detect


def example_pictures(runs: list[Run]) -> str:
    """Sheets and newest pictures of the visualisation hooks of each run, as HTML.

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
    single = [(f'{name}, step {step:,}', file) for step, name, file in newest]
    sheets = _sheets(run)
    if not single and not sheets:
        return ''
    wide = [_draw(file, words, _WIDE) for words, file in sheets]
    small = [_draw(file, words, _WIDTH) for words, file in single]
    damaged = (wide + small).count('')
    note = sentence(f'{damaged} damaged pictures are left out.') if damaged else ''
    drawn = ''.join(
        f'<div class="{kind}">{"".join(figures)}</div>'
        for kind, figures in (('sheets', wide), ('gallery', small))
        if any(figures)
    )
    return f'<h3>{text(run.name)}</h3>{drawn}{note}'


def _sheets(run: Run) -> list[tuple[str, Path]]:
    """Pictures of several images at once, and words for them."""
    sheets = []
    if (run.folder / _DRAWN).is_file():
        words = 'image, truth and what was found, of images not learnt from'
        sheets.append((words, run.folder / _DRAWN))
    for folder in (run.folder, run.folder.parent):
        if (folder / _DEMO).is_file():
            sheets.append(('all tasks of the demo', folder / _DEMO))
            break
    return sheets


def _draw(file: Path, words: str, width: int) -> str:
    """A picture and what it is; empty if it is damaged."""
    try:
        image = picture(read_picture(file, width, 4 * width), words)
    except OSError:
        return ''
    return f'<figure>{image}<figcaption>{text(words)}</figcaption></figure>'
