"""Many images one by one: what fails is told at the end, the others are done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_structsr.core.names import expand_home
from napari_structsr.engine.failures import explain_error
from napari_structsr.errors import CancelError, SourceError, StructsrError
from napari_structsr.io.ome_zarr.metadata import is_zarr

# what is an image whatever it begins with
_ENDINGS = (
    *(".tif", ".tiff", ".zarr", ".lsm", ".stk", ".ndpi", ".czi", ".nd2", ".lif"),
    *(".dv", ".png", ".jpg", ".jpeg", ".npy"),
)
_SHOWN = 8  # failures in a sentence


@dataclass(frozen=True)
class Outcome:
    """What became of one image of many.

    Parameters
    ----------
    image
        Its path, or its name.
    state
        "written", "there" if an earlier run has made the same, or "failed".
    output
        Path of the result, or the result itself; None if it failed.
    error
        Why it failed.
    """

    image: str
    state: Literal["written", "there", "failed"]
    output: Any = None
    error: StructsrError | None = None


class BatchError(StructsrError):
    """Some images of many failed; the others are done.

    Parameters
    ----------
    outcomes
        What became of each image, in their order.
    """

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes = tuple(outcomes)
        failed = [one for one in outcomes if one.error]
        lines = [f"{one.image}: {one.error}" for one in failed[:_SHOWN]]
        more = [f"and {len(failed) - _SHOWN} more"] if len(failed) > _SHOWN else []
        super().__init__(
            f"{len(failed)} of {len(outcomes)} images failed, the others are done; "
            + "; ".join(lines + more)
        )


def run_batch(
    images: Sequence[tuple[str, Any]], work: Callable[[int, Any], Outcome]
) -> Iterator[Outcome]:
    """Do work for each image, and yield what became of it.

    Parameters
    ----------
    images
        Name and image.
    work
        Called with the number and the image. What it raises becomes a failure of this
        image alone, but for a cancel, which ends all.
    """
    for number, (name, image) in enumerate(images):
        try:
            yield work(number, image)
        except CancelError:
            raise
        except Exception as error:
            yield Outcome(name, "failed", error=explain_error(error))


def find_images(paths: Sequence[str]) -> list[str]:
    """Return the images that paths name: folders give those in them, by name.

    A pattern is one image, as for `open_source`.

    Raises
    ------
    SourceError
        If a folder holds no image.
    """
    found: list[str] = []
    for path in paths:
        if not is_image_folder(path):
            found.append(path)
            continue
        folder = expand_home(path)
        inside = sorted(str(entry) for entry in folder.iterdir() if _is_image(entry))
        if not inside:
            raise SourceError(
                f"there is no image in {folder}; give images, or a folder of them, "
                "such as TIFF or OME-Zarr"
            )
        found += inside
    # a file that is named twice is one image
    return list(dict.fromkeys(found))


def is_image_folder(image: Any) -> bool:
    """Tell a folder of images from one image, which a zarr is."""
    if not isinstance(image, (str, os.PathLike)):
        return False
    path = expand_home(image)
    if not os.fsdecode(image):  # which is the current folder for pathlib
        return False
    # a damaged zarr is told so, and is no folder of images
    return path.is_dir() and path.suffix.lower() != ".zarr" and not is_zarr(path)


def _is_image(entry: Path) -> bool:
    if entry.name.startswith("."):  # of a run, or of the system
        return False
    return entry.suffix.lower() in _ENDINGS
