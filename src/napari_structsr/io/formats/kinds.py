"""Of what kind a file is, and who reads it.

Files are told by their first bytes, whatever their names end with.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from napari_structsr.errors import SourceError
from napari_structsr.io.formats.others import find_other_reader
from napari_structsr.io.limits import open_regular
from napari_structsr.io.remote.place import RemotePlace
from napari_structsr.io.source import Source

# classic TIFF and BigTIFF, in either byte order
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# first bytes, and the module beside this one that reads such files
_INSTRUMENTS: tuple[tuple[tuple[bytes, ...], str], ...] = (
    ((b"ZISRAWFILE",), "czi"),
    # the older one holds JPEG 2000
    ((b"\xda\xce\xbe\x0a", b"\x00\x00\x00\x0cjP  "), "nd2"),
    ((b"\x70\x00\x00\x00",), "lif"),
    ((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\x93NUMPY"), "pictures"),
)

# bytes that tell all kinds apart, and where DV and MRC have their marks
_HEAD = 256
_DV_MARK, _MRC_MARK = slice(96, 98), slice(208, 212)

KINDS = (
    "TIFF (also ImageJ, OME-TIFF, LSM, STK and NDPI), CZI, ND2, LIF, DV, PNG, JPEG, "
    "NPY, OME-Zarr 0.4 and 0.5, and zarr arrays"
)
"""What is read, for messages."""


class Reader(NamedTuple):
    """Two functions that read one kind of file.

    Parameters
    ----------
    list_names
        Returns the names of all images of a file.
    open
        Returns one of them; takes ``axes``, ``level``, ``series`` and ``name`` as
        `napari_structsr.io.open.open_source` does.
    """

    list_names: Callable[[Any], tuple[str, ...]]
    open: Callable[..., Source]


def find_reader(path: Path | RemotePlace) -> Reader:
    """Return who reads a file or folder that is there.

    Raises
    ------
    SourceError
        If nobody does, or the file is empty.
    OSError
        If it cannot be opened.
    """
    if isinstance(path, RemotePlace):
        return _find_remote_reader(path)
    # each reader is imported when it is needed: zarr and tifffile cost time
    if path.is_dir():
        from napari_structsr.io.ome_zarr import reader as zarr_reader

        return Reader(zarr_reader.list_names, zarr_reader.open_zarr)
    head = _read_head(path)
    if head[:4] in _TIFF:
        from napari_structsr.io.tiff import reader as tiff_reader

        return Reader(tiff_reader.list_names, tiff_reader.TiffSource)
    for marks, module in _INSTRUMENTS:
        if head.startswith(marks):
            # by name: some need a library that not everybody has
            reader: Any = import_module(f"napari_structsr.io.formats.{module}")
            return Reader(reader.list_names, reader.open_file)
    if head[_DV_MARK] in (b"\xa0\xc0", b"\xc0\xa0"):
        from napari_structsr.io.formats import dv

        return Reader(dv.list_names, dv.open_file)
    if found := find_other_reader(path):
        return Reader(found.list_names, found.open_file)
    if head[_MRC_MARK] == b"MAP ":
        raise SourceError(
            f"{path} is an MRC file of electron microscopy, which is not read; convert "
            "it with mrc2tif of IMOD, or save its pixels as .npy"
        )
    raise SourceError(_describe_unknown(path))


def _find_remote_reader(place: RemotePlace) -> Reader:
    """Return who reads what is at an address: a zarr, or a TIFF by its parts."""
    # what has a signature is one file
    if not place.query:
        from napari_structsr.io.ome_zarr.metadata import is_zarr

        # its ending need not say so, and saves three questions to a server
        if place.suffix.lower() not in (".tif", ".tiff") and is_zarr(place):
            from napari_structsr.io.ome_zarr import reader as zarr_reader

            return Reader(zarr_reader.list_names, zarr_reader.open_zarr)
    head = place.read_head(_HEAD)
    if head[:4] in _TIFF:
        from napari_structsr.io.tiff import reader as tiff_reader

        return Reader(tiff_reader.list_names, tiff_reader.TiffSource)
    raise SourceError(
        f"{place} holds neither zarr metadata nor a TIFF, which are what is read at an "
        "address; check it, or copy the image to a local folder first"
    )


def check_tiff(path: Path) -> None:
    """Raise SourceError unless a file begins as a TIFF does."""
    if _read_head(path)[:4] not in _TIFF:
        raise SourceError(_describe_unknown(path))


def _read_head(path: Path) -> bytes:
    with open_regular(path) as file:
        head = file.read(_HEAD)
    if not head:
        raise SourceError(
            f"{path} is empty (0 bytes); copy it again from where it came from"
        )
    return head


def _describe_unknown(path: Path) -> str:
    return (
        f"{path} is not an image of a kind that is read; {KINDS} are read, and what "
        "readers of others add (see the page Formats): convert it first"
    )
