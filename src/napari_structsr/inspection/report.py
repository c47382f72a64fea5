"""The report of an inspection: one HTML file with figures, scores and worst places.

It shows the plane where the maps are worst, whole and by its worst places, and says of
each map what it cannot see. Nothing is linked: the file can be mailed.
"""

from __future__ import annotations

import base64
import html
from pathlib import Path
from typing import Any

from napari_structsr.core.error_map import MAPS
from napari_structsr.inspection.figures import close_up, overview
from napari_structsr.inspection.matching import MatchedImages
from napari_structsr.inspection.results import SCORES, Inspection

__all__ = ["write_report"]

_PLACES = 2  # of each map
_ROWS = 60  # of the table of scores

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto;
       padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: right }
th { text-align: left; vertical-align: bottom } td.word { text-align: left }
img { max-width: 100% } .blind { color: #666 }
"""


def write_report(
    path: Path, found: Inspection, matched: MatchedImages, maps: dict[str, Any]
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
    notes = [*(note.rstrip(".?") for note in found.notes), _pixel_words(found)]
    parts = [
        f"<h1>Structure error of {html.escape(matched.result.spec.name)}</h1>",
        *(f"<p>{html.escape(note[:1].upper() + note[1:])}.</p>" for note in notes),
        "<h2>Scores</h2>",
        _scores(found),
        f"<h2>Maps{_plane_words(matched, plane)}</h2>",
        _image(overview(found, matched, maps, plane), "the images and all maps"),
        _legend(found),
        "<h2>Worst places</h2>",
    ]
    for key in maps:
        places = [place for place in found.worst if place.map == key][:_PLACES]
        if places:
            title = MAPS[key].title
            parts.append(f"<h3>{html.escape(title)}</h3>")
            figure = close_up(found, matched, maps[key], places)
            parts.append(_image(figure, f"the worst places of {title}"))
    text = "\n".join(parts)
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>Structure error</title><style>{_STYLE}</style>\n{text}\n</html>\n"
    )
    path.write_text(page, "utf-8")


def _worst_plane(found: Inspection, matched: MatchedImages) -> tuple[int, ...]:
    """Return the plane of the worst place of the most maps."""
    planes = list(matched.result.spec.axes.planes())
    first: dict[str, tuple[int, ...]] = {}
    for place in found.worst:
        first.setdefault(place.map, tuple(place.plane.values()))
    counts = list(first.values())
    return max(counts, key=counts.count) if counts else planes[0]


def _plane_words(matched: MatchedImages, plane: tuple[int, ...]) -> str:
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


def _pixel_words(found: Inspection) -> str:
    """Say how large a pixel of the maps is."""
    sides = [found.spec.axes[name] for name in "yx"]
    if None in (side.unit for side in sides):
        return "the size of a pixel is not known"
    sizes = dict.fromkeys(f"{abs(side.scale):.4g} {side.unit}" for side in sides)
    return f"a pixel of the maps is {' by '.join(sizes)} large"


def _image(png: bytes, words: str) -> str:
    """Embed a figure."""
    data = base64.b64encode(png).decode()
    return f'<img alt="{html.escape(words)}" src="data:image/png;base64,{data}">'
