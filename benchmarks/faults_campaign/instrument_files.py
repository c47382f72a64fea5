"""Small files as instruments write them, made byte by byte from what is published.

No library writes them: tests and campaign read the same ones.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def write_czi(path: Path, blocks: Sequence[Mapping[str, Any]], xml: str = "") -> Path:
    """Write a CZI of Zeiss.

    Parameters
    ----------
    path
        The file.
    blocks
        Each has ``dims``, of name, start, size and stored size, the fastest last;
        ``pixels``; and where they are not 1 and 0 ``samples`` and ``compression``, and
        then ``data``, which is packed.
    xml
        Metadata.
    """
    data = bytearray(b"\0" * (32 + 512))
    places = []
    for block in blocks:
        places.append(len(data))
        pixels = block.get("data") or block["pixels"].tobytes()
        about = _describe_block(block, len(data))
        # the entry has 240 bytes, whatever its dimensions
        body = struct.pack("<iiq", 0, 0, len(pixels)) + about.ljust(240, b"\0")
        data += _make_segment("ZISRAWSUBBLOCK", body + pixels)
    directory = len(data)
    entries = b"".join(map(_describe_block, blocks, places))
    head = struct.pack("<i124x", len(blocks))
    data += _make_segment("ZISRAWDIRECTORY", head + entries)
    metadata = len(data)
    text = xml.encode()
    sizes = struct.pack("<ii248x", len(text), 0)
    data += _make_segment("ZISRAWMETADATA", sizes + text)
    header = struct.pack(
        "<iiii16s16siqqiq", 1, 0, 0, 0, b"", b"", 0, directory, metadata, 0, 0
    )
    data[: 32 + 512] = _make_segment("ZISRAWFILE", header, allocated=512)
    path.write_bytes(data)
    return path


def _make_segment(name: str, data: bytes, *, allocated: int | None = None) -> bytes:
    size = allocated or len(data)
    head = struct.pack("<16sqq", name.encode(), size, len(data))
    return head + data.ljust(size, b"\0")


def _describe_block(block: Mapping[str, Any], position: int) -> bytes:
    """Return the directory entry of a block."""
    dims = block["dims"]
    kinds = {("uint8", 1): 0, ("uint16", 1): 1, ("uint8", 3): 3}
    kind = kinds[str(block["pixels"].dtype), block.get("samples", 1)]
    compression = block.get("compression", 0)
    head = struct.pack(
        "<2siqiiBB4si", b"DV", kind, position, 0, compression, 0, 0, b"", len(dims)
    )
    # the fastest dimension first
    parts = [
        struct.pack("<4siifi", name.encode(), start, size, float(start), stored)
        for name, start, size, stored in reversed(dims)
    ]
    return head + b"".join(parts)


_IMAGE = """<Element Name="{name}"><Data><Image><ImageDescription><Channels>{channels}
</Channels><Dimensions>{dims}</Dimensions></ImageDescription></Image></Data>
<Memory Size="{size}" MemoryBlockID="{block}"/></Element>"""
_DIMENSION = """<DimensionDescription DimID="{number}" NumberOfElements="{size}"
Origin="0" Length="{length}" Unit="{unit}" BitInc="0" BytesInc="{step}"/>"""
_CHANNEL = """<ChannelDescription DataType="0" ChannelTag="0" Resolution="16"
NameOfMeasuredQuantity="" Min="0" Max="65535" Unit="" LUTName="{color}"
IsLUTInverted="0" BytesInc="{step}" BitInc="0"><ChannelProperty><Key>DyeName</Key>
<Value>{name}</Value></ChannelProperty></ChannelDescription>"""
_NUMBERS = {"x": 1, "y": 2, "z": 3, "t": 4, "m": 10}


def write_lif(path: Path, images: Sequence[Mapping[str, Any]]) -> Path:
    """Write a LIF of Leica.

    Parameters
    ----------
    path
        The file.
    images
        Each has ``name``, ``pixels`` of 16 bits, their ``axes`` such as "tzcyx", the
        ``step`` of each axis in metres or seconds, and name and colour of ``channels``.
    """
    parts = [_describe_image(one, f"Mem{n}") for n, one in enumerate(images)]
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="root"><Children>'
        + "".join(parts)
        + "</Children></Element></LMSDataContainerHeader>"
    )
    data = pack_lif_text(xml)
    for number, image in enumerate(images):
        name = f"Mem{number}"
        pixels = np.ascontiguousarray(image["pixels"]).tobytes()
        body = b"\x2a" + struct.pack("<q", len(pixels)) + b"\x2a"
        body += struct.pack("<i", len(name)) + name.encode("utf-16-le")
        data += struct.pack("<ii", 0x70, len(body)) + body + pixels
    path.write_bytes(data)
    return path


def pack_lif_text(xml: str) -> bytes:
    """Return the head of a LIF, which holds its metadata."""
    text = xml.encode("utf-16-le", "surrogatepass")
    body = b"\x2a" + struct.pack("<i", len(text) // 2) + text
    return struct.pack("<ii", 0x70, len(body)) + body


def _describe_image(image: Mapping[str, Any], block: str) -> str:
    pixels, axes = image["pixels"], image["axes"]
    steps = dict(zip(axes, pixels.strides, strict=True))
    dims = [
        _DIMENSION.format(
            number=_NUMBERS[name],
            size=size,
            length=image["step"][name] * (size - 1),
            unit="s" if name == "t" else "m" if name in "xyz" else "",
            step=steps[name],
        )
        for name, size in zip(axes, pixels.shape, strict=True)
        if name != "c"
    ]
    channels = [
        _CHANNEL.format(color=color, name=name, step=number * steps.get("c", 0))
        for number, (name, color) in enumerate(image["channels"])
    ]
    return _IMAGE.format(
        name=image["name"],
        channels="".join(channels),
        dims="".join(reversed(dims)),
        size=pixels.nbytes,
        block=block,
    )


# places in the header of a DV, how it stands there, and what
_DV_PLACES: dict[int, tuple[str, Any]] = {
    0: ("<4i", lambda p: (p.shape[3], p.shape[2], p.shape[0] * p.shape[1], 6)),
    40: ("<3f", lambda p: (0.13, 0.14, 0.3)),
    96: ("<h", lambda p: (-16224,)),
    162: ("<h", lambda p: (10003,)),
    180: ("<h", lambda p: (1,)),
    182: ("<h", lambda p: (2,)),
    196: ("<6h", lambda p: (p.shape[0], 525, 632, 0, 0, 0)),
}


def write_dv(path: Path, pixels: Any) -> Path:
    """Write a DV of DeltaVision from pixels of 16 bits, (c, z, y, x)."""
    head = bytearray(1024)
    for place, (layout, values) in _DV_PLACES.items():
        struct.pack_into(layout, head, place, *values(pixels))
    path.write_bytes(bytes(head) + pixels.tobytes())
    return path


_ND2_MAGIC = 0x0ABECEDA
_ND2_ALIGNED = 4096
# kinds of entries of its metadata
_LITE = {bool: (1, "<?"), int: (3, "<I"), float: (6, "<d")}


def write_nd2(path: Path, pixels: Any, *, packed: bool = False) -> Path:
    """Write an ND2 of Nikon, of the third version.

    Parameters
    ----------
    path
        The file.
    pixels
        Of 16 bits, (p, t, z, y, x, c).
    packed
        Whether frames are compressed.
    """
    import zlib

    positions, times, slices, height, width, count = pixels.shape
    frames = pixels.reshape(-1, *pixels.shape[3:])
    attributes = {
        "uiWidth": width,
        "uiWidthBytes": 2 * width * count,
        "uiHeight": height,
        "uiComp": count,
        "uiBpcInMemory": 16,
        "uiBpcSignificant": 12,
        "uiSequenceCount": len(frames),
        "eCompression": 0 if packed else 2,
    }
    parts = {
        "ImageAttributesLV!": _pack_lite({"SLxImageAttributes": attributes}),
        "ImageMetadataSeqLV|0!": _pack_lite({"SLxPictureMetadata": _planes(count)}),
        "ImageMetadataLV!": _pack_lite(
            {"SLxExperiment": _loops(positions, times, slices)}
        ),
    }
    for number, frame in enumerate(frames):
        # the time of the frame lies before its pixels
        body = frame.tobytes()
        body = bytes(8) + (zlib.compress(body) if packed else body)
        parts[f"ImageDataSeq|{number}!"] = body
    data = bytearray(
        struct.pack("<IIQ", _ND2_MAGIC, 32, 64)
        + b"ND2 FILE SIGNATURE CHUNK NAME01!"
        + b"Ver3.0".ljust(64, b"\0")
    )
    entries = b""
    for name, body in parts.items():
        data += bytes(-len(data) % _ND2_ALIGNED)
        entries += name.encode() + struct.pack("<QQ", len(data), len(body))
        head = struct.pack("<IIQ", _ND2_MAGIC, _ND2_ALIGNED - 24, len(body))
        data += (head + name.encode()).ljust(_ND2_ALIGNED - 8, b"\0") + body
    data += bytes(-len(data) % _ND2_ALIGNED)
    place = len(data)
    end = b"ND2 CHUNK MAP SIGNATURE 0000001!" + struct.pack("<Q", place)
    name = b"ND2 FILEMAP SIGNATURE NAME 0001!"
    data += struct.pack("<IIQ", _ND2_MAGIC, len(name), len(entries) + len(end))
    path.write_bytes(bytes(data) + name + entries + end)
    return path


def _planes(count: int) -> dict[str, Any]:
    point = {"eType": 4, "dWavelength": 525.0, "dTValue": 25.0}
    light = {"uiCount": 1, "pPoint": {"Point0": point}}
    planes = {
        f"a{number}": {"sDescription": f"dye {number}", "uiColor": 255 << 8 * number}
        | {"uiCompCount": 1, "uiSampleIndex": 0, "uiModalityMask": 0x101}
        | {"pFluorescentProbe": {"m_EmissionSpectrum": light}}
        for number in range(count)
    }
    return {
        "bCalibrated": True,
        "dCalibration": 0.11,
        "dObjectiveNA": 1.2,
        "dObjectiveMag": 60.0,
        "sPicturePlanes": {"uiCount": count, "sPlaneNew": planes},
    }


def _loops(positions: int, times: int, slices: int) -> dict[str, Any]:
    """Return stage positions, times and slices, each within the one before."""
    points = {
        f"i{number:010}": {"dPosX": float(number), "dPosY": 0.0, "dPosName": f"at {n}"}
        for number, n in enumerate(range(positions))
    }
    inner = {"eType": 4, "uLoopPars": {"uiCount": slices, "dZStep": 0.3}}
    time = {"uiCount": times, "dStart": 0.0, "dPeriod": 500.0, "dDuration": 900.0}
    middle = {
        "eType": 1,
        "uLoopPars": time,
        "ppNextLevelEx": {"i0000000000": inner},
    }
    return {
        "eType": 2,
        "uLoopPars": {"bUseZ": False, "Points": points},
        "ppNextLevelEx": {"i0000000000": middle},
    }


def _pack_lite(entries: Mapping[str, Any]) -> bytes:
    """Return entries as the metadata of an ND2 hold them."""
    found = b""
    for name, value in entries.items():
        letters = f"{name}\0".encode("utf-16-le")
        size = len(letters) // 2
        if isinstance(value, Mapping):
            body = _pack_lite(value)
            head = struct.pack("<BB", 11, size) + letters
            length = len(head) + 12 + len(body)
            # behind its entries a level lists where they begin; nobody reads that
            found += head + struct.pack("<IQ", len(value), length) + body
            found += bytes(8 * len(value))
        elif isinstance(value, str):
            found += struct.pack("<BB", 8, size) + letters
            found += f"{value}\0".encode("utf-16-le")
        else:
            kind, layout = _LITE[type(value)]
            found += struct.pack("<BB", kind, size) + letters
            found += struct.pack(layout, value)
    return found
