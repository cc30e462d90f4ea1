"""Small pictures side by side: filters, feature maps, drawn images, neighbours, mistakes."""

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Num

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 4.4
"""Of every figure, in inches: text of 9 points is read where a screen of 390 pixels shows it whole."""
BLUE, ORANGE, INK = "#0072B2", "#B34700", "#1b1f24"  # Okabe and Ito 2008, which the colour-blind tell apart
SIGNS = {True: "✓ ", False: "✗ ", None: ""}
"""Before what is right, what is wrong, and what is neither."""
_GAP = 0.1  # between tiles, in widths of one
_LINE = 0.155  # of text, in inches


def draw_tiles(
    images: Sequence[Num[np.ndarray, "h w"] | Num[np.ndarray, "h w 3"]],
    titles: Sequence[str] = (),
    *,
    columns: int = 4,
    marks: Sequence[bool | None] = (),
) -> "Figure":
    """Pictures in rows, each with its title above it.

    Args:
      images: with values from 0, black, to 1: grey, or red, green and blue; all of one size.
      titles: one each, wrapped to the width of a tile, three lines at most; none without any.
      columns: of the figure; fewer, but two, where there are fewer pictures.
      marks: of each, whether what the title says is right: ✓ or ✗ before it, and a thick frame around what is wrong.
        None marks nothing.
    """
    columns = min(columns, max(2, len(images)))
    tile = (WIDTH - 0.1) / (columns + _GAP * (columns - 1))
    most = max(8, round(tile / 0.083))  # letters of 8 points
    marks = marks or [None] * len(images)
    written = [
        _wrapped(SIGNS[mark] + title, most) for mark, title in zip(marks, titles or [""] * len(images), strict=True)
    ]
    lines = max((text.count("\n") + 1 for text in written if text), default=0)
    height, width = images[0].shape[:2]
    head, tall = lines * _LINE / tile, height / width
    rows = math.ceil(len(images) / columns)
    size = rows * (tall + head + _GAP) * tile
    figure, axes = blank(size)
    for place, (image, text, mark) in enumerate(zip(images, written, marks, strict=True)):
        left = (1 + _GAP) * (place % columns)
        top = (tall + head + _GAP) * (place // columns) + head
        show(axes, image, (left, left + 1, top + tall, top))
        if mark is False:
            frame(axes, (left, top, 1, tall))
        colour = ORANGE if mark is False else INK
        axes.text(left + 0.5, top - 0.02, text, fontsize=8, color=colour, ha="center", va="bottom", linespacing=1.05)
    axes.set(xlim=(-0.05 / tile, (WIDTH - 0.05) / tile), ylim=(size / tile, 0))
    return figure


def to_image(images: Float[np.ndarray, "n h w c"]) -> list[Float[np.ndarray, "..."]]:
    """Pictures with values from 0 to 1 as `draw_tiles` takes them; the mean of channels that are no colours."""
    found = np.clip(np.asarray(images, np.float32), 0, 1)
    return list(found if found.shape[-1] == 3 else found.mean(-1))


def to_grey(maps: Float[np.ndarray, "n ..."], *, signed: bool = False) -> list[Float[np.ndarray, "..."]]:
    """Each map stretched to the range from black to white.

    Args:
      signed: zero becomes the middle grey, and the largest absolute value black or white.
    """
    found = []
    for values in np.asarray(maps, np.float32):
        low, high = (-np.abs(values).max(), np.abs(values).max()) if signed else (values.min(), values.max())
        found.append((values - low) / (high - low) if high > low else np.full_like(values, 0.5 if signed else 0.0))
    return found


def blank(height: float) -> "tuple[Figure, Axes]":
    """A figure of the usual width with one system of axes that fills it: many would take ten times as long to draw."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    return figure, axes


def show(axes: "Axes", image: np.ndarray, extent: tuple[float, float, float, float], **options: Any) -> None:
    """An image, grey from 0 to 1 unless `options` say otherwise, at left, right, bottom and top."""
    axes.imshow(image, extent=extent, aspect="auto", **{"cmap": "gray", "vmin": 0, "vmax": 1, **options})


def frame(axes: "Axes", place: tuple[float, float, float, float]) -> None:
    """Around what is wrong: left, top, width, height."""
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle(place[:2], *place[2:], fill=False, color=ORANGE, linewidth=3))


def plain(text: str) -> str:
    """Text that matplotlib does not read as a formula."""
    return text.replace("$", r"\$")


def _wrapped(text: str, most: int) -> str:
    return "\n".join(textwrap.wrap(plain(text), most, max_lines=3, placeholder="…"))
