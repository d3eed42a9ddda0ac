"""Plots as SVG inside the page: lines over training, and points in a plane.

They take their colours from the page, so that they follow light and dark. What the
script of the page shows on hover is in attributes of the drawing; without a script
the drawing stands for itself.
"""

import html
import json
import math
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 48, 8, 10, 24
COLOURS = 10  # classes series-0 ... of the style sheet
_MOST_POINTS = 300  # of a line; twice as many as it has pixels


@dataclass
class Curve:
    """A number over training, or a few that belong together.

    Args:
        title (str): What it is.
        lines (dict[str, tuple[list[float], list[float]]]): x and y by name. Values
            that are not finite leave a gap.
        xlabel (str): Name of the x axis. Defaults to 'step'.
    """

    title: str
    lines: dict[str, tuple[list[float], list[float]]]
    xlabel: str = 'step'


def draw_curve(curve: Curve) -> str:
    """Draw lines, with their legend and what they come to, as a figure of HTML."""
    lines = {name: _finite(*line) for name, line in curve.lines.items()}
    shown = [line for line in lines.values() if len(line[0])]
    lost = sum(len(curve.lines[name][0]) - len(line[0]) for name, line in lines.items())
    title = html.escape(curve.title)
    if not shown:
        text = f'{title}: none of its values is finite.'
        return f'<figure class="curve"><figcaption>{text}</figcaption></figure>'
    xs = np.concatenate([line[0] for line in shown])
    ys = np.concatenate([line[1] for line in shown])
    frame = _Frame(_limits(xs, 0.0), _limits(ys, 0.06))
    drawn = ''.join(
        _line(frame, *thin_out(x, y), index)
        for index, (x, y) in enumerate(lines.values())
        if len(x)
    )
    data = [
        dict(name=name, x=_short(x), y=_short(y))
        for name, (x, y) in ((n, thin_out(*line)) for n, line in lines.items())
    ]
    words = '; '.join(_in_words(name, *line) for name, line in lines.items())
    caption = f'<b>{title}</b> {_legend(lines)}'
    if lost:
        caption += f'<em>{lost} values are not finite and not drawn.</em>'
    return (
        f'<figure class="curve"><figcaption>{caption}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" tabindex="0" class="plot" '
        f'aria-label="{title} over {html.escape(curve.xlabel)}. {html.escape(words)}" '
        f'data-lines="{html.escape(json.dumps(data))}" '
        f'data-frame="{html.escape(json.dumps(frame.describe()))}" '
        f'data-unit="{html.escape(curve.xlabel)}">'
        f'{_axes(frame, curve.xlabel)}{drawn}</svg></figure>'
    )


def draw_points(
    places: np.ndarray, groups: list[int | None], names: list[str], label: str
) -> str:
    """Draw points in a plane, coloured by group.

    Args:
        places (ndarray): Of the points, (N, 2).
        groups (list[int | None]): The group of each point.
        names (list[str]): What each point is, for the reader who touches it.
        label (str): What the plot shows.

    Returns:
        str: An SVG; point ``i`` has the attribute ``data-i``.
    """
    side = 14
    low, high = places.min(0), places.max(0)
    share = (places - low) / np.where(high > low, high - low, 1.0)
    width, height = 480, 340
    x = side + share[:, 0] * (width - 2 * side)
    y = height - side - share[:, 1] * (height - 2 * side)
    points = ''.join(
        f'<circle class="{_colour(group)}" cx="{x[i]:.1f}" cy="{y[i]:.1f}" r="5" '
        f'data-i="{i}"><title>{html.escape(names[i])}</title></circle>'
        for i, group in enumerate(groups)
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" class="scatter" role="img" tabindex="0" '
        f'aria-label="{html.escape(label)}">{points}</svg>'
    )


def _colour(group: int | None) -> str:
    return 'series-none' if group is None else f'series-{group % COLOURS}'


@dataclass
class _Frame:
    """Maps numbers to places in the drawing."""

    x: tuple[float, float]
    y: tuple[float, float]

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point."""
        along = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return (
            LEFT + along * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )

    def describe(self) -> dict[str, list[float]]:
        """For the script: the limits, and the corners in pixels."""
        return dict(
            x=list(self.x),
            y=list(self.y),
            px=[LEFT, WIDTH - RIGHT],
            py=[HEIGHT - BOTTOM, TOP],
        )


def _finite(x: list[float], y: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """The points that can be drawn."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    fine = np.isfinite(x) & np.isfinite(y)
    return x[fine], y[fine]


