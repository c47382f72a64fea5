"""The report of an inspection: one HTML file with figures, scores and worst places.

It shows the plane where the maps are worst, whole and by its worst places, and says of
each map what it cannot see. Nothing is linked: the file can be mailed.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_structsr.core.error_map import MAPS
from napari_structsr.engine.inspection import SCORES, Inspection, WorstRegion
from napari_structsr.engine.matching import Matched

__all__ = ["write_report"]

_SIDE = 900  # pixels along a side of what a figure shows of a plane
_AROUND = 32  # pixels around a place
_PLACES = 2  # of each map
_ROWS = 60  # of the table of scores
_CLASSES = ("#bbbbbb", "#009e73", "#0072b2", "#d55e00")  # Okabe and Ito

_Shown = tuple[str, Any, str | None]  # title, image, key of the map if it is one

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto;
       padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: right }
th { text-align: left; vertical-align: bottom } td.word { text-align: left }
img { max-width: 100% } .blind { color: #666 }
"""


def write_report(
    path: Path, found: Inspection, matched: Matched, maps: dict[str, Any]
) -> None:
    """Write the report.

    Parameters
    ----------
    path
        The HTML file.
    found
        What the inspection has found.
    matched
        The images that were compared.
    maps
        Arrays of the maps by key, indexed by plane, rows and columns.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    """
    plane = _worst_plane(found, matched)
    parts = [
        f"<h1>Structure error of {html.escape(matched.result.spec.name)}</h1>",
        *(f"<p>{html.escape(note)}</p>" for note in found.notes),
        "<h2>Scores</h2>",
        _scores(found),
        f"<h2>Maps{_plane_words(matched, plane)}</h2>",
        _image(_overview(found, matched, maps, plane)),
        _legend(found),
        "<h2>Worst places</h2>",
    ]
    for key in maps:
        places = [place for place in found.worst if place.map == key][:_PLACES]
        if places:
            parts.append(f"<h3>{html.escape(MAPS[key].title)}</h3>")
            parts.append(_image(_close_up(found, matched, maps[key], places)))
    text = "\n".join(parts)
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>Structure error</title><style>{_STYLE}</style>\n{text}\n</html>\n"
    )
    path.write_text(page, "utf-8")


def _worst_plane(found: Inspection, matched: Matched) -> tuple[int, ...]:
    """Return the plane of the worst place of the most maps."""
    planes = list(matched.result.spec.axes.planes())
    first: dict[str, tuple[int, ...]] = {}
    for place in found.worst:
        first.setdefault(place.map, tuple(place.plane.values()))
    counts = list(first.values())
    return max(counts, key=counts.count) if counts else planes[0]


def _plane_words(matched: Matched, plane: tuple[int, ...]) -> str:
    """Name a plane for a heading."""
    names = [axis.name for axis in matched.result.spec.axes.loops]
    pairs = ", ".join(f"{n} {i}" for n, i in zip(names, plane, strict=True))
    return f" of plane {pairs}" if pairs else ""


def _scores(found: Inspection) -> str:
    """Write the table of scores and what they mean."""
    table = found.scores
    head = "".join(f"<th>{html.escape(name)}</th>" for name in table.header)
    rows = [
        "".join(
            f'<td class="word">{html.escape(cell)}</td>'
            if isinstance(cell, str)
            else f"<td>{_number(cell)}</td>"
            for cell in row
        )
        for row in table.cells()[:_ROWS]
    ]
    more = len(table.rows) - len(rows)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    note = f"<p>{more} more rows are in scores.csv.</p>" if more else ""
    meanings = "; ".join(
        f"<b>{key}</b> {html.escape(SCORES[key])}"
        for key in table.keys
        if key in SCORES
    )
    return (
        f"<table><tr>{head}</tr>{body}</table>{note}"
        f'<p class="blind">{meanings}; the others are means of the maps.</p>'
    )


