"""Which images a zarr group holds: its own, those of a plate or well, or its parts.

Files with several images become groups of groups: as bioformats2raw writes them, with
the numbers 0, 1, 2 and so on, or as a plate, whose wells hold fields.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import zarr

from napari_structsr.errors import SourceError
from napari_structsr.io.formats.image_list import name_images

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImagePlace:
    """Where an image lies in a group.

    Parameters
    ----------
    name
        As in `ImageEntry`.
    path
        Of its group, from the one that was opened; empty for that itself.
    number
        Of the image in its group.
    """

    name: str
    path: str = ""
    number: int = 0


def get_ome(group: zarr.Group) -> Mapping[str, Any]:
    """Return what a group says of itself as OME-Zarr, of whatever version."""
    attributes = dict(group.attrs)
    ome = attributes.get("ome", attributes)
    return ome if isinstance(ome, Mapping) else {}


def list_places(group: zarr.Group, *, origin: str) -> tuple[ImagePlace, ...]:
    """Return all images of a group, in the order of the file; none where it has none.

    Raises
    ------
    SourceError
        If the metadata of a plate or of a well are damaged.
    """
    ome = get_ome(group)
    if isinstance(found := ome.get("multiscales"), list):
        names = [one.get("name") if isinstance(one, Mapping) else None for one in found]
        # a name of one image alone tells nothing
        titles = name_images(str(name or "") for name in names)
        return tuple(ImagePlace(title, "", n) for n, title in enumerate(titles))
    if "plate" in ome:
        return tuple(_list_fields(group, ome["plate"], origin))
    if "well" in ome:
        return tuple(ImagePlace(path, path) for path in _list_well(group, origin))
    return tuple(ImagePlace(path, path) for path in _list_parts(group))


def list_wells(group: zarr.Group, *, origin: str) -> list[str]:
    """Return the paths of the wells of a plate.

    Raises
    ------
    SourceError
        If its metadata are damaged.
    """
    return _list_paths(get_ome(group).get("plate"), "wells", origin)


def _list_fields(group: zarr.Group, plate: Any, origin: str) -> Iterator[ImagePlace]:
    for well in _list_paths(plate, "wells", origin):
        found = group.get(well)
        if not isinstance(found, zarr.Group):
            _LOGGER.warning("%s names the well %s, which is not there", origin, well)
            continue
        for field in _list_well(found, f"{origin}/{well}"):
            yield ImagePlace(f"{well}/{field}", f"{well}/{field}")


def _list_well(group: zarr.Group, origin: str) -> list[str]:
    return _list_paths(get_ome(group).get("well"), "images", origin)


def _list_paths(entry: Any, kind: str, origin: str) -> list[str]:
    found = entry.get(kind) if isinstance(entry, Mapping) else None
    found = found if isinstance(found, list) else []
    paths = [one.get("path") for one in found if isinstance(one, Mapping)]
    # a path that leads out of the group is none of its parts
    bad = [p for p in paths if not isinstance(p, str) or ".." in p.split("/") or not p]
    if not paths or bad or len(paths) != len(found):
        raise SourceError(
            f"the OME-Zarr metadata of {origin} list no {kind} that can be found; "
            "copy the image again from where it came from"
        )
    # what is listed twice is there once
    return list(dict.fromkeys(str(path).strip("/") for path in paths))


def _list_parts(group: zarr.Group) -> list[str]:
    """Return the groups of a group that are images."""
    ome = group.get("OME")
    if isinstance(ome, zarr.Group):
        # bioformats2raw says in which order
        listed = get_ome(ome).get("series")
        if isinstance(listed, list) and all(isinstance(one, str) for one in listed):
            return [one for one in listed if isinstance(group.get(one), zarr.Group)]
    parts = (name for name, part in group.groups() if "multiscales" in get_ome(part))
    return sorted(parts, key=_split_numbers)


def _split_numbers(name: str) -> list[tuple[bool, int, str]]:
    """Return a key by which 10 comes after 9."""
    return [
        (not word.isdecimal(), int(word) if word.isdecimal() else 0, word)
        for word in re.split(r"(\d+)", name)
    ]