def thin_out(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep the lowest and the highest point of every stretch, and both ends.

    So no peak is lost, however many points there are.
    """
    if len(x) <= _MOST_POINTS:
        return x, y
    kept = {0, len(x) - 1}
    for stretch in np.array_split(np.arange(len(x)), _MOST_POINTS // 2):
        kept |= {int(stretch[y[stretch].argmin()]), int(stretch[y[stretch].argmax()])}
    order = sorted(kept)
    return x[order], y[order]


def _limits(values: np.ndarray, margin: float) -> tuple[float, float]:
    """Lowest and highest value with some air, never the same."""
    low, high = float(values.min()), float(values.max())
    air = (high - low) * margin
    if not high > low:
        air = abs(high) * 0.1 or 1.0
    return low - air, high + air


def _line(frame: _Frame, x: np.ndarray, y: np.ndarray, index: int) -> str:
    """A line, or a dot where there is one value only."""
    places = [frame.place(*point) for point in zip(x, y, strict=True)]
    colour = _colour(index)
    if len(places) == 1:
        (left, top) = places[0]
        return f'<circle class="{colour}" cx="{left:.1f}" cy="{top:.1f}" r="4"/>'
    points = ' '.join(f'{left:.1f},{top:.1f}' for left, top in places)
    return f'<polyline class="line {colour}" points="{points}"/>'


def _axes(frame: _Frame, xlabel: str) -> str:
    """Lines and numbers of both axes."""
    parts = []
    heights = ticks(*frame.y, 5)
    for value, words in zip(heights, _distinct(heights), strict=True):
        _, top = frame.place(frame.x[0], value)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{top:.1f}" '
            f'y2="{top:.1f}"/><text x="{LEFT - 6}" y="{top + 3.5:.1f}" '
            f'text-anchor="end">{words}</text>'
        )
    steps = ticks(*frame.x, 4)
    steps = [value for value in steps if value.is_integer()] or steps
    for value, words in zip(steps, _distinct(steps), strict=True):
        left, _ = frame.place(value, frame.y[0])
        anchor = 'end' if left > WIDTH - 24 else 'middle'
        if left < LEFT + 16:  # beside the name of the axis
            left, anchor = max(left, LEFT + 4), 'start'
        parts.append(
            f'<text x="{left:.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">'
            f'{words}</text>'
        )
    parts.append(f'<text x="0" y="{HEIGHT - 8}">{html.escape(xlabel)}</text>')
    return ''.join(parts)


def _distinct(values: list[float]) -> list[str]:
    """Short words for the numbers of an axis, longer ones if two would be the same."""
    words = [shorten(value) for value in values]
    alike = len(set(words)) < len(words)
    return [f'{value:.7g}' for value in values] if alike else words


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers in a range, evenly spaced, ``most`` at most."""
    raw = (high - low) / most
    base = 10.0 ** math.floor(math.log10(raw))
    step = next(base * m for m in (1, 2, 2.5, 5, 10, 20) if base * m >= raw)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    # 0.30000000000000004 -> 0.3
    return [float(f'{(first + i) * step:.10g}') for i in range(count)][:most]


def shorten(value: float) -> str:
    """A number in a few letters: 0.0123, 61.2, 12.5k, 3.2M, 7.5e-4."""
    size = abs(value)
    for limit, unit in ((1e9, 'G'), (1e6, 'M'), (1e4, 'k')):
        if limit <= size < 1e13:
            scale = 1e3 if unit == 'k' else limit
            return f'{value / scale:.3g}{unit}'
    if 0 < size < 1e-3:  # 7.5e-4, which is shorter than 0.00075
        digits, power = f'{value:.2e}'.split('e')
        return f'{float(digits):g}e{int(power)}'
    return f'{value:.0f}' if 1e3 <= size < 1e4 else f'{value:.3g}'


def _short(values: np.ndarray) -> list[float]:
    """Five digits are enough to read."""
    return [float(f'{value:.5g}') for value in values]


def _in_words(name: str, x: np.ndarray, y: np.ndarray) -> str:
    """What a line comes to, for those who do not see it."""
    start = f'{name}: ' if name else ''
    if not len(x):
        return f'{start}no values'
    return (
        f'{start}from {y[0]:.4g} to {y[-1]:.4g}, '
        f'lowest {y.min():.4g}, highest {y.max():.4g}'
    )


def _legend(lines: dict[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """Name and last value of every line."""
    items = ''
    for index, (name, (_, y)) in enumerate(lines.items()):
        if len(y):
            mark = f'<i class="key {_colour(index)}"></i>' if len(lines) > 1 else ''
            items += (
                f'<span>{mark}{html.escape(name)} <strong>{shorten(y[-1])}</strong>'
                '</span>'
            )
    return f'<span class="legend">{items}</span>'
