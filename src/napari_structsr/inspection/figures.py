"""The figures of a report: a plane with all its maps, and the worst places of one.

Images that are compared share black and white, maps have their limits and units, and
every image has a scale bar.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_structsr.core.error_map import MAPS
from napari_structsr.inspection.matching import MatchedImages
from napari_structsr.inspection.results import Inspection, WorstRegion
from napari_structsr.io.source import Source

__all__ = ["close_up", "overview"]

_CLASSES = ("#bbbbbb", "#009e73", "#0072b2", "#d55e00")  # Okabe and Ito
_AROUND = 32  # pixels around a place
_SIDE = 900  # pixels along a side of what a figure shows of a plane
_BAND = 512  # rows that are read at once
_BAR = 0.3  # of the width of a figure, the longest scale bar
_NICE = (1, 2, 5)


@dataclass(frozen=True)
class _Shown:
    """One image of a figure.

    Parameters
    ----------
    title, image
        What is drawn.
    key
        Of the map, if it is one.
    grey
        Values that are black and white, if it is none.
    pixel
        Size of a pixel along y and x, in the unit of the axes.
    place
        First row, first column, rows and columns of what is framed, if anything.
    """

    title: str
    image: npt.NDArray[Any]
    key: str | None = None
    grey: tuple[float, float] = (0.0, 1.0)
    pixel: tuple[float, float] = (1.0, 1.0)
    place: tuple[int, int, int, int] | None = None


def overview(
    found: Inspection,
    matched: MatchedImages,
    maps: dict[str, Any],
    plane: tuple[int, ...],
) -> bytes:
    """Draw a plane and its maps."""
    height, width = found.spec.axes.plane
    step = max(1, -(-max(height, width) // _SIDE))
    whole = (slice(0, height), slice(0, width))
    tiles = list(_images(found, matched, plane, whole, step=step))
    tiles += [
        _Shown(
            MAPS[key].title,
            np.asarray(values[(*plane, *[slice(None, None, step)] * 2)]),
            key,
            pixel=_times(_pixel(found), step),
        )
        for key, values in maps.items()
    ]
    return _drawn([tiles[n : n + 4] for n in range(0, len(tiles), 4)], found)


def close_up(
    found: Inspection, matched: MatchedImages, values: Any, places: list[WorstRegion]
) -> bytes:
    """Draw the worst places of one map, a row each."""
    rows: list[list[_Shown]] = []
    for place in places:
        plane = tuple(place.plane.values())
        spans = list(
            zip((place.rows, place.columns), found.spec.axes.plane, strict=True)
        )
        part = tuple(
            slice(max(0, span[0] - _AROUND), min(size, span[1] + _AROUND))
            for span, size in spans
        )
        frame = (
            place.rows[0] - part[0].start,
            place.columns[0] - part[1].start,
            place.rows[1] - place.rows[0],
            place.columns[1] - place.columns[0],
        )
        words = [
            *(f"{name} {index}" for name, index in place.plane.items()),
            f"row {place.rows[0]}",
            f"column {place.columns[0]}",
        ]
        images = list(_images(found, matched, plane, part))
        images[0] = replace(images[0], title=f"result, {', '.join(words)}", place=frame)
        shown = np.asarray(values[(*plane, *part)])
        title = f"mean in the frame {place.value:.3g}"
        drawn = _Shown(title, shown, place.map, pixel=_pixel(found), place=frame)
        rows.append([*images, drawn])
    return _drawn(rows, found)


def _pixel(found: Inspection) -> tuple[float, float]:
    """Return the size of a pixel of the maps."""
    down, across = (abs(found.spec.axes[name].scale) for name in "yx")
    return down, across


def _times(pixel: tuple[float, float], factor: int) -> tuple[float, float]:
    """Return the size of larger pixels."""
    return pixel[0] * factor, pixel[1] * factor


def _images(
    found: Inspection,
    matched: MatchedImages,
    plane: tuple[int, ...],
    part: tuple[slice, ...],
    *,
    step: int = 1,
) -> Iterator[_Shown]:
    """Read the compared images of a part of a plane, each so many pixels one.

    All have the same black and white, so that a wrong gain is seen; where a gain was
    fitted, that of the result is fitted as well.
    """
    pixel, factor = _times(_pixel(found), step), matched.factor
    images = {"result": _read(matched.result, plane, part, step)}
    if matched.reference is not None:
        images["reference"] = _read(matched.reference, plane, part, step)
    if matched.source is not None:
        coarse = [slice(p.start // factor, -(-p.stop // factor)) for p in part]
        images["source"] = _read(matched.source, plane, coarse, step)
    known = [
        image[np.isfinite(image)]
        for name, image in images.items()
        if name == "reference" or matched.reference is None
    ]
    values = next((v for v in reversed(known) if v.size), np.zeros(1))
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.5)))
    channel = matched.result.spec.axes.channel_of(plane)
    gains = found.alignment.get("gain"), found.alignment.get("offset")
    for name, image in images.items():
        grey = low, high
        if name != "reference" and gains[0] and gains[1]:
            grey = tuple(gains[0][channel] * v + gains[1][channel] for v in grey)
        size = _times(pixel, factor) if name == "source" else pixel
        yield _Shown(name, image, grey=grey, pixel=size)


def _read(
    image: Source, plane: tuple[int, ...], part: Sequence[slice], step: int
) -> npt.NDArray[Any]:
    """Read each so many pixels of a part, a few rows at a time."""
    rows, columns = part
    band = max(1, _BAND // step) * step
    return np.concatenate(
        [
            image.read(plane, slice(top, min(top + band, rows.stop)), columns)[
                0, ::step, ::step
            ]
            for top in range(rows.start, rows.stop, band)
        ]
    )


def _drawn(rows: list[list[_Shown]], found: Inspection) -> bytes:
    """Draw images in grey and maps in colour."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    columns = max(map(len, rows))
    size = 3.2 * columns, 3.0 * len(rows)
    figure = Figure(figsize=size, dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for place in grid.flat:
        place.set_axis_off()
    for row, axes in zip(rows, grid, strict=True):
        for shown, place in zip(row, axes, strict=False):
            place.set_title(shown.title, fontsize=9)
            aspect = shown.pixel[0] / shown.pixel[1]
            if shown.place is not None:
                top, left, height, width = shown.place
                place.add_patch(
                    Rectangle(
                        (left - 0.5, top - 0.5), width, height, fill=False, ec="cyan"
                    )
                )
            if shown.key is None:
                low, high = shown.grey
                place.imshow(
                    shown.image,
                    cmap="gray",
                    vmin=low,
                    vmax=max(high, low + 1e-12),
                    aspect=aspect,
                )
                _scale_bar(place, shown, found.spec.axes["x"].unit)
                continue
            entry = MAPS[shown.key]
            best, worst = found.limits[shown.key]
            names = entry.classes
            cmap: Any = "inferno" if best < worst else "inferno_r"
            if names:
                cmap = ListedColormap(_CLASSES)
            drawn = place.imshow(
                shown.image,
                cmap=cmap,
                vmin=min(best, worst) - (0.5 if names else 0),
                vmax=max(best, worst) + (0.5 if names else 0),
                interpolation="nearest",
                aspect=aspect,
            )
            bar = figure.colorbar(drawn, ax=place, shrink=0.8)
            bar.ax.tick_params(labelsize=7)
            if names:
                bar.set_ticks(range(len(names)), labels=list(names))
            else:
                bar.set_label(entry.unit, fontsize=7)
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()


def _scale_bar(place: Any, shown: _Shown, unit: str | None) -> None:
    """Draw a bar of a round length into the lower left corner."""
    height, width = shown.image.shape
    longest = _BAR * width * shown.pixel[1]
    power = 10.0 ** math.floor(math.log10(longest))
    length = max(n * power for n in _NICE if n * power <= longest)
    start, end = 0.05 * width, 0.05 * width + length / shown.pixel[1]
    words = f"{length:g} {unit or 'pixels'}"
    from matplotlib.patheffects import withStroke

    outline = [withStroke(linewidth=3, foreground="black")]
    place.plot([start, end], [0.94 * height] * 2, "w-", lw=2, path_effects=outline)
    place.text(start, 0.91 * height, words, color="w", fontsize=7, path_effects=outline)
