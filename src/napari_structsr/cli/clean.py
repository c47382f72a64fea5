"""`structsr clean`: removes what killed runs have left."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_structsr.cli.terminal import exit_on_error, out
from napari_structsr.errors import SinkError


def clean(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Looked at with all below it.")
    ] = Path(),
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Remove without asking.")
    ] = False,
    remote: Annotated[
        bool,
        typer.Option(
            "--remote",
            help="Instead, what this machine notes of unfinished results at addresses.",
        ),
    ] = False,
) -> None:
    """List what killed runs have left in a folder, and remove it after asking.

    What a running job writes to stays. An unfinished OME-Zarr stays too, since the
    command that wrote it goes on with it.
    """
    with exit_on_error():
        from napari_structsr.io.litter import find_litter, find_remote_litter

        if not folder.is_dir():
            raise SinkError(f"{folder} is no folder; give one to be cleaned")
        found = find_remote_litter() if remote else find_litter(folder.absolute())
        for one in found:
            line = f"{one.path}: {one.what}, {one.nbytes / 1e6:.3g} MB"
            out.print(line, soft_wrap=True, highlight=False, markup=False)
        if not found:
            out.print("no run has left anything")
            return
        if not yes and not typer.confirm(f"Remove these {len(found)}?"):
            return
        for one in found:
            try:
                one.remove()
            except OSError as error:
                raise SinkError(
                    f"{one.path} cannot be removed ({error.strerror}); check who owns "
                    "it, and clean again"
                ) from error
        out.print(f"removed {len(found)}")
