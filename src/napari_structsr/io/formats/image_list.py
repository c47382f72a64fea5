"""Files that hold several images: what they are called, and which one is meant.

Series of an OME-TIFF, scenes of a CZI, positions of an ND2, images of an OME-Zarr and
fields of a plate are all called series here, as the option ``--series`` is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from napari_structsr.core.axes import Axes
from napari_structsr.errors import SettingsError

# names that a message lists before it says how many there are
_LISTED = 8


@dataclass(frozen=True)
class ImageEntry:
    """One image of a file, without its pixels.

    Parameters
    ----------
    index
        Its number in the file, from 0.
    name
        As the file calls it, or its number where it has no name; what `open_source`
        takes as ``series``.
    axes
        Names, sizes and pixel sizes; None where it cannot be upscaled.
    dtype
        Type of its pixels; None where it cannot be upscaled.
    fault
        Why it cannot be upscaled, in a sentence; empty where it can.
    """

    index: int
    name: str
    axes: Axes | None = None
    dtype: np.dtype | None = None
    fault: str = ""


def name_images(names: Iterable[str | None]) -> tuple[str, ...]:
    """Return a name for each image: its own, or its number where it has none."""
    return tuple(name or str(number) for number, name in enumerate(names))


def find_image(names: Sequence[str], series: int | str | None, *, origin: str) -> int:
    """Return the number of the image that is meant; the first where none is named.

    Parameters
    ----------
    names
        Those of all images in the file.
    series
        Number or name; digits are a number unless an image is called so.
    origin
        The file, for messages.

    Raises
    ------
    SettingsError
        If there is no such image, or several of that name.
    """
    if series is None:
        return 0
    if isinstance(series, str):
        wanted = [number for number, name in enumerate(names) if name == series]
        if len(wanted) == 1:
            return wanted[0]
        if wanted:
            numbers = ", ".join(map(str, wanted[:_LISTED]))
            raise SettingsError(
                f"{origin} holds {len(wanted)} images that are called {series}; give "
                f"the number of one, such as --series {wanted[0]} (of {numbers})"
            )
    if not isinstance(series, str) or series.isdecimal():
        number = int(series)
        if 0 <= number < len(names):
            return number
    raise SettingsError(
        f"{origin} has no image {series}; it holds {describe_images(names)}"
    )


def describe_images(names: Sequence[str]) -> str:
    """Return in words which images a file holds, each with its number."""
    if len(names) == 1:
        return f"one image, {names[0]}, with the number 0"
    listed = [
        name if name == str(number) else f"{number} {name}"
        for number, name in enumerate(names[:_LISTED])
    ]
    if len(names) > _LISTED:
        listed.append(f"and {len(names) - _LISTED} more (see structsr info)")
    return f"{len(names)} images: {', '.join(listed)}"
