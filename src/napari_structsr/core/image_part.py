"""A part of an image: some planes, and a rectangle of each."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Self

from napari_structsr.core.axes import Axes
from napari_structsr.errors import SettingsError

_SPAN = re.compile(r"(?:([a-z])\s*=\s*)?(\d{1,9})?\s*(:)?\s*(\d{1,9})?", re.ASCII)


@dataclass(frozen=True)
class ImagePart:
    """Which planes of an image, and which rows and columns of them.

    Parameters
    ----------
    planes
        First index, and the one behind the last, of t or z where not all are taken.
    rows, columns
        Likewise along y and x; None where all are taken.
    """

    planes: dict[str, tuple[int, int]] = field(default_factory=dict)
    rows: tuple[int, int] | None = None
    columns: tuple[int, int] | None = None

    @classmethod
    def parse(cls, axes: Axes, *, planes: str = "", region: str = "") -> Self:
        """Return the part of an image that two texts name.

        Parameters
        ----------
        axes
            Of the image.
        planes
            Such as "3:10", which needs no name where the image has one of t and z
            alone, "z=3:10" or "t=0,z=5": counted from 0, the last one left out. An
            empty text takes all.
        region
            Rows and columns, such as "10:200,30:400"; an empty text takes all.

        Raises
        ------
        SettingsError
            If a text names no part, or one beyond the image.
        """
        chosen: dict[str, tuple[int, int]] = {}
        offered = [axis.name for axis in axes.loops if axis.name in "tz"]
        for text in filter(None, map(str.strip, planes.split(","))):
            name = text[0] if text[1:].lstrip().startswith("=") else ""
            # the one axis that has several planes needs no name
            several = [one for one in offered if axes[one].size > 1] or offered
            if not name and len(several) == 1:
                name = several[0]
            if name not in offered:
                raise SettingsError(_explain_planes(text, offered))
            if name in chosen:
                raise SettingsError(
                    f"planes {planes!r} name the axis {name} twice; name it once"
                )
            chosen[name] = _parse_span(text, axes[name].size, name)
        if not region.strip():
            return cls(chosen)
        spans = region.split(",")
        if len(spans) != 2:
            raise SettingsError(
                f"region {region!r} is none; give rows and columns, such as "
                "10:200,30:400"
            )
        rows, columns = (
            _parse_span(text, axes[name].size, name)
            for name, text in zip("yx", spans, strict=True)
        )
        return cls(chosen, rows, columns)

    def describe_planes(self) -> str:
        """Return the text that names the planes, such as "z=3:10"."""
        return ",".join(
            f"{name}={first}:{stop}" for name, (first, stop) in self.planes.items()
        )


def _explain_planes(text: str, offered: list[str]) -> str:
    if not offered:
        return f"planes {text!r} were chosen of an image of one plane; leave them out"
    example = ",".join(f"{name}=0:5" for name in offered)
    return (
        f"planes {text!r} name none of the axes {' and '.join(offered)} of the image; "
        f"give them such as {example}"
    )


def _parse_span(text: str, size: int, name: str) -> tuple[int, int]:
    found = _SPAN.fullmatch(text.strip())
    if found is None or not (found[2] or found[3]):
        raise SettingsError(
            f"{text.strip()!r} is no part of the axis {name}; give it such as 3:10, "
            "counted from 0 and without the last"
        )
    first = int(found[2] or 0)
    stop = int(found[4] or size) if found[3] else first + 1
    if not 0 <= first < stop <= size:
        raise SettingsError(
            f"{text.strip()!r} reaches beyond the axis {name} of {size} or is empty; "
            f"give a part of 0:{size}"
        )
    return first, stop