def _number(value: Any) -> str:
    """Write a value of the table."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _legend(found: Inspection) -> str:
    """Say what each map means and what it cannot see."""
    items = [
        f"<li><b>{html.escape(entry.title)}</b>: {html.escape(entry.meaning)} "
        f'<span class="blind">Cannot see: {html.escape(entry.blind)}</span></li>'
        for entry in (MAPS[key] for key in found.maps)
    ]
    return f"<ul>{''.join(items)}</ul>"


def _overview(
    found: Inspection, matched: Matched, maps: dict[str, Any], plane: tuple[int, ...]
) -> bytes:
    """Draw a plane and its maps."""
    height, width = found.spec.axes.plane
    step = max(1, -(-max(height, width) // _SIDE))
    whole = (slice(0, height), slice(0, width))
    tiles: list[_Shown] = [
        (title, image[::step, ::step], None)
        for title, image in _images(matched, plane, whole)
    ]
    tiles += [
        (MAPS[key].title, np.asarray(values[(*plane, *whole)])[::step, ::step], key)
        for key, values in maps.items()
    ]
    return _drawn([tiles[n : n + 4] for n in range(0, len(tiles), 4)], found)


def _close_up(
    found: Inspection, matched: Matched, values: Any, places: list[WorstRegion]
) -> bytes:
    """Draw the worst places of one map, a row each."""
    rows: list[list[_Shown]] = []
    for place in places:
        plane = tuple(place.plane.values())
        part = tuple(
            slice(max(0, span[0] - _AROUND), min(size, span[1] + _AROUND))
            for span, size in zip(
                (place.rows, place.columns), found.spec.axes.plane, strict=True
            )
        )
        where = f"{_plane_words(matched, plane).removeprefix(' of plane ')}"
        where = f"{where} row {place.rows[0]}, column {place.columns[0]}".strip()
        images: list[_Shown] = [
            (title, image, None) for title, image in _images(matched, plane, part)
        ]
        images[0] = (f"result, {where}", *images[0][1:])
        shown = np.asarray(values[(*plane, *part)])
        rows.append([*images, (f"{place.value:.3g}", shown, place.map)])
    return _drawn(rows, found)


def _images(
    matched: Matched, plane: tuple[int, ...], part: tuple[slice, ...]
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Read the compared images of a part of a plane."""
    yield "result", matched.result.read(plane, *part)[0]
    if matched.reference is not None:
        yield "reference", matched.reference.read(plane, *part)[0]
    if matched.source is not None:
        factor = matched.factor
        coarse = [slice(p.start // factor, -(-p.stop // factor)) for p in part]
        yield "source", matched.source.read(plane, *coarse)[0]


def _drawn(rows: list[list[_Shown]], found: Inspection) -> bytes:
    """Draw images in grey and maps in colour."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    columns = max(map(len, rows))
    size = 3.2 * columns, 3.0 * len(rows)
    figure = Figure(figsize=size, dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for place in grid.flat:
        place.set_axis_off()
    for row, axes in zip(rows, grid, strict=True):
        for (title, image, key), place in zip(row, axes, strict=False):
            place.set_title(title, fontsize=9)
            if key is None:
                low, high = np.nanpercentile(image, (0.5, 99.5))
                place.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-12))
                continue
            best, worst = found.limits[key]
            names = MAPS[key].classes
            cmap: Any = "inferno" if best < worst else "inferno_r"
            if names:
                cmap = ListedColormap(_CLASSES)
            drawn = place.imshow(
                image,
                cmap=cmap,
                vmin=min(best, worst) - (0.5 if names else 0),
                vmax=max(best, worst) + (0.5 if names else 0),
                interpolation="nearest",
            )
            bar = figure.colorbar(drawn, ax=place, shrink=0.8)
            bar.ax.tick_params(labelsize=7)
            if names:
                bar.set_ticks(range(len(names)), labels=list(names))
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()


def _image(png: bytes) -> str:
    """Embed a figure."""
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
