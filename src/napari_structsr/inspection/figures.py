"""The figures of a report: a plane with all its maps, and the worst places of one.

Images that are compared share black and white, maps have their limits and units, and
every image has a scale bar.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_structsr.core.error_map import MAPS
from napari_structsr.core.types import Array
from napari_structsr.inspection.matching import MatchedImages
from napari_structsr.inspection.results import Inspection, WorstRegion
from napari_structsr.io.source import Source

_CLASSES = ("#bbbbbb", "#009e73", "#0072b2", "#d55e00")  # Okabe and Ito
_AROUND = 32  # pixels around a place
_SIDE = 450  # pixels along a side of what a figure shows of a plane; twice the paper
_BAND = 512  # rows that are read at once
# inches of a panel, to its right for the scale of a map, above for the title, around
_PANEL, _SCALE, _TITLE, _MARGIN = 2.5, 1.1, 0.4, 0.1
_DPI = 80
_BAR = 0.3  # of the width of a figure, the longest scale bar


@dataclass(frozen=True)
class _Panel:
    """One image of a figure."""

    title: str
    image: Array
    key: str | None = None  # of the map, if it is one
    grey: tuple[float, float] = (0.0, 1.0)  # black and white, if it is none
    pixel: tuple[float, float] = (1.0, 1.0)  # along y and x, in the unit of the axes
    frame: tuple[int, int, int, int] | None = None  # first row and column, sides


def draw_overview(
    found: Inspection,
    matched: MatchedImages,
    maps: Mapping[str, Any],
    plane: tuple[int, ...],
) -> bytes:
    """Draw a plane and its maps, as PNG."""
    height, width = found.spec.axes.plane
    step = max(1, -(-max(height, width) // _SIDE))
    whole = (slice(0, height), slice(0, width))
    panels = _read_images(found, matched, plane, whole, step=step)
    panels += [
        _Panel(
            MAPS[key].title,
            np.asarray(values[(*plane, *[slice(None, None, step)] * 2)]),
            key,
            pixel=_pixel_size(found, step),
        )
        for key, values in maps.items()
    ]
    return _draw([panels[n : n + 4] for n in range(0, len(panels), 4)], found)


def draw_worst_places(
    found: Inspection, matched: MatchedImages, values: Any, places: list[WorstRegion]
) -> bytes:
    """Draw the worst places of one map, a row each, as PNG."""
    rows: list[list[_Panel]] = []
    for place in places:
        plane = tuple(place.plane.values())
        spans = zip((place.rows, place.columns), found.spec.axes.plane, strict=True)
        down, across = (
            slice(max(0, first - _AROUND), min(size, last + _AROUND))
            for (first, last), size in spans
        )
        frame = (
            place.rows[0] - down.start,
            place.columns[0] - across.start,
            place.rows[1] - place.rows[0],
            place.columns[1] - place.columns[0],
        )
        words = [
            "result",
            *(f"{name} {index}" for name, index in place.plane.items()),
            f"row {place.rows[0]}",
            f"column {place.columns[0]}",
        ]
        result, *others = _read_images(found, matched, plane, (down, across))
        rows.append(
            [
                replace(result, title=", ".join(words), frame=frame),
                *others,
                _Panel(
                    f"mean in the frame {place.value:.3g}",
                    np.asarray(values[(*plane, down, across)]),
                    place.map,
                    pixel=_pixel_size(found),
                    frame=frame,
                ),
            ]
        )
    return _draw(rows, found)


def _pixel_size(found: Inspection, factor: int = 1) -> tuple[float, float]:
    """Return the sides of so many pixels of the maps."""
    down, across = (abs(found.spec.axes[name].scale) * factor for name in "yx")
    return down, across


def _read_images(
    found: Inspection,
    matched: MatchedImages,
    plane: tuple[int, ...],
    part: tuple[slice, slice],
    *,
    step: int = 1,
) -> list[_Panel]:
    """Read the compared images of a part of a plane, each so many pixels one."""
    factor = matched.factor
    images = {"result": _read_thinned(matched.result, plane, part, step)}
    if matched.reference is not None:
        images["reference"] = _read_thinned(matched.reference, plane, part, step)
    if matched.source is not None:
        down, across = (slice(p.start // factor, -(-p.stop // factor)) for p in part)
        images["source"] = _read_thinned(matched.source, plane, (down, across), step)
    known = [
        image[np.isfinite(image)]
        for name, image in images.items()
        if name == "reference" or matched.reference is None
    ]
    values = next((v for v in reversed(known) if v.size), np.zeros(1))
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.5)))
    channel = matched.result.spec.axes.channel_of(plane)
    gains, offsets = (found.alignment.get(name) for name in ("gain", "offset"))
    panels = []
    for name, image in images.items():
        # one black and white for all, so that a wrong gain is seen; a gain that was
        # fitted and undone is undone here as well
        grey = low, high
        if name != "reference" and gains and offsets:
            grey = tuple(gains[channel] * v + offsets[channel] for v in grey)
        size = _pixel_size(found, step * (factor if name == "source" else 1))
        panels.append(_Panel(name, image, grey=grey, pixel=size))
    return panels


def _read_thinned(
    image: Source, plane: tuple[int, ...], part: tuple[slice, slice], step: int
) -> Array:
    """Read each so many pixels of a part, a few rows at a time."""
    rows, columns = part
    # planes may be far larger than memory; whole steps keep the thinned rows even
    band = max(1, _BAND // step) * step
    return np.concatenate(
        [
            image.read(plane, slice(top, min(top + band, rows.stop)), columns)[
                0, ::step, ::step
            ]
            for top in range(rows.start, rows.stop, band)
        ]
    )


def _draw(rows: list[list[_Panel]], found: Inspection) -> bytes:
    """Draw images in grey and maps in colour."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    columns = max(map(len, rows))
    width = columns * (_PANEL + _SCALE) + _MARGIN
    height = len(rows) * (_PANEL + _TITLE) + _MARGIN
    # not pyplot: it would keep the figure, and choose a window system
    figure = Figure(figsize=(width, height), dpi=_DPI)
    FigureCanvasAgg(figure)
    # places that are known: to find them matplotlib would draw everything twice
    grid = figure.subplots(
        len(rows),
        columns,
        squeeze=False,
        gridspec_kw={
            "left": _MARGIN / width,
            "right": 1 - _SCALE / width,
            "bottom": _MARGIN / height,
            "top": 1 - _TITLE / height,
            "wspace": _SCALE / _PANEL,
            "hspace": _TITLE / _PANEL,
        },
    )
    for place in grid.flat:
        place.set_axis_off()
    for row, axes in zip(rows, grid, strict=True):
        for panel, place in zip(row, axes, strict=False):
            place.set_title(panel.title, fontsize=9)
            # pixels need not be square
            aspect = panel.pixel[0] / panel.pixel[1]
            if panel.frame is not None:
                top, left, height, width = panel.frame
                place.add_patch(
                    Rectangle(
                        (left - 0.5, top - 0.5), width, height, fill=False, ec="cyan"
                    )
                )
            if panel.key is None:
                low, high = panel.grey
                place.imshow(
                    panel.image,
                    cmap="gray",
                    vmin=low,
                    vmax=max(high, low + 1e-12),
                    aspect=aspect,
                )
                _draw_scale_bar(place, panel, found.spec.axes["x"].unit)
                continue
            entry = MAPS[panel.key]
            best, worst = found.limits[panel.key]
            names = entry.classes
            cmap: Any = "inferno" if best < worst else "inferno_r"
            if names:  # colours that the colour-blind tell apart
                cmap = ListedColormap(_CLASSES)
            drawn = place.imshow(
                panel.image,
                cmap=cmap,
                vmin=min(best, worst) - (0.5 if names else 0),
                vmax=max(best, worst) + (0.5 if names else 0),
                interpolation="nearest",
                aspect=aspect,
            )
            bar = figure.colorbar(drawn, cax=place.inset_axes((1.03, 0.1, 0.05, 0.8)))
            bar.ax.tick_params(labelsize=7)
            if names:
                bar.set_ticks(range(len(names)), labels=list(names))
            else:
                bar.set_label(entry.unit, fontsize=7)
    target = io.BytesIO()
    # quick to pack, and a few percent larger
    figure.savefig(target, format="png", pil_kwargs={"compress_level": 2})
    return target.getvalue()


def _draw_scale_bar(place: Any, panel: _Panel, unit: str | None) -> None:
    """Draw a bar of a round length into the lower left corner."""
    height, width = panel.image.shape
    longest = _BAR * width * panel.pixel[1]
    power = 10.0 ** math.floor(math.log10(longest))
    # the round lengths are 1, 2 and 5 times a power of 10
    length = max(n * power for n in (1, 2, 5) if n * power <= longest)
    start, end = 0.05 * width, 0.05 * width + length / panel.pixel[1]
    words = f"{length:g} {unit or 'pixels'}"
    from matplotlib.patheffects import withStroke

    outline = [withStroke(linewidth=3, foreground="black")]
    place.plot([start, end], [0.94 * height] * 2, "w-", lw=2, path_effects=outline)
    place.text(start, 0.91 * height, words, color="w", fontsize=7, path_effects=outline)
