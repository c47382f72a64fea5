"""What the XML of a CZI file says of pixel sizes, channels and scenes."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError, fromstring

from napari_structsr.core.axes import Channel
from napari_structsr.core.optics import Optics, read_optics
from napari_structsr.errors import describe_error
from napari_structsr.io.units import Step, is_pixel_size

_IMAGE = "Metadata/Information/Image"


def parse_metadata(text: str | bytes | None) -> Element:
    """Return the root of the metadata, empty where there are none.

    Raises
    ------
    ValueError
        If they are damaged.
    """
    if not text:
        return Element("ImageDocument")
    try:
        return fromstring(text)
    except ParseError as error:
        raise ValueError(
            f"its metadata are damaged: {describe_error(error)}"
        ) from error


def find_scene_names(root: Element) -> dict[int | None, str]:
    """Return the names of scenes by their number."""
    scenes = root.findall(f"{_IMAGE}/Dimensions/S/Scenes/Scene")
    return {
        int(scene.get("Index", "")): scene.get("Name", "")
        for scene in scenes
        if scene.get("Index", "").isdecimal()
    }


def read_steps(root: Element) -> dict[str, Step]:
    """Return distances by axis, in micrometres and seconds."""
    steps = {}
    for entry in root.findall("Metadata/Scaling/Items/Distance"):
        axis = entry.get("Id", "").lower()
        # metres, whatever the unit that is shown
        size = _read_number(entry.findtext("Value")) * 1e6
        if axis in ("x", "y", "z") and is_pixel_size(size):
            steps[axis] = Step(abs(size), unit="micrometer")
    interval = root.find(f"{_IMAGE}/Dimensions/T/Positions/Interval")
    if interval is not None:
        seconds = _read_number(interval.findtext("Increment"))
        if is_pixel_size(seconds):
            steps["t"] = Step(seconds, unit="second")
    return steps


def read_channels(root: Element) -> list[Channel]:
    """Return names, colours and optics of the channels."""
    shown = {
        entry.get("Id"): entry.findtext("Color")
        for entry in root.findall("Metadata/DisplaySetting/Channels/Channel")
    }
    aperture = _read_aperture(root)
    return [
        Channel(
            entry.get("Name", ""),
            _read_color(shown.get(entry.get("Id")) or entry.findtext("Color")),
            optics=_read_optics(entry, aperture),
        )
        for entry in root.findall(f"{_IMAGE}/Dimensions/Channels/Channel")
    ]


def _read_aperture(root: Element) -> float:
    """Return the numerical aperture of the objective that was used; 0 when unsaid."""
    used = root.find(f"{_IMAGE}/ObjectiveSettings/ObjectiveRef")
    wanted = None if used is None else used.get("Id")
    for entry in root.findall("Metadata/Information/Instrument/Objectives/Objective"):
        if wanted is None or entry.get("Id") == wanted:
            return _read_number(entry.findtext("LensNA"))
    return 0.0


def _read_optics(channel: Element, aperture: float) -> Optics | None:
    nanometres = _read_number(channel.findtext("EmissionWavelength"))
    # without a dye the detector says which light it took
    ranges = list(_read_ranges(channel))
    if not nanometres and len(ranges) == 1:
        nanometres = sum(ranges[0]) / 2
    mode = channel.findtext("AcquisitionMode", "")
    confocal = "confocal" in mode.lower()
    return read_optics(aperture, nanometres / 1000, confocal=confocal)


def _read_ranges(channel: Element) -> Iterator[tuple[float, float]]:
    for word in channel.findtext("DetectionWavelength/Ranges", "").split(","):
        low, _, high = word.strip().partition("-")
        span = _read_number(low), _read_number(high)
        if 0 < span[0] < span[1]:
            yield span


def _read_number(text: str | None) -> float:
    """Return a number of the file; 0 where there is none."""
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value if abs(value) < float("inf") else 0.0


def _read_color(text: str | None) -> str | None:
    """Return red, green and blue of opacity and colour in hexadecimal digits."""
    digits = (text or "").removeprefix("#").upper()
    if len(digits) not in (6, 8) or set(digits) - set("0123456789ABCDEF"):
        return None
    return digits[-6:]
