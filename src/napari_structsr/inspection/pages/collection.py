"""Several inspections as one: a table of all scores, and a page that links to each."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_structsr.inspection.results import SCORES, Inspection, ScoreTable
from napari_structsr.io.atomic import replace_whole

_FIXED = ("channel", "region", "pixels")


def write_collection(
    folder: Path, found: Mapping[str, Inspection], failures: Mapping[str, str]
) -> None:
    """Write scores.csv and index.html for inspections in folders of a folder.

    Parameters
    ----------
    folder
        Where the folders of the inspections lie.
    found
        Inspections by the name of their folder.
    failures
        What went wrong, by name.

    Raises
    ------
    ImportError
        If jinja2 is missing; the table is written by then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with replace_whole(folder / "scores.csv") as part:
        part.write_text(join_scores({n: one.scores for n, one in found.items()}))
    from jinja2 import Environment

    means = {name: one.scores.means() for name, one in found.items()}
    # in the order in which they are listed, then maps
    keys = list(dict.fromkeys(key for one in means.values() for key in one))
    template = Path(__file__).with_suffix(".html").read_text("utf-8")
    # names of files are the user's: everything is escaped
    page = Environment(autoescape=True, trim_blocks=True)
    html = page.from_string(template).render(
        keys=keys,
        meanings=[(key, SCORES[key]) for key in keys if key in SCORES],
        rows=[
            (
                name,
                (folder / name / "report.html").is_file(),
                [mean.get(key) for key in keys],
            )
            for name, mean in means.items()
        ],
        failures=failures,
    )
    with replace_whole(folder / "index.html") as part:
        part.write_text(html, "utf-8")


def explain_missing_page(error: ImportError) -> str:
    """Say why there is no index.html, and what to do."""
    return (
        f"index.html was not written: {error.name} is missing; install it with "
        "pip install 'napari-structsr[report]'"
    )


def join_scores(tables: Mapping[str, ScoreTable]) -> str:
    """Return the rows of all tables as one CSV, the name of the image first.

    Columns are those that any table has; where a table lacks one, it is empty.
    """
    rows: list[dict[str, Any]] = []
    axes: dict[str, None] = {}
    scores: dict[str, None] = {}
    for name, table in tables.items():
        for cells in table.cells():
            row = dict(zip(table.header, cells, strict=True))
            rows.append({"image": name} | row)
        first = table.header.index(_FIXED[0]) if table.rows else 0
        axes |= dict.fromkeys(table.header[:first])
        scores |= dict.fromkeys(table.header[first + len(_FIXED) :])
    loops = [axis for axis in "tcz" if axis in axes]
    text = io.StringIO()
    header = ("image", *loops, *_FIXED, *scores)
    writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {
                key: format(value, ".7g") if isinstance(value, float) else value
                for key, value in row.items()
            }
        )
    return text.getvalue()
