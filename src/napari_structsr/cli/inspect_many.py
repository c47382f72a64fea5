"""`structsr inspect` over many results: a folder for each, one table, one page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from napari_structsr.cli.batch_report import report_outcomes, run_images
from napari_structsr.cli.terminal import ProgressKind, err, out
from napari_structsr.core.names import expand_home
from napari_structsr.errors import SettingsError
from napari_structsr.inspection.results import Inspection
from napari_structsr.io.remote.address import check_local
from napari_structsr.scripting.batch import Outcome, find_images
from napari_structsr.scripting.name_matching import find_partners
from napari_structsr.scripting.output import name_folders

Inspect = Callable[[str, str | None, str | None, Path], Inspection]
"""Inspects a result with its reference and its source into a folder."""


def inspect_many(
    words: Sequence[str],
    folder: Path,
    inspect_one: Inspect,
    *,
    reference: str | None,
    source: str | None,
    progress: ProgressKind,
) -> None:
    """Inspect results one by one, then write scores.csv and index.html.

    Parameters
    ----------
    words
        Results, and folders of results.
    folder
        Where the folders of the inspections go.
    inspect_one
        Called for each result.
    reference, source
        Folders with an image for each result, or None.
    progress
        How it is shown.
    """
    from napari_structsr.inspection.pages.collection import (
        explain_missing_page,
        write_collection,
    )

    check_local(folder, "maps")
    if folder.is_file():
        raise SettingsError(f"{folder} is a file; give --out a folder")
    results = find_images(words)
    partners = find_partners(results, reference=reference, source=source)
    places = name_folders(results, expand_home(folder).absolute())
    folder.mkdir(parents=True, exist_ok=True)
    inspections: dict[str, Inspection] = {}

    def work(number: int, result: str) -> Outcome:
        place = places[number]
        inspections[place.name] = inspect_one(result, *partners[number], place)
        return Outcome(result, "written", place)

    outcomes = run_images(results, work, progress=progress)
    failures = {one.image: str(one.error) for one in outcomes if one.error}
    try:
        write_collection(folder, inspections, failures)
    except ImportError as error:
        err.print(f"warning: {explain_missing_page(error)}", style="yellow")
    out.print(f"wrote {folder}", soft_wrap=True)
    report_outcomes(outcomes, progress=progress)
