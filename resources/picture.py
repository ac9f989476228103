"""A picture of how a session closed: breadth as bars, the largest movers as candles.

Drawn by matplotlib, which takes half a second to import: import this where a picture is drawn.
Symbols stand for names: matplotlib's own font has no Korean.
"""

import io
import os
from typing import TYPE_CHECKING

import platformdirs

# Its list of fonts is kept where all is that we keep outside the checkout.
os.environ.setdefault("MPLCONFIGDIR", str(platformdirs.user_cache_path("stock-assets/matplotlib")))

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from resources.movers import EACH_WAY, Close, Mover

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_UP, _DOWN, _FLAT, _HALTED = "#d23f3f", "#2f62c0", "#8a8a8a", "#c9c9c9"
"""As everywhere in Korea: red rises."""
_INCHES, _DPI = (7.2, 3.2), 100
_COLOURS = 48


def picture(close: Close) -> bytes:
    """A PNG of 720 × 320 pixels, at most 30 kB."""
    figure = Figure(figsize=_INCHES, dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        2, 1 + EACH_WAY, width_ratios=[1.25, *[1] * EACH_WAY],
        left=0.085, right=0.99, top=0.83, bottom=0.05, wspace=0.12, hspace=0.32,
    )  # fmt: skip
    figure.suptitle(
        f"{close.session}, close against the session before", fontsize=10, x=0.01, ha="left"
    )
    _draw_breadth(figure.add_subplot(grid[:, 0]), close)
    rising = [mover for mover in close.movers if mover.change > 0]
    falling = [mover for mover in close.movers if mover.change < 0][::-1]
    for row, movers in enumerate((rising, falling)):
        for place, mover in enumerate(movers):
            _draw_candles(figure.add_subplot(grid[row, 1 + place]), mover)
    raw = io.BytesIO()
    figure.savefig(raw, format="rgba")
    image = Image.frombuffer("RGBA", canvas.get_width_height(), raw.getvalue())
    # Few colours: a third of the size.
    small = image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    file = io.BytesIO()
    small.save(file, "PNG", optimize=True)
    return file.getvalue()


def _draw_breadth(axes: "Axes", close: Close) -> None:
    breadth = close.breadth
    counts = [breadth.advancing, breadth.declining, breadth.unchanged, breadth.halted]
    bars = axes.bar(range(4), counts, width=0.75, color=[_UP, _DOWN, _FLAT, _HALTED])
    axes.bar_label(bars, [f"{count:,}" for count in counts], fontsize=7)
    axes.set_xticks(range(4), ["up", "down", "same", "halted"], fontsize=7)
    axes.tick_params(axis="y", labelsize=7, length=0)
    axes.tick_params(axis="x", length=0, pad=1)
    axes.set_title("symbols", fontsize=8, pad=3)
    axes.margins(y=0.12)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_candles(axes: "Axes", mover: Mover) -> None:
    colours = [_UP if one.close >= one.open else _DOWN for one in mover.candles]
    # By their order, not their time: the auction follows the last candle after a gap.
    places = range(len(mover.candles))
    axes.vlines(
        places,
        [one.low for one in mover.candles],
        [one.high for one in mover.candles],
        colors=colours,
        linewidth=0.8,
    )
    axes.vlines(
        places,
        [one.open for one in mover.candles],
        [one.close for one in mover.candles],
        colors=colours,
        linewidth=1.6 if len(mover.candles) > 1 else 12,
    )
    # A candle that has no height is a dash.
    axes.hlines(
        [one.close for one in mover.candles],
        [place - 0.4 for place in places],
        [place + 0.4 for place in places],
        colors=colours,
        linewidth=0.8,
    )
    axes.axhline(mover.base, color=_FLAT, linewidth=0.6, linestyle=":")
    axes.set_title(
        f"{mover.symbol}  {mover.change:+.1%}",
        fontsize=8,
        pad=2,
        color=_UP if mover.change > 0 else _DOWN,
    )
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color(_HALTED)
