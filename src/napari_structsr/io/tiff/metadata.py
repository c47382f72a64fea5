"""What a TIFF says of its pixel sizes and channels, in three dialects.

OME-XML is believed before ImageJ, and ImageJ before the resolution tags of a plain
TIFF, where only units of length in use at a microscope count.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from napari_structsr.core.axes import Channel
from napari_structsr.core.optics import Optics, read_optics
from napari_structsr.errors import SourceError
from napari_structsr.io.tiff.instruments import read_instrument
from napari_structsr.io.units import Step, convert_unit, find_unit_name, is_pixel_size

if TYPE_CHECKING:
    import tifffile

_LOGGER = logging.getLogger(__name__)
# no inch: "72 dots per inch" is what programs write that know nothing
_RESOLUTION_UNITS = {3: "centimeter", 4: "millimeter", 5: "micrometer"}

Metadata = tuple[dict[str, Step], tuple[Channel, ...]]


def read_tiff_metadata(
    file: tifffile.TiffFile, series: tifffile.TiffPageSeries, *, origin: str
) -> Metadata:
    """Return pixel sizes by axis name, and channels, of an image of a TIFF.

    Raises
    ------
    SourceError
        If the OME-XML is damaged.
    """
    if file.ome_metadata:
        number = file.series.index(series)
        # as tifffile counts them: images without pixels in a file are none
        return _read_ome(
            file.ome_metadata, (number, len(file.series), series.name), origin=origin
        )
    if file.imagej_metadata:
        return _read_imagej(file.imagej_metadata, file.pages.first.tags)
    # of a file with several images, the tags of the instrument tell the first
    if series is file.series[0] and (found := read_instrument(file)):
        return found
    return _read_plain(series.keyframe.tags), ()


def read_lut_color(lut: npt.ArrayLike) -> str | None:
    """Return the colour of a look-up table that runs evenly from black to it.

    Parameters
    ----------
    lut
        Shape (entries, 3), from 0 to 255.

    Returns
    -------
    str or None
        Six hexadecimal digits; None for black itself and for tables of more colours.
    """
    table = np.asarray(lut, dtype=float)
    even = np.linspace(0, 1, len(table))[:, None] * table[-1]
    if not table[-1].any() or np.abs(table - even).max() > 2:
        return None
    return "".join(f"{round(value):02X}" for value in table[-1])


def _read_plain(tags: Any) -> dict[str, Step]:
    unit = _RESOLUTION_UNITS.get(int(tags.valueof("ResolutionUnit", 2)))
    sizes = _read_pixel_sizes(tags).items()
    scales = {name: convert_unit(size, unit, "micrometer") for name, size in sizes}
    return {name: Step(n, unit="micrometer") for name, n in scales.items() if n}


def _read_pixel_sizes(tags: Any) -> dict[str, float]:
    """Return the distance between pixels in the file's resolution unit."""
    sizes = {}
    for name in "xy":
        count, per = tags.valueof(f"{name.upper()}Resolution", (0, 1))
        if count and per:
            sizes[name] = float(per / count)
    return sizes


def _read_imagej(meta: dict[str, Any], tags: Any) -> Metadata:
    unit = find_unit_name(meta.get("unit"))
    steps = {}
    for name, size in _read_pixel_sizes(tags).items():
        own = find_unit_name(meta.get(f"{name}unit")) or unit
        # 1 without a unit is what ImageJ writes when it knows nothing
        if own or size != 1:
            steps[name] = Step(size, unit=own)
    spacing = float(meta.get("spacing", 0))
    if is_pixel_size(spacing):
        steps["z"] = Step(spacing, unit=find_unit_name(meta.get("zunit")) or unit)
    interval = float(meta.get("finterval", 0))
    if is_pixel_size(interval):
        steps["t"] = Step(interval, unit=find_unit_name(meta.get("tunit", "sec")))
    count = int(meta.get("channels", 1))
    names = _read_imagej_names(meta.get("Labels") or (), count)
    windows = _read_imagej_windows(meta, count)
    tables = list(meta.get("LUTs") or ())
    colors = [read_lut_color(np.asarray(table).T) for table in tables[:count]]
    colors += [None] * (count - len(colors))
    return steps, tuple(map(Channel, names, colors, windows))


def _read_imagej_names(labels: Sequence[str], count: int) -> list[str]:
    """Return channel names: labels of planes, where they differ by channel only."""
    if isinstance(labels, str):
        labels = [labels]
    groups = [set(labels[channel::count]) for channel in range(count)]
    # labels are those of planes: a name of a channel is the same in all of them
    if len(labels) % count == 0 and all(len(group) == 1 for group in groups):
        return [group.pop() for group in groups]
    return [""] * count


