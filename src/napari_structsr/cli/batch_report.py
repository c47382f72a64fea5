"""Many images of one command: what is said of each, and of all at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from napari_structsr.cli.terminal import ProgressKind, err, follow, out
from napari_structsr.errors import CancelError
from napari_structsr.io.remote.address import hide_credentials
from napari_structsr.scripting.batch import Outcome, run_batch

if TYPE_CHECKING:
    from napari_structsr.scripting.upscale_request import UpscaleRequest

_STATES = {"written": "written", "there": "was there already", "failed": "failed"}


def run_images(
    images: Sequence[str],
    work: Callable[[int, str], Outcome],
    *,
    progress: ProgressKind,
) -> list[Outcome]:
    """Do work for each image, and say of which one.

    Raises
    ------
    typer.Exit
        With 130 if a run was cancelled, which ends all.
    """

    def announce(number: int, image: Any) -> Outcome:
        shown = hide_credentials(image)
        if progress is ProgressKind.JSON:
            place = {"number": number + 1, "of": len(images)}
            _write_line({"event": "image", "image": shown} | place)
        elif progress is ProgressKind.BAR:
            err.print(f"{number + 1}/{len(images)} {shown}", soft_wrap=True)
        try:
            return work(number, image)
        except typer.Exit as stopped:
            # the one exit that a run takes by itself
            raise CancelError(str(stopped.exit_code)) from stopped

    try:
        return list(run_batch([(image, image) for image in images], announce))
    except CancelError as cancelled:
        raise typer.Exit(int(str(cancelled))) from None


def _shorten(path: str | Path) -> str:
    """Return the name of a file, and of a field of a plate those around it as well."""
    place = Path(path)
    return place.name if place.suffix else "/".join(place.parts[-3:])


def report_outcomes(outcomes: Sequence[Outcome], *, progress: ProgressKind) -> None:
    """Show a table of what became of each image, failures last; exit with 1 for them.

    Raises
    ------
    typer.Exit
        With 1 if any image failed.
    """
    outcomes = [replace(one, image=hide_credentials(one.image)) for one in outcomes]
    table = Table("image", "result", "")
    for one in outcomes:
        result = "" if one.output is None else _shorten(one.output)
        table.add_row(_shorten(one.image), result, _STATES[one.state])
    out.print(table)
    failed = [one for one in outcomes if one.error is not None]
    if progress is ProgressKind.JSON:
        images = [
            {
                "image": one.image,
                "state": one.state,
                "output": None if one.output is None else str(one.output),
                "message": None if one.error is None else str(one.error),
            }
            for one in outcomes
        ]
        _write_line({"event": "summary", "failed": len(failed), "images": images})
    else:
        for one in failed:
            line = f"error: {one.image}: {one.error}"
            err.print(line, style="red", soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def upscale_fields(
    image: str,
    place: str,
    load: Callable[[], UpscaleRequest],
    *,
    dry_run: bool,
    progress: ProgressKind,
) -> None:
    """Upscale every field of a plate, and write a plate.

    Fields that fail are told at the end; the plate is then unfinished, and the same
    command goes on with it.

    Parameters
    ----------
    image, place
        The plate, and where the result goes.
    load
        Returns what all fields have in common.
    dry_run, progress
        As the options of the command.
    """
    from napari_structsr.io.ome_zarr.plate import read_plate
    from napari_structsr.scripting.plates import open_plate_run

    plate = read_plate(image)
    if dry_run:
        for field in plate.fields:
            out.print(f"{plate.origin}/{field} -> {place}/{field}", soft_wrap=True)
        return
    with open_plate_run(plate, place, load()) as run:

        def follow_field(start: Callable[..., Iterator[Any]]) -> Any:
            return follow(start, progress=progress)

        def work(_: int, field: str) -> Outcome:
            return run.upscale_field(field, follow_field)

        outcomes = run_images(plate.fields, work, progress=progress)
        whole = not any(one.error for one in outcomes)
        written = run.finish() if whole else None
    report_outcomes(outcomes, progress=progress)
    out.print(f"wrote {written}", soft_wrap=True)


def _write_line(words: dict[str, Any]) -> None:
    err.file.write(json.dumps(words) + "\n")
    err.file.flush()
