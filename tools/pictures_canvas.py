"""A sheet to draw figures on: boxes, arrows, words and pictures, in CSS pixels.

The origin is the top-left corner. Words become outlines of the font that
matplotlib brings along, so that a figure looks alike everywhere; each also stands in
the file as a comment. Neither date nor chance gets in: the same drawing is the same
bytes, given the same matplotlib.
"""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

# A font size of 1 is 1 pixel here, and matplotlib counts in points.
POINT = 72 / 96
INK, FAINT, PAPER = '#1b1f24', '#57606a', '#ffffff'
BLUE, ORANGE = '#1d4ed8', '#c2410c'  # the online and the target branch
BOX_HEIGHT = 72
# Fill and outline of a box.
STYLES = {
    'kept': (BLUE, BLUE),
    'online': ('#e3ecfd', BLUE),
    'target': ('#fdeee2', ORANGE),
    'loss': ('#eceff2', FAINT),
}
_FONT = dict(family='DejaVu Sans', math_fontfamily='dejavusans')
_RC = {
    'svg.hashsalt': 'cmae_mm',
    'svg.fonttype': 'path',
    'image.composite_image': False,
}


class Sheet:
    """A white card of so many pixels, which is read on dark pages as well.

    Args:
        width (int): In CSS pixels.
        height (int): In CSS pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.figure = Figure(figsize=(width / 96, height / 96))
        FigureCanvasSVG(self.figure)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        self.figure.patch.set_alpha(0)
        card = FancyBboxPatch(
            (12, 12),
            width - 24,
            height - 24,
            boxstyle='round,pad=11,rounding_size=12',
            fc=PAPER,
            ec='none',
            zorder=0,
        )
        self.axes.add_patch(card)

    def words(self, x: float, y: float, text: str, size: float = 17.5, **style) -> None:
        """Words around a point; ``style`` goes to matplotlib's text."""
        style = {
            **_FONT,
            'ha': 'center',
            'va': 'center_baseline',
            'color': INK,
            **style,
        }
        # The middle of capital letters, not of the room for all letters.
        self.axes.text(
            x, y - 0.12 * size, text, fontsize=size * POINT, linespacing=1.25, **style
        )

    def box(
        self,
        left: float,
        top: float,
        width: float,
        name: str,
        detail: str,
        style: str,
    ) -> None:
        """A named part of the model, with a word on its size."""
        self._shape(left, top, width, BOX_HEIGHT, 8, style)
        colour = PAPER if style == 'kept' else INK
        middle = left + width / 2
        self.words(
            middle, top + BOX_HEIGHT / 2 - 13, name, 19.5, weight='bold', color=colour
        )
        self.words(middle, top + BOX_HEIGHT / 2 + 15, detail, color=colour)

    def swatch(self, left: float, middle: float, style: str) -> None:
        """A small empty box, for a legend."""
        self._shape(left, middle - 9, 28, 18, 4, style)

    def _shape(
        self,
        left: float,
        top: float,
        width: float,
        height: float,
        radius: float,
        style: str,
    ) -> None:
        fill, edge = STYLES[style]
        shape = FancyBboxPatch(
            (left + radius, top + radius),
            width - 2 * radius,
            height - 2 * radius,
            boxstyle=f'round,pad={radius},rounding_size={radius}',
            fc=fill,
            ec=edge,
            lw=1.8 * POINT,
            ls=(0, (4, 3)) if style == 'target' else '-',
        )
        self.axes.add_patch(shape)

    def arrow(
        self,
        *points: tuple[float, float],
        color: str = FAINT,
        dashed: bool = False,
    ) -> None:
        """An arrow along the points."""
        x, y = zip(*points, strict=True)
        dashes = (0, (4, 3)) if dashed else '-'
        style = dict(color=color, lw=2 * POINT, solid_joinstyle='round')
        self.axes.plot(x[:-1], y[:-1], ls=dashes, **style)
        self.axes.annotate(
            '',
            points[-1],
            points[-2],
            arrowprops=dict(
                arrowstyle='-|>,head_width=0.28,head_length=0.5',
                color=color,
                lw=2 * POINT,
                ls=dashes,
                shrinkA=0,
                shrinkB=0,
            ),
        )

    def picture(
        self, left: float, top: float, side: float, image: np.ndarray, edge: str = FAINT
    ) -> None:
        """A square picture (S, S, 3), uint8, with a thin frame."""
        extent = (left, left + side, top + side, top)
        self.axes.imshow(
            image, extent=extent, interpolation='none', aspect='auto', zorder=0.5
        )
        self.frame(left, top, side, edge, width=2, halo=False)

    def frame(
        self,
        left: float,
        top: float,
        side: float,
        color: str,
        width: float = 3,
        dashed: bool = False,
        halo: bool = True,
    ) -> None:
        """A square outline, set off from what is under it."""
        style = dict(fc='none', joinstyle='miter')
        place = ((left, top), side, side)
        if halo:
            under = Rectangle(*place, ec=PAPER, lw=(width + 2.5) * POINT, **style)
            self.axes.add_patch(under)
        dashes = (0, (3, 1.5)) if dashed else '-'
        self.axes.add_patch(
            Rectangle(*place, ec=color, lw=width * POINT, ls=dashes, **style)
        )

    def save(self, path: Path) -> None:
        """Write an SVG file."""
        with matplotlib.rc_context(_RC):
            self.figure.savefig(path, format='svg', metadata={'Date': None})
