"""Whether an LZW stream can be decoded: the decoder of imagecodecs does not ask.

A damaged byte becomes a code that stands for nothing yet, which imagecodecs looks up
beyond the end of its table: the program ends. Here the codes are read as the decoder
would read them, a few thousand at a time, and compared with what the table then holds.
"""

from __future__ import annotations

import numpy as np

_CLEAR, _END = 256, 257
_FIRST, _FULL = 258, 4096  # entries of a new table, and of a full one
# codes from where a table begins until it is full, and one more
_MOST = _FULL - _FIRST + 2
_FEW = 64  # looked at first where tables end early


def find_lzw_fault(data: bytes) -> str | None:
    """Return what keeps a strip or tile of a TIFF from being decoded as LZW, or None.

    Bytes behind the end code are not looked at. The end code may be missing, as in the
    files of some writers.
    """
    if len(data) < 2:
        return "it holds no codes"
    if data[0] == 0 and data[1] & 1:
        return "its bits are in an order that nobody has used since 1990"
    raw = np.frombuffer(data, np.uint8)
    # a code of up to 12 bits lies in the three bytes from where it begins
    padded = np.concatenate([raw, np.zeros(3, np.uint8)]).astype(np.uint32)
    words = (padded[:-2] << 16) | (padded[1:-1] << 8) | padded[2:]
    position, bits, count = 0, 8 * len(data), _MOST
    while position + 9 <= bits:
        there = int(np.searchsorted(_STARTS, bits - position, "right")) - 1
        wanted = min(count, there)
        first, phase = divmod(position, 8)
        codes = words[first + _BYTES[phase][:wanted]]
        codes >>= _SHIFTS[phase][:wanted]
        codes &= _MASKS[:wanted]
        special = np.flatnonzero(codes >> 1 == _CLEAR >> 1)
        if not len(special) and wanted == _FEW < there:
            count = _MOST
            continue
        stop = int(special[0]) if len(special) else wanted
        wrong = np.flatnonzero(codes[:stop] > _ALLOWED[:stop])
        if len(wrong):
            return f"the code {codes[wrong[0]]} stands for nothing"
        if not len(special):
            return "its table overflows" if wanted == _MOST else None
        if codes[stop] == _END:
            return None
        position += int(_STARTS[stop + 1])
        count = _FEW if stop < _FEW else _MOST
    return None


# how many entries the table holds when each code is read: the first one adds none
_ENTRIES = np.minimum(_FIRST - 1 + np.maximum(np.arange(_MOST), 1), _FULL)
# codes grow by a bit one entry early, as TIFF has it
_WIDTHS = 9 + sum((limit <= _ENTRIES).astype(np.int64) for limit in (511, 1023, 2047))
_STARTS = np.concatenate([[0], np.cumsum(_WIDTHS)])
_MASKS = ((1 << _WIDTHS) - 1).astype(np.uint32)
# an entry may be used while it is being made; the first code is a byte
_ALLOWED = np.where(np.arange(_MOST) == 0, _CLEAR - 1, _ENTRIES).astype(np.uint32)
# by the bit in its byte at which a table begins: where each code lies
_BYTES = [(phase + _STARTS[:-1]) >> 3 for phase in range(8)]
_SHIFTS = [
    (24 - ((phase + _STARTS[:-1]) & 7) - _WIDTHS).astype(np.uint32)
    for phase in range(8)
]
