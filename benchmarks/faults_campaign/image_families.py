"""Files of instruments, plates, pictures and arrays that strangers may give.

More families for `readers`. Every image of a file is opened, not the first one alone.
"""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faults_campaign.instrument_files import (
    pack_lif_text,
    write_czi,
    write_dv,
    write_lif,
    write_nd2,
)
from benchmarks.faults_campaign.odd_files import (
    ODD_VALUES,
    Family,
    change_bytes,
    change_json,
    change_xml,
)
from napari_structsr.io.open import list_names, open_source

_SIDE = 32
_NUMBERS = (0, 1, 2, 3, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)


def read_images(path: Path) -> None:
    """Open every image of a file, and read corners of some planes."""
    for number in range(min(len(list_names(str(path))), 4)):
        source = open_source(str(path), series=number)
        try:
            height, width = source.spec.axes.plane
            area = slice(0, min(height, 64)), slice(0, min(width, 64))
            for plane in itertools.islice(source.spec.axes.planes(), 4):
                source.read(plane, *area)
        finally:
            if close := getattr(source, "close", None):
                close()


def _read_changed(path: Path) -> None:
    """Read the file of a folder that was changed last."""
    read_images(max(path.iterdir(), key=lambda file: file.stat().st_mtime_ns))


def change_numbers(data: bytes, chance: random.Random) -> bytes:
    """Put odd numbers of two or four bytes in the place of others, not of zeros."""
    found = bytearray(data)
    words = np.frombuffer(data[: len(data) // 2 * 2], "<u2")
    # what describes pixels is small beside them, and lies at either end
    places = np.flatnonzero(words)
    for _ in range(chance.choice([1, 1, 2, 4])):
        number = int(chance.triangular(0, max(len(places) - 1, 0), 0))
        if chance.random() < 0.3:
            number = len(places) - 1 - number
        place = 2 * int(places[number])
        value = chance.choice(_NUMBERS)
        if chance.random() < 0.5:
            struct.pack_into("<H", found, place, value & 0xFFFF)
        elif place + 4 <= len(found):
            struct.pack_into("<I", found, place, value)
    return bytes(found)


def _make_noise(*shape: int, top: int = 4000, dtype: Any = np.uint16) -> Any:
    return np.random.default_rng(0).integers(0, top, shape).astype(dtype)


_CZI_XML = """<ImageDocument><Metadata><Information><Image><ObjectiveSettings>
<ObjectiveRef Id="O:1"/></ObjectiveSettings><Dimensions><Channels>
<Channel Id="C:0" Name="DAPI"><EmissionWavelength>465</EmissionWavelength>
<Color>#FF0000FF</Color></Channel><Channel Id="C:1" Name="b"><DetectionWavelength>
<Ranges>500-560</Ranges></DetectionWavelength></Channel></Channels>
<S><Scenes><Scene Index="0" Name="left"/><Scene Index="1" Name="right"/></Scenes></S>
<T><Positions><Interval><Increment>2.5</Increment></Interval></Positions></T>
</Dimensions></Image><Instrument><Objectives><Objective Id="O:1"><LensNA>1.4</LensNA>
</Objective></Objectives></Instrument></Information><Scaling><Items>
<Distance Id="X"><Value>6.5e-08</Value></Distance><Distance Id="Y"><Value>7e-08</Value>
</Distance></Items></Scaling></Metadata></ImageDocument>"""


def _make_czi(folder: Path) -> None:
    import imagecodecs

    pixels = _make_noise(4, _SIDE, 40, top=250, dtype=np.uint8)
    packed = {
        1: imagecodecs.jpeg8_encode(pixels[1]),
        2: imagecodecs.lzw_encode(pixels[2].tobytes()),
        4: imagecodecs.jpegxr_encode(pixels[3]),
    }

    def block(scene: int, channel: int, left: int, compression: int) -> dict[str, Any]:
        starts = {"S": scene, "C": channel, "Y": 0, "X": left, "M": left}
        sizes = {"Y": _SIDE, "X": 40}
        return {
            "dims": [
                (k, n, sizes.get(k, 1), sizes.get(k, 1)) for k, n in starts.items()
            ],
            "pixels": pixels[0],
            "compression": compression,
            "data": packed.get(compression),
        }

    blocks = [block(0, 0, 0, 0), block(0, 0, 30, 1), block(0, 1, 0, 2)]
    write_czi(folder / "a.czi", [*blocks, block(1, 0, 0, 0)], _CZI_XML)
    # tried in a process of its own, which takes time
    write_czi(folder / "b.czi", [block(0, 0, 0, 4)], _CZI_XML)


def _change_czi_text(data: bytes, chance: random.Random) -> bytes:
    """Change the metadata of a CZI, which lie at its end."""
    place = data.index(b"ZISRAWMETADATA")
    text = change_xml(_CZI_XML, chance).encode("utf-8", "surrogatepass")
    sizes = struct.pack("<16sqq", b"ZISRAWMETADATA", len(text) + 256, len(text) + 256)
    return data[:place] + sizes + struct.pack("<ii248x", len(text), 0) + text


_LIF_STEP = {"x": 1e-7, "y": 2e-7, "z": 5e-7, "t": 1.5, "m": 0.0}


def _make_lif(folder: Path) -> None:
    stack = _make_noise(2, 2, 2, 20, 24)
    channels = [("DAPI", "Blue"), ("GFP", "Green")]
    images = [
        {"name": "one", "pixels": stack, "axes": "tzcyx", "channels": channels},
        {"name": "two", "pixels": stack[0, 0], "axes": "myx", "channels": [("", "")]},
    ]
    images = [image | {"step": _LIF_STEP} for image in images]
    write_lif(folder / "a.lif", images)


def _change_lif_text(data: bytes, chance: random.Random) -> bytes:
    """Change the metadata of a LIF, at its beginning."""
    (length,) = struct.unpack_from("<i", data, 9)
    text = data[13 : 13 + 2 * length].decode("utf-16-le")
    return pack_lif_text(change_xml(text, chance)) + data[13 + 2 * length :]


def _make_nd2(folder: Path) -> None:
    pixels = _make_noise(2, 2, 1, 20, 24, 2)
    write_nd2(folder / "a.nd2", pixels)
    write_nd2(folder / "b.nd2", pixels[:1], packed=True)


def _make_dv(folder: Path) -> None:
    write_dv(folder / "a.dv", _make_noise(2, 3, 20, 24))


def _make_pictures(folder: Path) -> Path:
    import imagecodecs

    (folder / "files").mkdir()
    colours = _make_noise(20, 24, 3, top=250, dtype=np.uint8)
    (folder / "files/a.png").write_bytes(imagecodecs.png_encode(colours))
    (folder / "files/b.jpg").write_bytes(imagecodecs.jpeg8_encode(colours))
    np.save(folder / "files/c.npy", _make_noise(2, 20, 24))
    return folder / "files"


def change_head(data: bytes, chance: random.Random) -> bytes:
    """Change a value in the text at the head of an array of numpy, or a letter."""
    words: Sequence[bytes] = (b"'<u2'", b"False", b"(2, 20, 24)", b"'descr'", b"}")
    old = chance.choice(words)
    value = chance.choice([*ODD_VALUES, "|O", "V99999", "<M8[ns]", (2**40, 9), (-1, 3)])
    new = repr(value).encode("utf-8", "replace")[:40].ljust(len(old))
    head = data[10:128].replace(old, new, 1)[:118].ljust(118)
    return data[:10] + head + data[128:]


def _make_plate(folder: Path) -> Path:
    import zarr

    path = folder / "plate.zarr"
    root = zarr.create_group(path, zarr_format=2)
    scale = {"type": "scale", "scale": [0.65, 0.65]}
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    for well in ("A/01", "B/02"):
        group = root.create_group(well)
        image = group.create_group("0")
        image.create_array("0", data=_make_noise(_SIDE, 40))
        datasets = [{"path": "0", "coordinateTransformations": [scale]}]
        entry = {"version": "0.4", "axes": axes, "datasets": datasets}
        image.attrs["multiscales"] = [entry]
        images = [{"path": "0", "acquisition": 7}]
        group.attrs["well"] = {"version": "0.4", "images": images}
    wells = [("A/01", 0, 0), ("B/02", 1, 1)]
    root.attrs["plate"] = {
        "version": "0.4",
        "name": "screen",
        "rows": [{"name": "A"}, {"name": "B"}],
        "columns": [{"name": "01"}, {"name": "02"}],
        "acquisitions": [{"id": 7}],
        "wells": [
            {"path": well, "rowIndex": row, "columnIndex": column}
            for well, row, column in wells
        ],
    }
    return path


def _read_plate(path: Path) -> None:
    from napari_structsr.errors import StructsrError
    from napari_structsr.io.ome_zarr.plate import is_plate, read_plate
    from napari_structsr.io.ome_zarr.plate_folder import open_plate_folder

    refused: StructsrError | None = None
    # each is asked, whatever the one before says
    for read in (read_images, _look_at_mosaic):
        try:
            read(path)
        except StructsrError as error:
            refused = error
    if is_plate(path):
        plate = read_plate(path)
        with open_plate_folder(
            path.with_name("out.zarr"), plate, overwrite=True
        ) as folder:
            for field in plate.fields[:8]:
                folder.place(field)
            folder.finish()
    if refused:
        raise refused


def _look_at_mosaic(path: Path) -> None:
    from napari_structsr.io.ome_zarr.plate_mosaic import PlateMosaic

    mosaic = PlateMosaic(path)
    height, width = mosaic.spec.axes.plane
    area = slice(0, min(height, 64)), slice(0, min(width, 64))
    mosaic.read(next(iter(mosaic.spec.axes.planes())), *area)


def _make_instruments(folder: Path) -> Path:
    (folder / "files").mkdir()
    for make in (_make_czi, _make_lif, _make_nd2, _make_dv):
        make(folder / "files")
    return folder / "files"


_NAMES = ("a.czi", "b.czi", "a.lif", "a.nd2", "b.nd2", "a.dv")
_BINARY = (change_bytes, change_numbers)

IMAGE_FAMILIES = (
    Family(
        "file of an instrument",
        _make_instruments,
        _read_changed,
        (
            *((f"files/{name}", change) for name in _NAMES for change in _BINARY),
            *(("files/a.czi", _change_czi_text),) * 2,
            *(("files/a.lif", _change_lif_text),) * 2,
        ),
    ),
    Family(
        "pictures and arrays",
        _make_pictures,
        _read_changed,
        (
            ("files/a.png", change_bytes),
            ("files/b.jpg", change_bytes),
            ("files/c.npy", change_bytes),
            ("files/c.npy", change_head),
        ),
    ),
    Family(
        "plate",
        _make_plate,
        _read_plate,
        (
            ("plate.zarr/.zattrs", change_json),
            ("plate.zarr/.zattrs", change_json),
            ("plate.zarr/[AB]/*/.z*", change_json),
            ("plate.zarr/[AB]/*/0/.z*", change_json),
        ),
    ),
)
"""Files of microscopes and of everybody, which other libraries read."""
