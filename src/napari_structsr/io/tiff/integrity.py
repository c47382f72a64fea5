"""Whether a TIFF is whole, told from its directories alone, without reading pixels.

A copy that was cut off, a writer that was killed: tifffile reads what is left and logs
the rest, or fills it with zeros. Here it is refused before a long run begins.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree

import numpy as np
import tifffile

from napari_structsr.errors import SourceError
from napari_structsr.io.limits import PLANES
from napari_structsr.io.remote.place import RemotePlace

# bytes of one value of each TIFF data type, in its order; unknown types count as 0
_WIDTHS = dict(enumerate((0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)))


@dataclass(frozen=True)
class PageFacts:
    """What the pages of a series have in common, and where their pixels lie."""

    files: set[Path]
    keyframes: set[tifffile.TiffPage]
    # digest of the first directory, and of the places of all strips or tiles
    layout: bytes


def raise_damaged(
    origin: str, reason: str, error: BaseException | None = None
) -> NoReturn:
    """Raise SourceError for a damaged file."""
    raise SourceError(
        f"{origin} is damaged or no image: {reason}; copy the file again from where it "
        "came from, or write it again"
    ) from error


def check_chain(file: tifffile.TiffFile, path: Path | RemotePlace) -> None:
    """Check that no page leads back to an earlier one: such a chain has no end.

    Raises
    ------
    SourceError
        If one does.
    """
    form, handle = file.tiff, file.filehandle
    where, seen = file.pages.first.offset, set[int]()
    while where:
        if where in seen:
            raise_damaged(str(path), "one of its pages leads back to an earlier one")
        seen.add(where)
        # a chain that breaks off is told by `check_directories`
        try:
            handle.seek(where)
            (tags,) = struct.unpack(form.tagnoformat, handle.read(form.tagnosize))
            handle.seek(where + form.tagnosize + tags * form.tagsize)
            (where,) = struct.unpack(form.offsetformat, handle.read(form.offsetsize))
        except (struct.error, OSError, ValueError):
            return


def check_directories(file: tifffile.TiffFile, *, origin: str) -> None:
    """Check that the chain of pages ends, and that metadata lie inside the file.

    The values of tags are checked on the first and the last page and on the smaller
    levels below them; pages between them matter for their pixels only, which
    `check_pixels` looks at.

    Raises
    ------
    SourceError
        If the file is truncated.
    """
    # tifffile stops at the first page that is missing, and says so in its log alone
    where = file.pages.next_page_offset
    if where is not None:
        file.filehandle.seek(where)
        # the chain ends with a link of zeros
        link = file.filehandle.read(file.tiff.offsetsize)
        if link != bytes(file.tiff.offsetsize):
            number = len(file.pages) + 1
            reason = f"it is truncated: page {number} is announced but is not there"
            raise_damaged(origin, reason)
    # NDPI has 64-bit offsets in a layout of its own
    if file.is_ndpi:
        return
    for page in (file.pages.first, file.pages[len(file.pages) - 1]):
        for offset in (page.offset, *(page.subifds or ())):
            if _find_end_of_values(file, offset) > file.filehandle.size:
                raise_damaged(origin, "it is truncated: its metadata end early")


def check_ome(file: tifffile.TiffFile, path: Path | RemotePlace) -> None:
    """Refuse OME-XML that makes tifffile wait for ever, or fill the memory.

    tifffile opens every file that is named there, pipes as well, and lists every plane
    that is announced.

    Raises
    ------
    SourceError
        If a part of the image is a pipe, a socket or a device, or if there are more
        planes than are read.
    """
    text = file.ome_metadata
    if not text:
        return
    try:
        entries = list(ElementTree.fromstring(text).iter())
    except ElementTree.ParseError:
        # who reads the metadata says so
        return
    for entry in entries:
        sizes = [_read_count(entry, f"Size{name}") for name in "ZCT"]
        counts = [_read_count(entry, name) for name in ("PlaneCount", "NumPlanes")]
        planes = max(math.prod(sizes), *counts)
        plane = _read_count(entry, "SizeY"), _read_count(entry, "SizeX")
        # tifffile counts in pages as large as those it finds, whatever is announced
        full = planes * math.prod(plane) // max(file.pages.first.size, 1)
        if full > PLANES:
            keys = {page.keyframe for page in file.pages}
            found = {(page.imagelength, page.imagewidth) for page in keys if page}
            planes = planes if plane in found else full
        if planes > PLANES:
            # how many may be a number of thousands of digits
            reason = f"its OME-XML announces more planes than the {PLANES} allowed"
            raise_damaged(str(path), reason)
    if not isinstance(path, Path):
        # tifffile opens no others beside an address
        return
    named = {
        entry.get(key) for entry in entries for key in ("FileName", "MetadataFile")
    }
    for name in filter(None, named):
        other = path.parent / name
        if other.exists() and not other.is_file():
            raise SourceError(
                f"{path} names {other} as a part of it, which is no file; copy all "
                "files of the image again from where they came"
            )


def _read_count(entry: ElementTree.Element, name: str) -> int:
    """Return a count as tifffile reads it; 1 where it is none."""
    try:
        return int(entry.get(name, "1"))
    except ValueError:
        # whoever reads the metadata says what is wrong with it
        return 1


def check_pixels(
    file: tifffile.TiffFile, series: tifffile.TiffPageSeries, *, origin: str
) -> PageFacts:
    """Check that all pixels of a series lie inside the file, and say where.

    Raises
    ------
    SourceError
        If planes are missing, or pixels end beyond the end of the file.
    """
    # tifffile gives up the series of ImageJ where pages are fewer than announced
    if file.is_imagej and series.kind in ("generic", "uniform"):
        raise_damaged(
            origin,
            f"it is truncated or its ImageJ description is wrong: {len(file.pages)} "
            f"pages of shape {series.keyframe.shape} are less than it announces",
        )
    first = series.keyframe
    digest = hashlib.sha256(_read_directory(first.parent, first.offset))
    # contiguous pixels: one length tells all
    if series.dataoffset is not None:
        there = max(series.keyframe.parent.filehandle.size - series.dataoffset, 0)
        if series.nbytes > there:
            raise_damaged(
                origin,
                f"it is truncated: {series.nbytes} bytes of pixels are announced, "
                f"{there} are there",
            )
        return PageFacts({Path(first.parent.filehandle.path)}, {first}, digest.digest())
    expected = series.size // max(series.keyframe.size, 1)
    try:
        # pages are parsed here: one beyond the end is an IndexError
        pages = list(series)
    except IndexError:
        pages = list(file.pages)
    found = [page for page in pages if page is not None]
    if len(found) < expected:
        raise_damaged(
            origin,
            f"it is truncated or parts of it are missing: {expected} planes are "
            f"announced, {len(found)} are there",
        )
    files, keyframes = set(), {first}
    for number, page in enumerate(found, 1):
        files.add(Path(page.parent.filehandle.path))
        if page.keyframe is not None:
            keyframes.add(page.keyframe)
        for places in (page.dataoffsets, page.databytecounts):
            digest.update(np.array(places, np.uint64).tobytes())
        parts = zip(page.dataoffsets, page.databytecounts, strict=False)
        # a width or a number of samples that is not true asks for strips without end
        strips = math.prod(series.keyframe.chunked)
        if len(page.dataoffsets) < strips:
            reason = (
                f"plane {number} has {len(page.dataoffsets)} strips or tiles of "
                f"{strips} that its size asks for"
            )
            raise_damaged(origin, reason)
        # an OME-TIFF may lie in several files: each page knows its own
        size = page.parent.filehandle.size
        if not page.dataoffsets or max(map(sum, parts)) > size:
            reason = f"it is truncated: the pixels of plane {number} end early"
            raise_damaged(origin, reason)
    return PageFacts(files, keyframes, digest.digest())


def _read_directory(file: tifffile.TiffFile, offset: int) -> bytes:
    """Return the bytes of the page directory at `offset`, as far as they are there."""
    tiff = file.tiff
    file.filehandle.seek(offset)
    head = file.filehandle.read(tiff.tagnosize)
    if len(head) < tiff.tagnosize:
        return bytes(head)
    (count,) = struct.unpack(tiff.tagnoformat, head)
    return bytes(head + file.filehandle.read(count * tiff.tagsize))


def _find_end_of_values(file: tifffile.TiffFile, offset: int) -> int:
    """Return where the page directory at `offset`, or its farthest tag value, ends."""
    tiff = file.tiff
    if offset + tiff.tagnosize > file.filehandle.size:
        return offset + tiff.tagnosize
    file.filehandle.seek(offset)
    (count,) = struct.unpack(tiff.tagnoformat, file.filehandle.read(tiff.tagnosize))
    end: int = offset + tiff.tagnosize + count * tiff.tagsize
    if end > file.filehandle.size:
        return end
    entries = file.filehandle.read(count * tiff.tagsize)
    word = tiff.offsetformat[-1]
    for _, kind, number, value in struct.iter_unpack(
        f"{tiff.byteorder}HH{word}{word}", entries
    ):
        size = number * _WIDTHS.get(kind, 0)
        # a value that fits stands in the entry itself, a larger one elsewhere
        if size > tiff.offsetsize:
            end = max(end, value + size)
    return end
