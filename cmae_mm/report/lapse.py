"""The time-lapse: the same pictures again and again while the model learns."""

import numpy as np

from .blocks import picture, sentence, text
from .encoding import read_picture
from .records import MONITOR, Run

_FRAMES = 24  # of a sequence; enough to see it move, little enough to send
_ROWS = 6  # sequences of one kind
_TILE = 144  # pixels of height
# What the monitor hook draws side by side; sequences of other names have no labels.
_COLUMNS = {
    'monitor_view': ('input', 'masked', 'reconstruction', 'target view'),
}
_TITLES = {
    'monitor_view': 'What the model rebuilds',
    'monitor_match': 'Where the feature decoder finds the patches again',
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
                frames[step] = read_picture(files[step], 8 * _TILE, _TILE)
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
    ordered = sorted(kinds, key=lambda kind: kind not in _COLUMNS)
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
    title = _TITLES.get(kind, kind.removeprefix(MONITOR).replace('_', ' '))
    columns = _COLUMNS.get(kind, ())
    names = ''.join(f'<span class="name">{text(name)}</span>' for name in columns)
    head = f'<div class="names columns-{len(columns)}">{names}</div>' if names else ''
    what = ', '.join(columns) or title
    sequences = ''.join(_sequence(frames, what) for frames in rows)
    film = 'film labelled' if columns else 'film'
    return (
        f'<div><h3>{text(title)}</h3><div class="{film}">{head}{sequences}</div></div>'
    )


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
