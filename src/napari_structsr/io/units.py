"""Names of axes and units, and the distances between pixels.

Formats say them in their own words; here these become the six axis names, UDUNITS
names of units and one `Step` for each axis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from napari_structsr.core.axes import Axes, Axis
from napari_structsr.errors import AxesError

__all__ = [
    "Step",
    "convert_unit",
    "find_unit_name",
    "find_unit_symbol",
    "is_pixel_size",
    "make_axes",
    "name_axes",
    "scale_axes",
]

_NAMES = {name: name for name in "tczyxs"} | {
    "time": "t",
    "ch": "c",
    "channel": "c",
    "channels": "c",
    "sample": "s",
    "samples": "s",
}

_PREFIXES = {
    "yocto": ("y", -24),
    "zepto": ("z", -21),
    "atto": ("a", -18),
    "femto": ("f", -15),
    "pico": ("p", -12),
    "nano": ("n", -9),
    "micro": ("u", -6),
    "milli": ("m", -3),
    "centi": ("c", -2),
    "deci": ("d", -1),
    "": ("", 0),
    "hecto": ("h", 2),
    "kilo": ("k", 3),
    "mega": ("M", 6),
    "giga": ("G", 9),
    "tera": ("T", 12),
    "peta": ("P", 15),
    "exa": ("E", 18),
    "zetta": ("Z", 21),
    "yotta": ("Y", 24),
}

# UDUNITS name -> what it measures, and how many metres or seconds it is
_UNITS: dict[str, tuple[str, float]] = {
    "angstrom": ("length", 1e-10),
    "inch": ("length", 0.0254),
    "foot": ("length", 0.3048),
    "yard": ("length", 0.9144),
    "mile": ("length", 1609.344),
    "parsec": ("length", 3.0856775814913673e16),
    "minute": ("time", 60.0),
    "hour": ("time", 3600.0),
    "day": ("time", 86400.0),
}
_SYMBOLS = {
    "å": "angstrom",
    "in": "inch",
    "ft": "foot",
    "micron": "micrometer",
    "sec": "second",
    "msec": "millisecond",
    "usec": "microsecond",
    "min": "minute",
    "h": "hour",
    "hr": "hour",
    "d": "day",
}
_OME_SYMBOLS = {"angstrom": "Å", "minute": "min", "hour": "h", "day": "d"}
for _prefix, (_letter, _power) in _PREFIXES.items():
    for _base, _sign, _kind in (("meter", "m", "length"), ("second", "s", "time")):
        _UNITS[_prefix + _base] = (_kind, 10.0**_power)
        _SYMBOLS[_letter + _sign] = _prefix + _base
        _OME_SYMBOLS[_prefix + _base] = _letter.replace("u", "µ") + _sign


@dataclass(frozen=True)
class Step:
    """Distance between pixel centres along one axis, and where the first one lies."""

    scale: float = 1.0
    translate: float = 0.0
    unit: str | None = None


def find_unit_name(unit: str | None) -> str | None:
    """Return the UDUNITS name of a unit, such as "micrometer" for "µm".

    Parameters
    ----------
    unit
        Name, plural or symbol, as found in files.

    Returns
    -------
    str or None
        None for pixels and for anything that is no known length or time.
    """
    # ImageJ writes the escape itself; micro sign and Greek mu are two characters
    word = (unit or "").strip().replace("\\u00B5", "u")
    word = word.replace("µ", "u").replace("μ", "u")
    # as written first: Mm is a megametre, mm a millimetre
    for candidate in (word, word.lower()):
        singular = candidate.removesuffix("s").replace("metre", "meter")
        for spelling in (candidate, singular):
            if spelling in _UNITS:
                return spelling
            if spelling in _SYMBOLS:
                return _SYMBOLS[spelling]
    return None


def find_unit_symbol(unit: str | None) -> str:
    """Return a unit as OME writes it; without one, lengths are in pixels."""
    return "pixel" if unit is None else _OME_SYMBOLS.get(unit, unit)


def convert_unit(value: float, unit: str | None, target: str | None) -> float | None:
    """Convert a length or time between units; None where they do not compare."""
    if unit is None or target is None or _UNITS[unit][0] != _UNITS[target][0]:
        return None
    return value * _UNITS[unit][1] / _UNITS[target][1]


def name_axes(
    labels: Sequence[str | None], shape: Sequence[int], *, squeeze: bool
) -> tuple[str | None, ...]:
    """Name the dimensions of an array.

    Labels that are known (z, time, Channel ...) are kept. The others are named from
    the right by what is still free: x, y, z, then t, or t and c where two are left.
    So arrays without labels are yx, zyx, tzyx and tczyx.

    Parameters
    ----------
    labels
        One entry for each dimension; None or any other word when unknown.
    shape
        Sizes of the dimensions.
    squeeze
        Drop unlabelled dimensions of one pixel always; otherwise only when there
        are more dimensions than names.

    Returns
    -------
    tuple
        A name for each dimension, None for those to be dropped.

    Raises
    ------
    AxesError
        If there are fewer than two dimensions, or more than can be named.
    """
    if len(shape) < 2:
        raise AxesError(
            f"an array of shape {tuple(shape)} holds no image; "
            "it needs at least the two dimensions y and x"
        )
    names = [_NAMES.get((label or "").strip().lower()) for label in labels]
    unknown = [index for index, name in enumerate(names) if name is None]
    # from the right: y and x are stored last
    for name in "xy":
        if name not in names and unknown:
            names[unknown.pop()] = name
    loops = [name for name in "ztc" if name not in names]
    # a dimension of one entry carries nothing where it has no name
    if squeeze or len(unknown) > len(loops):
        unknown = [index for index in unknown if shape[index] != 1]
    if len(unknown) > len(loops):
        raise AxesError(
            f"shape {tuple(shape)} has more dimensions than t, c, z, y, x and s; "
            "open a part of the image that has none but these"
        )
    loops = sorted(loops[: len(unknown)], key="tcz".index)
    for index, name in zip(unknown, loops, strict=True):
        names[index] = name
    return tuple(names)


def make_axes(
    names: Sequence[str | None], shape: Sequence[int], steps: Mapping[str, Step]
) -> Axes:
    """Return the axes of an array; dimensions named None are left out.

    Raises
    ------
    AxesError
        If the names do not fit the shape or do not make an image.
    """
    if len(names) != len(shape):
        return Axes.of("".join(name or "" for name in names), tuple(shape))
    items = []
    for name, size in zip(names, shape, strict=True):
        if name is not None:
            step = steps.get(name, Step())
            items.append(Axis(name, int(size), step.scale, step.translate, step.unit))
    return Axes(tuple(items))


def scale_axes(full: Axes, shape: Sequence[int]) -> Axes:
    """Return the axes of a coarser level from those of level 0, edges kept."""
    # by the sizes: pyramids round up, and leave some axes as they are
    pairs = zip(full.items, shape, strict=True)
    return Axes(
        tuple(
            axis if axis.size == size else axis.resample(int(size), size / axis.size)
            for axis, size in pairs
        )
    )


def is_pixel_size(value: float) -> bool:
    """Say whether a number can be a pixel size."""
    return math.isfinite(value) and value != 0
