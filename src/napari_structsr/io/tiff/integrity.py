"""Whether a TIFF is whole, told from its directories alone, without reading pixels.

A copy that was cut off, a writer that was killed: tifffile reads what is left and logs
the rest, or fills it with zeros. Here it is refused before a long run begins.
"""

from __future__ import annotations

import struct
from typing import NoReturn

import tifffile

from napari_structsr.errors import SourceError

# bytes of one value of each TIFF data type, in its order; unknown types count as 0
_WIDTHS = dict(enumerate((0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)))


def raise_damaged(
    origin: str, reason: str, error: BaseException | None = None
) -> NoReturn:
    """Raise SourceError for a damaged file."""
    raise SourceError(
        f"{origin} is damaged or no image: {reason}; copy the file again from where it "
        "came from, or write it again"
    ) from error


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


def check_pixels(
    file: tifffile.TiffFile, series: tifffile.TiffPageSeries, *, origin: str
) -> None:
    """Check that all pixels of a series lie inside the file.

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
    # contiguous pixels: one length tells all
    if series.dataoffset is not None:
        there = max(series.keyframe.parent.filehandle.size - series.dataoffset, 0)
        if series.nbytes > there:
            raise_damaged(
                origin,
                f"it is truncated: {series.nbytes} bytes of pixels are announced, "
                f"{there} are there",
            )
        return
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
    for number, page in enumerate(found, 1):
        parts = zip(page.dataoffsets, page.databytecounts, strict=False)
        # an OME-TIFF may lie in several files: each page knows its own
        size = page.parent.filehandle.size
        if not page.dataoffsets or max(map(sum, parts)) > size:
            reason = f"it is truncated: the pixels of plane {number} end early"
            raise_damaged(origin, reason)


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
