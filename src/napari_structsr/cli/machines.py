"""Options that say which machines do the work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from napari_structsr.cli.terminal import err
from napari_structsr.errors import SettingsError

if TYPE_CHECKING:
    from distributed import Client

    from napari_structsr.core.part import RunPart

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
    from napari_structsr.engine.cluster import open_client

    with open_client(scheduler, workers) as client:
        err.print(f"dashboard: {client.dashboard_link}", soft_wrap=True)
        yield client
