"""The time-lapse: the same pictures again and again while the model learns."""

from dataclasses import dataclass

import numpy as np

from .blocks import picture, sentence, text
from .encoding import read_picture
from .records import MONITOR, Run

_FRAMES = 20  # of a sequence; enough to see it move, little enough to send
_ROWS = 4  # sequences of one kind
_WIDTH = 588  # pixels of a row of four: 144 each, and the gaps
_GAP = 4  # white pixels between the pictures of a row


@dataclass
class _Kind:
    """What the monitor hook draws.

    Args:
        title (str): Heading.
        caption (str): What is to be seen.
        columns (tuple[str, ...]): What stands side by side.
    """

    title: str
    caption: str
    columns: tuple[str, ...]


_KINDS = {
    'monitor_view': _Kind(
        'What the model rebuilds',
        'The same pictures under the same masks every time.',
        ('input', 'masked', 'reconstruction', 'target view'),
    ),
    'monitor_match': _Kind(
        'Where it finds the patches again',
        'How similar the target view is to each of three patches, outlined on the '
        'left; bright is similar. The true place is outlined in the colour of the '
        'patch, the best match in white.',
        ('masked', 'first patch', 'second patch', 'third patch'),
    ),
}


def time_lapse(run: Run) -> str:
    """The pictures of the monitor hook, moved by one slider, as HTML.

    Args:
        run (Run): With pictures whose names begin with :data:`MONITOR`.

    Returns:
        str: HTML; a sentence if there are no such pictures, or none can be read.
    """
    kinds: dict[str, list[dict[int, np.ndarray]]] = {}
    damaged = 0
    for name, files in run.pictures.items():
        if not name.startswith(MONITOR):
            continue
        frames = {}
        for step in _spread(list(files), _FRAMES):
            try:
                frames[step] = read_picture(files[step], _WIDTH)
            except OSError:
                damaged += 1
        if frames:
            kinds.setdefault(name.rsplit('_', 1)[0], []).append(frames)
    if not kinds:
        why = 'its pictures are damaged' if damaged else 'this run recorded none'
        return sentence(
            f'There is no time-lapse: {why}. The hook cmae_mm.LearningMonitor takes '
            'pictures while a model learns.'
        )
    steps = sorted({s for rows in kinds.values() for frames in rows for s in frames})
    ordered = sorted(kinds, key=lambda kind: [*_KINDS, kind].index(kind))
    shown = ''.join(_kind(kind, kinds[kind][:_ROWS]) for kind in ordered)
    note = sentence(f'{damaged} damaged pictures are left out.') if damaged else ''
    return (
        f'<div class="lapse">{_controls(steps)}<div class="kinds">{shown}</div></div>'
        f'{note}'
    )


def _spread(steps: list[int], most: int) -> list[int]:
    """At most so many of them, the first and the last among them."""
    if len(steps) <= most:
        return steps
    return [steps[i] for i in np.linspace(0, len(steps) - 1, most).round().astype(int)]


def _controls(steps: list[int]) -> str:
    """Button and slider; the script shows them."""
    last = len(steps) - 1
    return (
        '<div class="controls" hidden><button type="button" class="play" '
        'aria-label="Play the time-lapse">Play</button>'
        f'<input type="range" min="0" max="{last}" value="{last}" step="1" '
        f'aria-label="Training step of the pictures" data-steps="{text(steps)}">'
        f'<output>step {steps[-1]:,}</output></div>'
    )


def _kind(kind: str, rows: list[dict[int, np.ndarray]]) -> str:
    """All sequences of one kind."""
    known = _KINDS.get(kind)
    if known is None:
        known = _Kind(kind.removeprefix(MONITOR).replace('_', ' '), '', ())
    columns = known.columns[: count_tiles(rows[0][max(rows[0])])]
    names = ''.join(f'<span class="name">{text(name)}</span>' for name in columns)
    head = f'<div class="names columns-{len(columns)}">{names}</div>' if names else ''
    what = ', '.join(columns) or known.title
    film = 'film labelled' if columns else 'film'
    return (
        f'<div><h3>{text(known.title)}</h3><p class="lead">{text(known.caption)}</p>'
        f'<div class="{film}">{head}'
        f'{"".join(_sequence(frames, what) for frames in rows)}</div></div>'
    )


def count_tiles(row: np.ndarray) -> int:
    """How many pictures stand side by side: three if the gaps say so, else four.

    Without contrast there is no target view.

    Args:
        row (ndarray): RGB, uint8 (H, W, 3).
    """
    width = row.shape[1]
    tile = (width - 2 * _GAP) // 3
    gaps = [row[:, at : at + _GAP] for at in (tile, 2 * tile + _GAP)]
    whole = 3 * tile + 2 * _GAP == width
    return 3 if whole and all((gap == 255).all() for gap in gaps) else 4


def _sequence(frames: dict[int, np.ndarray], what: str) -> str:
    """All pictures of a row; the script shows one at a time, the newest first."""
    parts = []
    for step, image in frames.items():
        current = ' class="current"' if step == max(frames) else ''
        parts.append(
            f'<figure data-step="{step}"{current}>'
            f'{picture(image, f"{what} at step {step:,}")}'
            f'<figcaption>step {step:,}</figcaption></figure>'
        )
    return f'<div class="sequence">{"".join(parts)}</div>'
