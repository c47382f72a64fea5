"""The report of an inspection: one HTML file with figures, scores and worst places.

It shows the plane where the maps are worst, whole and by its worst places, and says of
each map what it cannot see. The page itself is the template `report.html`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_structsr.core.error_map import MAPS
from napari_structsr.inspection.findings import compare_with_bicubic
from napari_structsr.inspection.matching import MatchedImages
from napari_structsr.inspection.pages.figures import (
    COLORS,
    draw_overview,
    draw_worst_places,
)
from napari_structsr.inspection.results import SCORES, Inspection
from napari_structsr.io.atomic import replace_whole

_PLACES = 2  # of each map
_ROWS = 60  # of the table of scores


def write_report(
    path: Path, found: Inspection, matched: MatchedImages, maps: Mapping[str, Any]
) -> None:
    """Write what was found in the images that were compared as one HTML file.

    The arrays of the maps come by key, indexed by plane, rows and columns.
    `ImportError` says that jinja2 is missing.
    """
    from jinja2 import Environment

    table, plane = found.scores, _find_worst_plane(found, matched)
    loops = [axis.name for axis in matched.result.spec.axes.loops]
    places = {
        key: [place for place in found.worst if place.map == key][:_PLACES]
        for key in maps
    }
    # names of files and channels are the user's: everything is escaped
    page = Environment(autoescape=True, trim_blocks=True)
    text = Path(__file__).with_suffix(".html").read_text("utf-8")
    html = page.from_string(text).render(
        name=matched.result.spec.name,
        sentence=found.sentence,
        gains=[
            (
                SCORES[one.key],
                *(f"{v:.{one.digits}f}" for v in (one.result, one.bicubic)),
            )
            for one in compare_with_bicubic(table.means())
        ],
        doubts={MAPS[key].title: texts for key, texts in found.doubts.items()},
        notes=[*(note.rstrip(".?") for note in found.notes), _describe_pixel(found)],
        header=table.header,
        rows=table.cells()[:_ROWS],
        more_rows=max(len(table.rows) - _ROWS, 0),
        meanings=[(key, SCORES[key]) for key in table.keys if key in SCORES],
        plane=", ".join(f"{n} {i}" for n, i in zip(loops, plane, strict=True)),
        colors=COLORS,
        overview=draw_overview(found, matched, maps, plane),
        maps=[MAPS[key] for key in found.maps],
        close_ups=[
            (
                MAPS[key].title,
                draw_worst_places(found, matched, maps[key], several),
            )
            for key, several in places.items()
            if several
        ],
    )
    with replace_whole(path) as part:
        part.write_text(html, "utf-8")


def explain_missing_report(error: ImportError) -> str:
    """Say why there is no report.html, and what to do."""
    return (
        f"the report was not written: {error.name} is missing; install it with "
        "pip install 'napari-structsr[report]'"
    )


def _find_worst_plane(found: Inspection, matched: MatchedImages) -> tuple[int, ...]:
    """Return the plane of the worst place of the most maps."""
    first: dict[str, tuple[int, ...]] = {}
    for place in found.worst:
        first.setdefault(place.map, tuple(place.plane.values()))
    counts = list(first.values())
    if counts:
        return max(counts, key=counts.count)
    return next(matched.result.spec.axes.planes())


def _describe_pixel(found: Inspection) -> str:
    """Say how large a pixel of the maps is."""
    sides = [found.spec.axes[name] for name in "yx"]
    if None in (side.unit for side in sides):
        return "the size of a pixel is not known"
    sizes = dict.fromkeys(f"{abs(side.scale):.4g} {side.unit}" for side in sides)
    return f"a pixel of the maps is {' by '.join(sizes)} large"
