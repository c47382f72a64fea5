"""Opening what a command names: an image, where there are others, and a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_structsr.cli.terminal import err
from napari_structsr.core.names import expand_home
from napari_structsr.errors import SettingsError
from napari_structsr.io.remote.address import (
    hide_credentials,
    is_remote,
)

if TYPE_CHECKING:
    from distributed import Client

    from napari_structsr.core.part import RunPart
    from napari_structsr.io.source import Source

Series = Annotated[
    str | None,
    typer.Option(
        metavar="N|NAME",
        help="One of several images in a file; structsr info lists them.",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Let the workers of a dask scheduler do it, such as tcp://10.0.0.5:8786.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Let N processes of this machine do it."),
]
PartOption = Annotated[
    str | None,
    typer.Option(
        "--part",
        metavar="K/N",
        help="Do the K-th of N parts, beside the same command for the others.",
    ),
]


def open_image(path: str, series: str | None, **options: Any) -> Source:
    """Open an image, and warn if it is one of several and nobody chose it.

    Arguments and errors are those of `napari_structsr.io.open.open_source`; a plate of
    several fields is refused too.
    """
    from napari_structsr.io.open import list_names, open_source

    if series is None and is_plate(path) and len(fields := list_names(path)) > 1:
        raise SettingsError(
            f"{path} is a plate of {len(fields)} fields; take one with --series "
            f"{fields[0]}, or upscale them all with structsr upscale {path} OUT.zarr"
        )
    source = open_source(path, series=series, **options)
    path = hide_credentials(path)
    names: tuple[str, ...] = getattr(source, "images", ())
    if series is None and len(names) > 1:
        called = "" if names[0] == "0" else f", {names[0]},"
        err.print(
            f"warning: {path} holds {len(names)} images; the first{called} is taken: "
            "choose another with --series, structsr info lists them",
            style="yellow",
            soft_wrap=True,
        )
    return source


def is_plate(path: str) -> bool:
    """Tell a plate from an image."""
    # zarr takes time to import, and no file is one
    if not is_remote(path) and not expand_home(path).is_dir():
        return False
    from napari_structsr.io.ome_zarr import plate

    return plate.is_plate(path)


def open_one_of(path: str, series: str | None, **options: Any) -> Source:
    """Open an image where `series` counts only for a file that holds several."""
    from napari_structsr.io.open import list_names

    several = series is not None and len(list_names(path)) > 1
    return open_image(path, series if several else None, **options)


def read_part(text: str | None) -> RunPart | None:
    """Return the part that an option names; None for the whole.

    Raises
    ------
    SettingsError
        If it names none.
    """
    from napari_structsr.core.part import RunPart

    return None if text is None else RunPart.parse(text)


def check_one_image(part: RunPart | None) -> None:
    """Refuse a part where there are many images.

    Raises
    ------
    SettingsError
        Saying what to do instead.
    """
    if part is not None:
        raise SettingsError(
            "--part shares the tiles of one image, and there are many; give one, or "
            "leave --part out and give each command some of the images"
        )


@contextmanager
def use_cluster(scheduler: str | None, workers: int | None) -> Iterator[Client | None]:
    """Connect to the workers that options ask for; None where they ask for none.

    Raises
    ------
    StructsrError
        If both ask, or nobody answers.
    """
    if scheduler is None and workers is None:
        yield None
        return
    if scheduler is not None and workers is not None:
        raise SettingsError(
            "--scheduler and --workers both say who does the work; give one"
        )
    from napari_structsr.engine.connection import open_client

    with open_client(scheduler, workers) as client:
        err.print(f"dashboard: {client.dashboard_link}", soft_wrap=True)
        yield client
