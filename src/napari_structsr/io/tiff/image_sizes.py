"""How large an image a strip or tile says it holds, read from its own header.

JPEG, JPEG 2000 and PNG repeat the size in the data, and decoders take memory for what
stands there, whatever the tile was to be.
"""

from __future__ import annotations

import struct

_JPEG = (6, 7, 33007, 34892)
_JPEG_2000 = (33003, 33004, 33005, 34712)
_PNG = 34933
# frames of JPEG, and markers that no length follows
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_BARE = {0x01, *range(0xD0, 0xD9)}


def find_image_pixels(compression: int, data: bytes) -> int | None:
    """Return width times height of the image in a strip or tile.

    None of other formats, and where the header does not say; the decoder tells what
    is wrong with it then.
    """
    try:
        if compression in _JPEG:
            return _read_jpeg(data)
        if compression in _JPEG_2000:
            # the first marker segment of the codestream, wherever it begins
            place = data.index(b"\xff\x4f\xff\x51")
            right, bottom, left, top = struct.unpack_from(">4I", data, place + 8)
            return int(max(right - left, 0) * max(bottom - top, 0))
        if compression == _PNG and data[:8] == b"\x89PNG\r\n\x1a\n":
            width, height = struct.unpack_from(">2I", data, 16)
            return int(width * height)
    except (ValueError, struct.error):
        pass
    return None


def _read_jpeg(data: bytes) -> int | None:
    """Return the largest frame before the pixels begin."""
    place, found = 2, None
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xDA:
            break
        if marker in _BARE or marker == 0xFF:
            # a marker alone, or a byte that fills
            place += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAMES:
            height, width = struct.unpack_from(">2H", data, place + 5)
            found = max(found or 0, height * width)
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return found