def _read_imagej_windows(
    meta: dict[str, Any], count: int
) -> list[tuple[float, float] | None]:
    """Return display ranges: one for each channel, or min and max for all."""
    ranges = [float(value) for value in meta.get("Ranges") or ()]
    # pairs of low and high, one after another
    if len(ranges) == 2 * count:
        pairs = list(zip(ranges[::2], ranges[1::2], strict=True))
    elif "min" in meta and "max" in meta:
        pairs = [(float(meta["min"]), float(meta["max"]))] * count
    else:
        pairs = []
    windows: list[tuple[float, float] | None] = [
        (low, high) if low < high else None for low, high in pairs
    ]
    return windows or [None] * count


def _read_ome(xml: str, wanted: tuple[int, int, str], *, origin: str) -> Metadata:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise SourceError(
            f"the OME-XML of {origin} is damaged ({error}); write the file again, or "
            "remove its description with the command tiffcomment of tifffile"
        ) from error
    image = _find_ome_image(root, *wanted)
    pixels = None if image is None else image.find("{*}Pixels")
    if image is None or pixels is None:
        _LOGGER.info("%s: OME-XML without pixels, no pixel sizes read", origin)
        return {}, ()
    steps = {}
    for name, key, default in (
        ("x", "PhysicalSizeX", "µm"),
        ("y", "PhysicalSizeY", "µm"),
        ("z", "PhysicalSizeZ", "µm"),
        ("t", "TimeIncrement", "s"),
    ):
        scale = float(pixels.get(key, 0))
        if is_pixel_size(scale):
            unit = find_unit_name(pixels.get(f"{key}Unit", default))
            steps[name] = Step(scale, _read_position(pixels, name, unit), unit)
    aperture = _read_ome_aperture(root, image)
    channels = pixels.findall("{*}Channel")
    return steps, tuple(_read_ome_channel(channel, aperture) for channel in channels)


def _find_ome_image(
    root: ElementTree.Element, number: int, count: int, name: str
) -> ElementTree.Element | None:
    """Return the entry of one of `count` images."""
    images = root.findall(".//{*}Image")
    # some files describe images that they do not hold
    if len(images) != count:
        named = [image for image in images if image.get("Name") == name]
        if len(named) == 1:
            return named[0]
    return images[number] if number < len(images) else None


def _read_position(pixels: ElementTree.Element, name: str, unit: str | None) -> float:
    """Return where all planes lie along x or y; 0 when unsaid or when they differ."""
    key = f"Position{name.upper()}"
    planes = pixels.findall("{*}Plane")
    found = {(plane.get(key), plane.get(f"{key}Unit")) for plane in planes}
    # a stage that moves between planes is no position of the image
    if name not in "xy" or len(found) != 1:
        return 0.0
    value, own = found.pop()
    if value is None:
        return 0.0
    return convert_unit(float(value), find_unit_name(own), unit) or 0.0


def _read_ome_aperture(root: ElementTree.Element, image: ElementTree.Element) -> float:
    """Return the numerical aperture of the objective of an image; 0 when unsaid."""
    used = image.find("{*}ObjectiveSettings")
    for objective in root.findall(".//{*}Instrument/{*}Objective"):
        if used is None or objective.get("ID") == used.get("ID"):
            return _read_number(objective.get("LensNA"))
    return 0.0


def _read_ome_optics(channel: ElementTree.Element, aperture: float) -> Optics | None:
    """Return how a channel was taken, if objective and light are both named."""
    wavelength = convert_unit(
        _read_number(channel.get("EmissionWavelength")),
        find_unit_name(channel.get("EmissionWavelengthUnit", "nm")),
        "micrometer",
    )
    confocal = "Confocal" in channel.get("AcquisitionMode", "")
    return read_optics(aperture, wavelength, confocal=confocal)


def _read_number(text: str | None) -> float:
    """Return a number of the file; 0 where there is none."""
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0


def _read_ome_channel(channel: ElementTree.Element, aperture: float) -> Channel:
    """Return one channel; its colour is red, green, blue, alpha in a signed integer."""
    color = channel.get("Color")
    digits = f"{int(color) >> 8 & 0xFFFFFF:06X}" if color is not None else None
    optics = _read_ome_optics(channel, aperture)
    return Channel(channel.get("Name", ""), digits, optics=optics)
