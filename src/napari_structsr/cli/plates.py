"""Upscaling a plate: each field like an image, and a plate of the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from napari_structsr.cli.batch_report import report_outcomes, run_images
from napari_structsr.cli.terminal import ProgressKind, follow, out

if TYPE_CHECKING:
    from napari_structsr.scripting.batch import Outcome
    from napari_structsr.scripting.upscale_images import UpscaleRequest


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
