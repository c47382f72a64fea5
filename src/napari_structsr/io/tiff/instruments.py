"""What TIFF files of instruments say of pixel sizes and channels, in tags of their own.

LSM of Zeiss, STK and MetaSeries of MetaMorph, and the electron microscopes of Zeiss and
FEI. tifffile reads the tags; here their numbers get units.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_structsr.core.axes import Channel
from napari_structsr.core.optics import read_optics
from napari_structsr.io.units import (
    Step,
    convert_unit,
    find_unit_name,
    is_pixel_size,
)

if TYPE_CHECKING:
    import tifffile

Found = tuple[dict[str, Step], tuple[Channel, ...]]


def read_instrument(file: tifffile.TiffFile) -> Found | None:
    """Return pixel sizes by axis, and channels; None for files of other programs.

    What a tag says absurdly, or not at all, is left out.
    """
    for known, read in (
        (file.is_lsm, _read_lsm),
        (file.is_stk, _read_stk),
        (file.is_metaseries, _read_metaseries),
        (file.is_sem, _read_zeiss_sem),
        (file.is_fei, _read_fei),
    ):
        if known:
            steps, channels = read(file)
            if steps or channels:
                return steps, channels
    return None


def _read_lsm(file: tifffile.TiffFile) -> Found:
    tags = file.lsm_metadata or {}
    sizes = {axis: _number(tags.get(f"VoxelSize{axis.upper()}")) for axis in "xyz"}
    steps = _make_steps({axis: 1e6 * size for axis, size in sizes.items()})
    interval = _number(tags.get("TimeIntervall"))
    if interval > 0:
        steps["t"] = Step(interval, unit="second")
    about = tags.get("ChannelColors") or {}
    names, colors = about.get("ColorNames") or (), about.get("Colors") or ()
    found = [
        Channel(str(name), _make_color(color))
        for name, color in zip(names, colors, strict=False)
    ]
    return steps, tuple(found)


def _read_stk(file: tifffile.TiffFile) -> Found:
    tags = file.stk_metadata or {}
    unit = find_unit_name(str(tags.get("CalibrationUnits", "")))
    sizes = {axis: _number(tags.get(f"{axis.upper()}Calibration")) for axis in "xy"}
    distances = tags.get("ZDistance")
    if distances is not None and len(distances):
        sizes["z"] = _number(distances[0])
    steps = _make_steps(_convert(sizes, unit))
    return steps, (Channel(str(tags.get("Name") or "")),)


def _read_metaseries(file: tifffile.TiffFile) -> Found:
    tags = (file.metaseries_metadata or {}).get("PlaneInfo") or {}
    unit = find_unit_name(str(tags.get("spatial-calibration-units", "")))
    sizes = {axis: _number(tags.get(f"spatial-calibration-{axis}")) for axis in "xy"}
    if not tags.get("spatial-calibration-state", True):
        sizes = {}
    # "IN" or "OUT", and which disk
    disk = str(tags.get("IXConfocal Module Disk", ""))
    optics = read_optics(
        _number(tags.get("_MagNA_")),
        _number(tags.get("wavelength")) / 1000,
        confocal=disk.startswith("IN"),
    )
    name = str(tags.get("_IllumSetting_") or tags.get("image-name") or "")
    return _make_steps(_convert(sizes, unit)), (Channel(name, optics=optics),)


def _read_zeiss_sem(file: tifffile.TiffFile) -> Found:
    # a name, a value and a unit
    entry: Any = (file.sem_metadata or {}).get("ap_image_pixel_size")
    if not isinstance(entry, tuple) or len(entry) < 3:
        return {}, ()
    unit = find_unit_name(str(entry[2]))
    size = _number(entry[1])
    return _make_steps(_convert({"x": size, "y": size}, unit)), ()


def _read_fei(file: tifffile.TiffFile) -> Found:
    tags = (file.fei_metadata or {}).get("Scan") or {}
    sizes = {"x": tags.get("PixelWidth"), "y": tags.get("PixelHeight")}
    metres = {axis: _number(size) for axis, size in sizes.items()}
    return _make_steps(_convert(metres, "meter")), ()


def _convert(sizes: Mapping[str, float], unit: str | None) -> dict[str, float]:
    """Return micrometres; nothing where the unit is none of length."""
    converted = {n: convert_unit(size, unit, "micrometer") for n, size in sizes.items()}
    return {name: size for name, size in converted.items() if size is not None}


def _make_steps(micrometres: Mapping[str, float]) -> dict[str, Step]:
    return {
        axis: Step(abs(size), unit="micrometer")
        for axis, size in micrometres.items()
        if is_pixel_size(size)
    }


def _make_color(color: Any) -> str | None:
    parts = [int(part) for part in list(color)[:3]]
    if len(parts) < 3 or not all(0 <= part < 256 for part in parts) or not any(parts):
        return None
    return "".join(f"{part:02X}" for part in parts)


def _number(value: Any) -> float:
    """Return a number of the file; 0 where there is none."""
    try:
        return float(value or 0)
    except (TypeError, ValueError):
        return 0.0
