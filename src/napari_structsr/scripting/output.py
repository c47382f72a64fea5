"""Where results go: the format by the ending of a name, and names for many of them."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

from napari_structsr.core.names import expand_home
from napari_structsr.core.part import RunPart
from napari_structsr.errors import SettingsError, SinkError
from napari_structsr.io.remote.address import hide_credentials, is_remote
from napari_structsr.io.sink import Sink
from napari_structsr.io.source import Source
from napari_structsr.pairs.files import file_stem

Format = Literal["zarr", "tif"]

_ENDINGS: dict[str, str] = {"zarr": ".ome.zarr", "tif": ".ome.tif"}
_VERSIONS = ("0.5", "0.4")
# what names of files may not hold on one system or another
_ODD = re.compile(r'[\x00-\x1f<>:"/\\|?*]+')


def choose_sink(
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    ome_version: str = "0.5",
    part: RunPart | None = None,
) -> Sink:
    """Return the sink of a file, by the ending of its name.

    Parameters
    ----------
    path
        ``name.ome.zarr``, or ``name.ome.tif`` for one file; or the address of an
        OME-Zarr, such as ``s3://bucket/name.ome.zarr``.
    overwrite
        Whether what is at `path` is replaced.
    ome_version
        Of OME-Zarr, "0.5" or "0.4".
    part
        Which part of the result a run makes, if not all of it.

    Raises
    ------
    SinkError
        If the ending names no format that is written there.
    SettingsError
        If there is no such version.
    """
    # in the body: zarr and tifffile cost time
    from napari_structsr.io.ome_zarr.writer import OmeZarrSink
    from napari_structsr.io.tiff.writer import TiffSink

    text = os.fsdecode(path)
    if ome_version not in _VERSIONS:
        raise SettingsError(
            f"OME-Zarr {ome_version} is unknown; choose --ome-version 0.5 or 0.4"
        )
    if is_remote(text):
        return _choose_remote(text, overwrite, ome_version, part)
    place = expand_home(text)
    if place.suffix.lower() == ".zarr":
        # checked above; a str is not narrowed to a Literal
        version: Any = ome_version
        return OmeZarrSink(place, overwrite=overwrite, version=version, part=part)
    if place.suffix.lower() in (".tif", ".tiff"):
        return TiffSink(place, overwrite=overwrite, part=part)
    raise SinkError(
        f"the ending of {place.name} names no format that is written; "
        "use name.ome.zarr or name.ome.tif"
    )


def _choose_remote(
    text: str, overwrite: bool, version: Any, part: RunPart | None
) -> Sink:
    shown = hide_credentials(text)
    if not shown.rstrip("/").lower().endswith(".zarr"):
        raise SinkError(
            f"{shown} is a remote address, where results are written as OME-Zarr "
            "alone; use name.ome.zarr, or write to a local folder and copy it there"
        )
    from napari_structsr.io.remote.remote_sink import RemoteOmeZarrSink

    return RemoteOmeZarrSink(text, overwrite=overwrite, version=version, part=part)


def is_output_folder(path: str | os.PathLike[str], *, new: bool = False) -> bool:
    """Tell a folder for results from the name of one result.

    Parameters
    ----------
    path
        A folder that exists, or whose name ends in "/".
    new
        Whether any other name can be a folder that is still to be made.
    """
    text = os.fsdecode(path)
    # a remote place and a name of an image are one result
    if is_remote(text) or Path(text).suffix.lower() in (".zarr", ".tif", ".tiff"):
        return False
    if text.endswith(("/", os.sep)) or expand_home(text).is_dir():
        return True
    return new and not Path(text).suffix


def name_outputs(
    images: Sequence[tuple[str, str]], folder: Path, *, label: str, kind: Format
) -> list[Path]:
    """Return a path in a folder for the result of each image.

    The same images get the same names, so that the same call goes on where it was
    interrupted. An image whose name another one has too is told apart by its folder,
    then by its ending, and by its number last.

    Parameters
    ----------
    images
        Path, or "" for an image without one, and name of each.
    folder
        Where the results go.
    label
        What follows the name of an image, such as "x2".
    kind
        "zarr" or "tif".
    """
    stems = _tell_apart([_list_spellings(path, name) for path, name in images])
    return [folder / f"{stem}-{label}{_ENDINGS[kind]}" for stem in stems]


def name_folders(images: Sequence[str], folder: Path) -> list[Path]:
    """Return a folder in a folder for each image, named as it and told apart so."""
    return [
        folder / stem
        for stem in _tell_apart([_list_spellings(path, "") for path in images])
    ]


def _tell_apart(spellings: Sequence[Sequence[str]]) -> list[str]:
    """Return the shortest spelling of each that no other has, or a number after it."""
    chosen = [0] * len(spellings)
    for _ in range(max(map(len, spellings), default=1) - 1):
        # case does not tell files apart on every system
        names = [one[n].casefold() for one, n in zip(spellings, chosen, strict=True)]
        counts = Counter(names)
        chosen = [
            min(n + (counts[name] > 1), len(one) - 1)
            for one, n, name in zip(spellings, chosen, names, strict=True)
        ]
    found: dict[str, str] = {}
    for one, n in zip(spellings, chosen, strict=True):
        numbered = (f"{one[n]}-{number}" for number in count(2))
        name = next(s for s in chain([one[n]], numbered) if s.casefold() not in found)
        found[name.casefold()] = name
    return list(found.values())


def _list_spellings(path: str, name: str) -> list[str]:
    """Return names for an image, each longer than the one before."""
    if not path:
        return [_make_safe(name)]
    file = Path(path).absolute()
    stem = _make_safe(file_stem(file))
    above = [_make_safe(file.parent.name)] if file.parent.name else []
    whole = _make_safe(file.name).replace(".", "-")
    return [stem, "-".join([*above, stem]), "-".join([*above, whole])]


def _make_safe(name: str) -> str:
    return _ODD.sub("_", name).strip(" .") or "image"


def describe_image(image: Any, number: int) -> tuple[str, str]:
    """Return the path of an image, or "", and its name."""
    if isinstance(image, (str, os.PathLike)):
        return hide_credentials(os.fsdecode(image)), ""
    if isinstance(image, Source):
        origin = image.origin if Path(image.origin).is_absolute() else ""
        return origin, image.spec.name
    name = getattr(image, "name", None)
    return "", str(name) if name else f"image-{number}"
