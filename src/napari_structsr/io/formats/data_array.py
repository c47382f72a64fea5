"""Arrays of xarray as sources: dimensions by their names, pixel size by coordinates.

They are known by what they have; xarray is not imported.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_structsr.core.axes import Channel
from napari_structsr.errors import AxesError
from napari_structsr.io.arrays import (
    ArraySource,
    check_level,
    guess_labels,
    make_spec,
)
from napari_structsr.io.units import Step, find_unit_name, make_axes, name_axes

_UNEVEN = 1e-3  # share of a step that steps may differ


def is_data_array(image: Any) -> bool:
    """Tell an array of xarray by what it has."""
    # `open_source` asks the same, and imports nothing for it
    return all(hasattr(image, part) for part in ("dims", "coords", "isel", "dtype"))


def open_data_array(
    array: Any, *, axes: str | None, level: int, name: str | None
) -> ArraySource:
    """Open an array of xarray.

    Dimensions named as axes, such as z, T or channel, are those; others are named
    from the right, as of an array without names. Coordinates give the pixel size, and
    their attribute ``units`` its unit; those along c name the channels. Arguments and
    errors are those of `open_source`.

    Raises
    ------
    AxesError
        If coordinates along y or x are no even steps.
    """
    origin = "xarray array"
    check_level(level, 1, origin=origin)
    shape = tuple(int(size) for size in array.shape)
    labels: list[str | None] = [str(dim) for dim in array.dims]
    if guess_labels(shape, array.dtype)[-1] == "s" and labels[-1] in ("rgb", "band"):
        labels[-1] = "s"
    names = name_axes(labels, shape, squeeze=True, given=axes)
    steps = {}
    channels: list[Channel] = []
    for dim, axis in zip(array.dims, names, strict=True):
        if axis is None or dim not in array.coords:
            continue
        coord = array.coords[dim]
        if axis == "c" and coord.dtype.kind in "UOT":
            channels = [Channel(str(label)) for label in coord.values]
        elif (step := _find_step(coord, strict=axis in "yx")) is not None:
            steps[axis] = step
    title = name or str(array.name or "image")
    spec = make_spec(title, make_axes(names, shape, steps), array.dtype, channels)
    # dask reads chunks by itself; what is not loaded yet stays so
    pixels = array.data if array.chunks is not None else array
    return ArraySource(pixels, spec, names=names, origin=origin)


def _find_step(coord: Any, *, strict: bool) -> Step | None:
    """Return pixel size and place by a coordinate; None where it tells neither."""
    if coord.ndim != 1 or coord.size < 2 or coord.dtype.kind not in "iuf":
        return None
    values = np.asarray(coord.values, np.float64)
    steps = np.diff(values)
    mean = float(steps.mean())
    if not np.isfinite(mean) or not np.all(abs(steps - mean) <= _UNEVEN * abs(mean)):
        if strict:
            raise AxesError(
                f"the coordinates along {coord.name} are no even steps, and pixels of "
                "one size are upscaled; interpolate the image to even steps, or leave "
                f"them out with image.drop_vars({coord.name!r})"
            )
        return None
    unit = str(coord.attrs.get("units", coord.attrs.get("unit", "")))
    return Step(mean, float(values[0]), find_unit_name(unit))
