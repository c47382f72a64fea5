"""`structsr inspect`: where not to believe a result."""

from __future__ import annotations

import math
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_structsr.cli.opening import (
    PartOption,
    Scheduler,
    Series,
    Workers,
    check_one_image,
    open_one_of,
    read_part,
    use_cluster,
)
from napari_structsr.cli.terminal import (
    Progress,
    ProgressKind,
    exit_on_error,
    follow,
    make_settings,
    out,
    split_channels,
    split_words,
)
from napari_structsr.core.types import Array
from napari_structsr.errors import SettingsError

if TYPE_CHECKING:
    from napari_structsr.inspection.results import Inspection
    from napari_structsr.io.source import Source


def inspect(
    results: Annotated[
        list[str],
        typer.Argument(metavar="RESULT...", help="TIFF or zarr, or folders of them."),
    ],
    folder: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="For maps, scores and report.")
    ],
    reference: Annotated[
        str | None,
        typer.Option(
            help="The true image, of any pixel size and place, or a folder of such."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="The image RESULT was made from, or a folder of such; else that of "
            "its record."
        ),
    ] = None,
    maps: Annotated[
        str | None, typer.Option(help="Maps by comma; see structsr inspect --list.")
    ] = None,
    register: Annotated[
        bool, typer.Option(help="Move the reference below a pixel.")
    ] = False,
    fit_intensity: Annotated[
        bool, typer.Option(help="Fit gain and offset to the reference.")
    ] = False,
    match: Annotated[
        str, typer.Option(help="Pixels of the images by: auto, world or pixels.")
    ] = "auto",
    data_range: Annotated[
        str | None, typer.Option(help="Values that count as 0 and 1: LOW,HIGH.")
    ] = None,
    regions: Annotated[
        str | None, typer.Option(help="Labels on the pixels of RESULT, scored alone.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model to run again; else that of the record.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Of the expected error; else that of the model.")
    ] = None,
    worst: Annotated[int, typer.Option(help="Places to list of each map.")] = 20,
    place: Annotated[int, typer.Option(help="Pixels along the side of a place.")] = 64,
    axes: Annotated[
        str | None, typer.Option(help="Names of the dimensions, such as tczyx.")
    ] = None,
    series: Series = None,
    channels: Annotated[
        str | None,
        typer.Option(
            help="Those that RESULT has, of the reference and of --source: indices or "
            "names, by comma."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="auto, float32, bfloat16 or float16.")
    ] = "auto",
    tile: Annotated[
        int | None, typer.Option(help="Source pixels written at once, along a side.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace maps in DIR.")] = False,
    scheduler: Scheduler = None,
    workers: Workers = None,
    part: PartOption = None,
    _: Annotated[
        bool,
        typer.Option(
            "--list",
            help="List the maps and exit.",
            # a lambda, as the function is defined further down
            callback=lambda wanted: _list_maps(wanted),
            is_eager=True,
        ),
    ] = False,
    progress: Progress = ProgressKind.BAR,
) -> None:
    """Map where the structure of a result is wrong or unsupported.

    With --reference against the truth, without it against the image that RESULT was
    made from. Many results get a folder each, one table and one page; their sources and
    references are found by name. The same command continues an interrupted inspection.
    """
    with exit_on_error(progress), ExitStack() as held:
        # in the body: torch takes two seconds, and --help must not wait for it
        from napari_structsr.inspection.settings import InspectSettings

        settings = make_settings(
            InspectSettings,
            "structsr inspect",
            maps=split_words(maps),
            registration=register,
            fit_intensity=fit_intensity,
            match=match,
            data_range=_read_range(data_range),
            model=model,
            calibration=calibration,
            worst=worst,
            place=place,
            device=device,
            precision=precision,
            tile=tile,
        )
        from napari_structsr.inspection.error_maps import iter_inspect
        from napari_structsr.scripting.batch import is_image_folder

        chosen = split_channels(channels)
        share = read_part(part)
        cluster = held.enter_context(use_cluster(scheduler, workers))

        def inspect_one(
            result: str, truth: str | None, measured: str | None, place: Path
        ) -> Any:
            opened = open_one_of(result, series, axes=axes)
            start = partial(
                iter_inspect,
                opened,
                truth and open_one_of(truth, series, axes=axes, channels=chosen),
                source=measured
                and open_one_of(measured, series, axes=axes, channels=chosen),
                out=place,
                regions=_read_labels(regions, opened),
                settings=settings,
                overwrite=overwrite,
                client=cluster,
                part=share,
            )
            return follow(start, progress=progress).output

        if len(results) > 1 or is_image_folder(results[0]):
            check_one_image(share)
            from napari_structsr.cli.inspect_many import inspect_many

            inspect_many(
                results,
                folder,
                inspect_one,
                reference=reference,
                source=source,
                progress=progress,
            )
            return
        inspected: Inspection | None = inspect_one(
            results[0], reference, source, folder
        )
        # a part that is not the last has said so
        if inspected is None:
            return
        _print_scores(inspected)
        out.print(f"wrote {folder}", soft_wrap=True)


def _list_maps(wanted: bool) -> None:
    if not wanted:
        return
    from rich.text import Text

    from napari_structsr.core.error_map import MAPS

    for entry in MAPS.values():
        # a set, whose order changes from run to run
        needs = ", ".join(sorted(entry.needs))
        line = Text.assemble((entry.key, "bold"), f" ({needs}): {entry.meaning}")
        out.print(line, soft_wrap=True)
        out.print(f"    cannot see: {entry.blind}", soft_wrap=True, style="dim")
    raise typer.Exit


def _read_range(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        low, high = (float(word) for word in text.split(","))
    except ValueError as error:
        raise SettingsError(
            f"--data-range {text} is no range; give LOW,HIGH such as 0,4095"
        ) from error
    return low, high


def _read_labels(path: str | None, result: Source) -> Array | None:
    """Read labels, one plane or as many as the result has."""
    if path is None:
        return None
    import numpy as np

    from napari_structsr.io.open import open_source

    labels = open_source(path)
    rows, columns = (slice(0, size) for size in labels.spec.axes.plane)
    planes = [labels.read(p, rows, columns)[0] for p in labels.spec.axes.planes()]
    if len(planes) == 1:
        found: Array = planes[0]
        return found
    # one plane serves for all; several must be those of the result
    loops = tuple(axis.size for axis in result.spec.axes.loops)
    if len(planes) != math.prod(loops):
        raise SettingsError(
            f"the regions {path} have {len(planes)} planes, the result has "
            f"{math.prod(loops)}; give one plane, or as many"
        )
    return np.stack(planes).reshape(*loops, *planes[0].shape)


def _print_scores(found: Inspection) -> None:
    """Print what was found: the scores, the worst place of each map, a sentence."""
    from rich.table import Table

    from napari_structsr.core.error_map import MAPS

    table = Table("score", "mean over planes")
    for key, value in found.scores.means().items():
        table.add_row(key, f"{value:.4g}")
    out.print(table)
    seen: set[str] = set()
    for place in found.worst:
        if place.map not in seen:
            seen.add(place.map)
            where = ", ".join(f"{axis} {index}" for axis, index in place.plane.items())
            out.print(
                f"worst {MAPS[place.map].title}: {place.value:.3g} at "
                f"{where + ', ' if where else ''}row {place.rows[0]}, "
                f"column {place.columns[0]}",
                soft_wrap=True,
            )
    out.print(found.sentence, soft_wrap=True, style="bold")
