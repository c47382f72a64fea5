"""Names of axes and units, and the distances between pixels.

Formats say them in their own words; here these become the six axis names, UDUNITS
names of units and one `Step` for each axis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from napari_structsr.core.axes import Axes, Axis
from napari_structsr.errors import AxesError

_NAMES = {name: name for name in "tczyxs"} | {
    "time": "t",
    "ch": "c",
    "channel": "c",
    "channels": "c",
    "sample": "s",
    "samples": "s",
}

# prefixes of SI, their symbols and powers of ten; micro is written "u"
_SMALL = ("yocto", "zepto", "atto", "femto", "pico", "nano", "micro", "milli")
_LARGE = ("", "kilo", "mega", "giga", "tera", "peta", "exa", "zetta", "yotta")
_PREFIXES = (
    *zip(_SMALL, "yzafpnum", range(-24, 0, 3), strict=True),
    *(("centi", "c", -2), ("deci", "d", -1), ("hecto", "h", 2)),
    *zip(_LARGE, ("", *"kMGTPEZY"), range(0, 27, 3), strict=True),
)

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
    # lower case: `find_unit_name` asks once more for what it does not find
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
for _prefix, _letter, _power in _PREFIXES:
    for _base, _sign, _kind in (("meter", "m", "length"), ("second", "s", "time")):
        _UNITS[_prefix + _base] = (_kind, 10.0**_power)
        _SYMBOLS[_letter + _sign] = _prefix + _base
        # the micro sign U+00B5, as the schema of OME lists it
        _OME_SYMBOLS[_prefix + _base] = _letter.replace("u", "µ") + _sign


class Step(NamedTuple):
    """Distance between pixel centres along one axis, and where the first one lies."""

    scale: float = 1.0
    translate: float = 0.0
    unit: str | None = None


def find_unit_name(unit: str | None) -> str | None:
    """Return the UDUNITS name of a unit, such as "micrometer" for "µm".

    Names, plurals and symbols are known, as files hold them; None stands for pixels
    and for anything that is no known length or time.
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
    # lengths and times share a table, but do not compare
    if unit is None or target is None or _UNITS[unit][0] != _UNITS[target][0]:
        return None
    return value * _UNITS[unit][1] / _UNITS[target][1]


def compute_pixel_size(axes: Axes) -> float | None:
    """Return micrometres between pixels, the mean of y and x; None without a length."""
    height, width = (
        convert_unit(abs(axes[name].scale), axes[name].unit, "micrometer")
        for name in "yx"
    )
    return None if height is None or width is None else math.sqrt(height * width)


def name_axes(
    labels: Sequence[str | None],
    shape: Sequence[int],
    *,
    squeeze: bool,
    given: str | None = None,
) -> tuple[str | None, ...]:
    """Return a name for each dimension of an array, None for those to be dropped.

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
    given
        Names that the user gave, which are taken as they are.

    Raises
    ------
    AxesError
        If there are fewer than two dimensions, or more than can be named.
    """
    if given:
        return tuple(given.lower())
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


def spread_names(axes: str, shape: Sequence[int]) -> tuple[str | None, ...]:
    """Return names that a user gave, where dimensions of one entry may have none.

    Parameters
    ----------
    axes
        As many names as dimensions, or as there are of more than one entry.
    shape
        Sizes of the dimensions.
    """
    given: list[str | None] = list(axes.lower())
    if len(given) == sum(size != 1 for size in shape) < len(shape):
        kept = iter(given)
        given = [next(kept) if size != 1 else None for size in shape]
    return tuple(given)


def make_axes(
    names: Sequence[str | None], shape: Sequence[int], steps: Mapping[str, Step]
) -> Axes:
    """Return the axes of an array; dimensions named None are left out.

    Raises
    ------
    AxesError
        If the names do not fit the shape or do not make an image.
    """
    # as many names as dimensions, or else: it raises, and says both numbers
    if len(names) != len(shape):
        return Axes.of("".join(name or "" for name in names), tuple(shape))
    items = (
        Axis(name, int(size), *steps.get(name, Step()))
        for name, size in zip(names, shape, strict=True)
        if name is not None
    )
    return Axes(tuple(items))


def scale_axes(full: Axes, shape: Sequence[int]) -> Axes:
    """Return the axes of a coarser level from those of level 0, edges kept."""
    # by the sizes: pyramids round up, and leave some axes as they are
    items = (
        axis if axis.size == size else axis.resample(int(size), size / axis.size)
        for axis, size in zip(full.items, shape, strict=True)
    )
    return Axes(tuple(items))


def is_pixel_size(value: float) -> bool:
    """Say whether a number can be a pixel size."""
    return math.isfinite(value) and value != 0
