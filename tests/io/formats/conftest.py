"""Small files as instruments write them, made byte by byte from what is published."""

import struct
from pathlib import Path

import numpy as np
import pytest


def segment(name, data, *, allocated=None):
    size = allocated or len(data)
    head = struct.pack("<16sqq", name.encode(), size, len(data))
    return head + data.ljust(size, b"\0")


def entry(block, position):
    """Return the directory entry of a block of a CZI."""
    dims = block["dims"]
    pixels = block["pixels"]
    kinds = {("uint8", 1): 0, ("uint16", 1): 1, ("uint8", 3): 3}
    kind = kinds[str(pixels.dtype), block.get("samples", 1)]
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


@pytest.fixture(scope="session")
def write_czi():
    """Return a function that writes a CZI of some blocks, uncompressed."""

    def write(path: Path, blocks, xml: str = "") -> Path:
        data = bytearray(b"\0" * (32 + 512))
        places = []
        for block in blocks:
            places.append(len(data))
            pixels = block["pixels"].tobytes()
            about = entry(block, len(data))
            # the entry has 240 bytes, whatever its dimensions
            body = struct.pack("<iiq", 0, 0, len(pixels)) + about.ljust(240, b"\0")
            data += segment("ZISRAWSUBBLOCK", body + pixels)
        directory = len(data)
        entries = b"".join(map(entry, blocks, places))
        head = struct.pack("<i124x", len(blocks))
        data += segment("ZISRAWDIRECTORY", head + entries)
        metadata = len(data)
        text = xml.encode()
        data += segment("ZISRAWMETADATA", struct.pack("<ii248x", len(text), 0) + text)
        header = struct.pack(
            "<iiii16s16siqqiq", 1, 0, 0, 0, b"", b"", 0, directory, metadata, 0, 0
        )
        data[: 32 + 512] = segment("ZISRAWFILE", header, allocated=512)
        path.write_bytes(data)
        return path

    return write


IMAGE = """<Element Name="{name}"><Data><Image><ImageDescription><Channels>{channels}
</Channels><Dimensions>{dims}</Dimensions></ImageDescription></Image></Data>
<Memory Size="{size}" MemoryBlockID="{block}"/></Element>"""
DIMENSION = """<DimensionDescription DimID="{number}" NumberOfElements="{size}"
Origin="0" Length="{length}" Unit="{unit}" BitInc="0" BytesInc="{step}"/>"""
CHANNEL = """<ChannelDescription DataType="0" ChannelTag="0" Resolution="16"
NameOfMeasuredQuantity="" Min="0" Max="65535" Unit="" LUTName="{color}"
IsLUTInverted="0" BytesInc="{step}" BitInc="0"><ChannelProperty><Key>DyeName</Key>
<Value>{name}</Value></ChannelProperty></ChannelDescription>"""


@pytest.fixture(scope="session")
def write_lif():
    """Return a function that writes a LIF of 16-bit images with the axes t c z y x."""
    numbers = {"x": 1, "y": 2, "z": 3, "t": 4, "m": 10}

    def describe(image, block):
        pixels, axes = image["pixels"], image["axes"]
        steps = dict(zip(axes, pixels.strides, strict=True))
        dims = [
            DIMENSION.format(
                number=numbers[name],
                size=size,
                length=image["step"][name] * (size - 1),
                unit="s" if name == "t" else "m" if name in "xyz" else "",
                step=steps[name],
            )
            for name, size in zip(axes, pixels.shape, strict=True)
            if name != "c"
        ]
        channels = [
            CHANNEL.format(color=color, name=name, step=number * steps.get("c", 0))
            for number, (name, color) in enumerate(image["channels"])
        ]
        return IMAGE.format(
            name=image["name"],
            channels="".join(channels),
            dims="".join(reversed(dims)),
            size=pixels.nbytes,
            block=block,
        )

    def write(path: Path, images) -> Path:
        parts = [describe(one, f"Mem{n}") for n, one in enumerate(images)]
        xml = (
            '<LMSDataContainerHeader Version="2"><Element Name="root"><Children>'
            + "".join(parts)
            + "</Children></Element></LMSDataContainerHeader>"
        )
        text = xml.encode("utf-16-le")
        body = b"\x2a" + struct.pack("<i", len(xml)) + text
        data = struct.pack("<ii", 0x70, len(body)) + body
        for number, image in enumerate(images):
            name = f"Mem{number}"
            pixels = np.ascontiguousarray(image["pixels"]).tobytes()
            body = b"\x2a" + struct.pack("<q", len(pixels)) + b"\x2a"
            body += struct.pack("<i", len(name)) + name.encode("utf-16-le")
            data += struct.pack("<ii", 0x70, len(body)) + body + pixels
        path.write_bytes(data)
        return path

    return write
