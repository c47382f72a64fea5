"""`sr.inspect`: where not to believe a result."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_structsr.core.names import expand_home
from napari_structsr.core.record import Record
from napari_structsr.core.types import Array
from napari_structsr.engine.events import Cancel
from napari_structsr.errors import check_kind
from napari_structsr.inspection.error_maps import iter_inspect
from napari_structsr.inspection.pages.collection import (
    explain_missing_page,
    write_collection,
)
from napari_structsr.inspection.results import Inspection
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.io.open import open_source
from napari_structsr.io.remote.address import check_local
from napari_structsr.scripting.arguments import (
    check_cancel,
    check_client,
    is_list,
    make_settings,
    split_keywords,
)
from napari_structsr.scripting.batch import (
    BatchError,
    Outcome,
    find_images,
    is_image_folder,
    run_batch,
)
from napari_structsr.scripting.name_matching import find_partners
from napari_structsr.scripting.output import name_folders
from napari_structsr.scripting.progress import choose_display, run_to_end

Inspect = Callable[[Any, Any, Any, Path | None], Inspection]
"""Inspects a result with its reference and its source into a folder."""


def inspect(
    result: Any,
    reference: Any = None,
    *,
    source: Any = None,
    out: str | os.PathLike[str] | None = None,
    maps: str | Sequence[str] | None = None,
    model: str | None = None,
    axes: str | None = None,
    channels: Sequence[int | str] | int | str | None = None,
    regions: Array | None = None,
    region_names: Mapping[int, str] | None = None,
    record: Record | None = None,
    device: str | None = None,
    overwrite: bool = False,
    progress: bool | None = None,
    cancel: Cancel | None = None,
    client: Any = None,
    settings: InspectSettings | None = None,
    **choices: Any,
) -> Any:
    """Map where the structure of a result is wrong or unsupported.

    Parameters
    ----------
    result
        Super-resolved image: a path, an array, a layer, or whatever else `open_source`
        takes. A folder, or a list of paths, is inspected one by one; `reference` and
        `source` are folders then, in which the names say what belongs together.
    reference
        The truth, of any pixel size and place, with the same planes; or None.
    source
        The image that the result was made from; None takes that of its record.
    out
        Folder for the maps as OME-Zarr, scores.csv, worst.csv, report.html and
        inspection.json; None keeps everything in memory. Many results have a folder
        each in it, and scores.csv and index.html of all.
    maps
        Keys of `MAPS`, one or several; None takes all that what is given allows, but
        for slow ones.
    model
        Name or path of the model to run again; None takes that of the record.
    axes
        Names of the dimensions of all images, where they do not say them.
    channels
        Those that the result has, of the source and the reference.
    regions
        Labels on the pixels of the result, shape (y, x) or (t, c, z, y, x) as far as
        present, 0 outside; each region is scored as well.
    region_names
        Names of the labels.
    record
        How the result was made; None reads it from the result's file.
    device
        As in `UpscaleSettings`.
    overwrite
        Whether maps that are in the way are replaced.
    progress, cancel, client
        As for `upscale`; with a client `out` is needed.
    settings
        All settings in one; single ones that are given beside it win.
    **choices
        Any other setting of `InspectSettings`, by its name.

    Returns
    -------
    Inspection
        With ``maps``, ``scores`` and ``worst``; of many results a list.

    Raises
    ------
    ArgumentError
        If an argument is of a kind that is not taken; it is a TypeError as well.
    CancelError
        If it was cancelled.
    BatchError
        If some of many failed; the others are done.
    StructsrError
        What else keeps the result from being inspected.

    Examples
    --------
    >>> import napari_structsr as sr
    >>> found = sr.inspect("out.ome.zarr", out="maps")
    >>> found = sr.inspect(sr.upscale("in.tif"), source="in.tif", model="faithful")
    >>> found.scores.means()
    """
    named = {
        "maps": (maps,) if isinstance(maps, str) else maps and tuple(maps),
        "model": model,
        "axes": axes,
        "channels": channels,
        "device": device,
    }
    if isinstance(choices.get("calibration"), str):
        choices["calibration"] = Path(choices["calibration"])
    reading, chosen = split_keywords("inspect", named | choices, InspectSettings)
    if out is not None:
        check_kind("out", out, (str, os.PathLike), remedy="give the path of a folder")
    check_cancel(cancel)
    check_client(client)
    # a result has the chosen channels alone
    whole = {name: value for name, value in reading.items() if name == "axes"}
    checked = make_settings(InspectSettings, settings, chosen)

    def inspect_one(one: Any, truth: Any, measured: Any, place: Any) -> Inspection:
        events = iter_inspect(
            open_source(one, **whole),
            None if truth is None else open_source(truth, **reading),
            source=None if measured is None else open_source(measured, **reading),
            out=None if place is None else expand_home(place),
            regions=regions,
            region_names=region_names,
            record=record,
            settings=checked,
            overwrite=overwrite,
            cancel=cancel,
            client=client,
        )
        found: Inspection = run_to_end(events, choose_display(progress)).output
        return found

    if is_list(result) or is_image_folder(result):
        return _inspect_all(result, reference, source, out, inspect_one)
    return inspect_one(result, reference, source, out)


def _inspect_all(
    results: Any, reference: Any, source: Any, out: Any, inspect_one: Inspect
) -> list[Inspection]:
    """Inspect results one by one; return what was found, in their order."""
    given = [results] if is_image_folder(results) else list(results)
    for number, one in enumerate(given, start=1):
        remedy = "give paths of results, or inspect arrays one by one"
        check_kind(f"result {number}", one, (str, os.PathLike), remedy=remedy)
    paths = find_images([os.fsdecode(one) for one in given])
    partners = find_partners(paths, reference=reference, source=source)
    places: Sequence[Path | None] = [None] * len(paths)
    if out is not None:
        check_local(out, "maps")
    folder = None if out is None else expand_home(out).absolute()
    if folder is not None:
        places = name_folders(paths, folder)
        folder.mkdir(parents=True, exist_ok=True)

    def work(number: int, path: Any) -> Outcome:
        found = inspect_one(path, *partners[number], places[number])
        return Outcome(path, "written", found)

    outcomes = list(run_batch([(path, path) for path in paths], work))
    if folder is not None:
        pairs = zip(outcomes, places, strict=True)
        found = {place.name: one.output for one, place in pairs if place and one.output}
        failed = {one.image: str(one.error) for one in outcomes if one.error}
        try:
            write_collection(folder, found, failed)
        except ImportError as error:
            warnings.warn(explain_missing_page(error), UserWarning, stacklevel=3)
    if any(one.error for one in outcomes):
        raise BatchError(outcomes)
    return [one.output for one in outcomes]
