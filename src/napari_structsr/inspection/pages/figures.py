"""The figures of a report: a plane with all its maps, and the worst places of one.

Images that are compared share black and white, maps have their limits and units, and
every image has a scale bar. Titles, frames and scales are drawn by the browser, from
what stands here: it does so sharper than pixels, and a drawing library takes longer to
import than most inspections take for a map.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt

from napari_structsr.core.error_map import MAPS
from napari_structsr.core.types import Array
from napari_structsr.inspection.matching import MatchedImages
from napari_structsr.inspection.results import Inspection, WorstRegion
from napari_structsr.io.source import Source

COLORS = (
    *("#000004", "#160b39", "#420a68", "#6a176e", "#932667", "#bc3754"),
    *("#dd513a", "#f37819", "#fca50a", "#f6d746", "#fcffa4"),
)
"""Even steps of matplotlib's inferno (CC0), from the best value of a map to the worst:
perceptually uniform, and readable with every kind of colour blindness."""

_CLASSES = ("#bbbbbb", "#009e73", "#0072b2", "#d55e00")  # Okabe and Ito
_AROUND = 32  # pixels around a place
_SIDE = 450  # pixels along a side of what a figure shows of a plane; twice the paper
_BAND = 512  # rows that are read at once
_PAPER = 200  # units along the longer side of a figure on the page
_BAR = 0.3  # of the width of a figure, the longest scale bar
_TICKS = 6  # of the scale of a map, at most


@dataclass(frozen=True)
class Tick:
    """A value on the scale of a map."""

    share: float  # of the scale, from its lower end
    words: str


@dataclass(frozen=True)
class Scale:
    """Which colours stand for which values of a map."""

    unit: str
    ticks: tuple[Tick, ...]
    bright: str = "high"  # or "low": values that `COLORS` end with
    classes: tuple[str, ...] = ()  # a colour for each, in place of `COLORS`


@dataclass(frozen=True)
class Figure:
    """One image with what is drawn into it, in units of the page."""

    title: str
    png: str  # base64
    width: float
    height: float
    smooth: bool  # whether the browser may smoothen pixels
    bar: tuple[float, str] | None = None  # length and words of the scale bar
    scale: Scale | None = None
    frame: tuple[float, float, float, float] | None = None  # x, y, width, height


def draw_overview(
    found: Inspection,
    matched: MatchedImages,
    maps: Mapping[str, Any],
    plane: tuple[int, ...],
) -> list[Figure]:
    """Draw a plane and its maps."""
    height, width = found.spec.axes.plane
    step = max(1, -(-max(height, width) // _SIDE))
    whole = (slice(0, height), slice(0, width))
    figures = _draw_images(found, matched, plane, whole, step=step)
    for key, values in maps.items():
        thinned = np.asarray(values[(*plane, *[slice(None, None, step)] * 2)])
        figures.append(_draw_map(found, key, thinned, MAPS[key].title))
    return figures


def draw_worst_places(
    found: Inspection, matched: MatchedImages, values: Any, places: list[WorstRegion]
) -> list[list[Figure]]:
    """Draw the worst places of one map, a row each."""
    rows = []
    for place in places:
        plane = tuple(place.plane.values())
        spans = zip((place.rows, place.columns), found.spec.axes.plane, strict=True)
        down, across = (
            slice(max(0, first - _AROUND), min(size, last + _AROUND))
            for (first, last), size in spans
        )
        frame = (
            place.columns[0] - across.start,
            place.rows[0] - down.start,
            place.columns[1] - place.columns[0],
            place.rows[1] - place.rows[0],
        )
        words = [
            "result",
            *(f"{name} {index}" for name, index in place.plane.items()),
            f"row {place.rows[0]}",
            f"column {place.columns[0]}",
        ]
        images = _draw_images(
            found, matched, plane, (down, across), title=", ".join(words), frame=frame
        )
        title = f"mean in the frame {place.value:.3g}"
        part = np.asarray(values[(*plane, down, across)])
        rows.append([*images, _draw_map(found, place.map, part, title, frame=frame)])
    return rows


def _draw_images(
    found: Inspection,
    matched: MatchedImages,
    plane: tuple[int, ...],
    part: tuple[slice, slice],
    *,
    step: int = 1,
    title: str = "result",
    frame: tuple[int, int, int, int] | None = None,
) -> list[Figure]:
    """Draw the compared images of a part of a plane, each so many pixels one."""
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
    figures = []
    for name, image in images.items():
        # one black and white for all, so that a wrong gain is seen; a gain that was
        # fitted and undone is undone here as well
        black, white = low, high
        if name != "reference" and gains and offsets:
            black, white = (gains[channel] * v + offsets[channel] for v in (low, high))
        share = (image.astype(np.float64) - black) / max(white - black, 1e-12)
        grey = _paint(share, ("#000000", "#ffffff"))
        is_result = name == "result"
        pixels = step * (factor if name == "source" else 1)
        figures.append(
            _lay_out(
                found,
                title if is_result else name,
                grey,
                pixels=pixels,
                frame=frame if is_result else None,
                with_bar=True,
            )
        )
    return figures


def _draw_map(
    found: Inspection,
    key: str,
    values: Array,
    title: str,
    *,
    frame: tuple[int, int, int, int] | None = None,
) -> Figure:
    entry = MAPS[key]
    best, worst = found.limits[key]
    low, high = min(best, worst), max(best, worst)
    if names := entry.classes:
        colors = np.array([_read_color(color) for color in _CLASSES], np.uint8)
        painted = colors[np.clip(values.astype(int), 0, len(colors) - 1)]
        ticks = [Tick((n + 0.5) / len(names), name) for n, name in enumerate(names)]
        scale = Scale("", tuple(ticks), classes=_CLASSES[: len(names)])
    else:
        span = worst - best
        # bright is bad, also where a low value is
        shares = (values.astype(np.float64) - best) / (span or 1e-12)
        painted = _paint(shares, COLORS)
        bright = "high" if best <= worst else "low"
        scale = Scale(entry.unit, _find_ticks(low, high), bright)
    return _lay_out(found, title, painted, scale=scale, frame=frame)


def _lay_out(
    found: Inspection,
    title: str,
    colors: npt.NDArray[np.uint8],
    *,
    pixels: int = 1,
    scale: Scale | None = None,
    frame: tuple[int, int, int, int] | None = None,
    with_bar: bool = False,
) -> Figure:
    """Lay out an image, each of its pixels so many of the maps."""
    height, width = colors.shape[:2]
    # pixels need not be square
    down, across = (abs(found.spec.axes[name].scale) for name in "yx")
    unit = _PAPER / max(height * down, width * across)
    x, y = unit * across, unit * down
    return Figure(
        title,
        base64.b64encode(imagecodecs.png_encode(colors, level=1)).decode(),
        width * x,
        height * y,
        scale is None,
        _find_bar(found, width * across * pixels, width * x) if with_bar else None,
        scale,
        frame and (frame[0] * x, frame[1] * y, frame[2] * x, frame[3] * y),
    )


def _paint(
    shares: npt.NDArray[np.float64], steps: tuple[str, ...]
) -> npt.NDArray[np.uint8]:
    """Return red, green and blue of values from 0 to 1; white where there is none."""
    table = np.array([_read_color(color) for color in steps])
    fine = np.linspace(0, len(steps) - 1, 256)
    table = np.stack(
        [np.interp(fine, range(len(steps)), column) for column in table.T], axis=1
    )
    table = np.concatenate([table.round(), [[255.0] * 3]]).astype(np.uint8)
    index = np.nan_to_num(np.clip(shares, 0, 1) * 255, nan=256)
    return table[np.rint(index).astype(np.intp)]


def _read_color(color: str) -> list[int]:
    return list(bytes.fromhex(color[1:]))


def _find_ticks(low: float, high: float) -> tuple[Tick, ...]:
    """Return round values from low to high."""
    span = high - low
    if not 0 < span < math.inf:
        return (Tick(0.0, f"{low:.3g}"),)
    step = _round_length(span / (_TICKS - 1), upwards=True)
    numbers = range(math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6) + 1)
    return tuple(Tick((n * step - low) / span, f"{n * step:.4g}") for n in numbers)


def _round_length(length: float, *, upwards: bool) -> float:
    """Return the next of 1, 2 and 5 times a power of 10."""
    power = 10.0 ** math.floor(math.log10(length))
    steps = [n * power for n in (1, 2, 5, 10)]
    if upwards:
        return next(step for step in steps if step >= length * (1 - 1e-9))
    return max(step for step in steps if step <= length)


def _find_bar(found: Inspection, length: float, width: float) -> tuple[float, str]:
    """Return how long the scale bar of an image of a length is on the page."""
    bar = _round_length(_BAR * length, upwards=False)
    unit = found.spec.axes["x"].unit
    return bar / length * width, f"{bar:g} {unit or 'pixels'}"


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
