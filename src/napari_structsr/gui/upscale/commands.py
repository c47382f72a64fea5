"""What the dock would do, as text: a shell command, or Python for pixels in memory."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from napari.layers import Image

from napari_structsr.gui.upscale.layer_image import is_calibrated_by_file
from napari_structsr.gui.upscale.optics.file_optics import (
    find_command_settings,
    open_measured,
)
from napari_structsr.gui.upscale.state import Choice
from napari_structsr.gui.viewer.file_opening import find_opening
from napari_structsr.gui.viewer.layers import free_path

_SCRIPT = """\
import napari
import napari_structsr as sr

layer = napari.current_viewer().layers[{name!r}]
sr.upscale(layer, {path!r}, {options})
"""

# for pixels that are no file's, with the pixel size of one
_CALIBRATED = """\
import napari
import napari_structsr as sr
from napari_structsr.gui.upscale.layer_image import open_calibrated

layer = napari.current_viewer().layers[{name!r}]
sr.upscale(open_calibrated(layer), {path!r}, {options})
"""


def write_command(layer: Image, choice: Choice) -> str:
    """Return text that upscales a layer as the dock would, into an OME-Zarr store.

    Parameters
    ----------
    layer
        One that shows an image as its file holds it gives a shell command; for others,
        such as a part of it, a script takes the pixels from the viewer.
    choice
        What the user wants.
    """
    folder = choice.folder or Path()
    output = str(free_path(folder, f"{layer.name} {choice.label}"))
    options = _list_options(choice)
    if layer.rgb:
        options["color"] = choice.color
    options |= find_command_settings(layer, choice.optics)
    # 1 is the model itself, and not every model can be blended
    sharpness = None if choice.sharpness == 1 else choice.sharpness
    opening = find_opening(layer, open_measured(layer, choice.optics))
    if opening is None:
        given = {"model": choice.model, "factor": choice.factor}
        given |= {} if sharpness is None else {"sharpness": sharpness}
        given |= choice.reading
        words = [f"{key}={value!r}" for key, value in (given | options).items()]
        script = _CALIBRATED if is_calibrated_by_file(layer) else _SCRIPT
        return script.format(name=layer.name, path=output, options=", ".join(words))
    words = ["structsr", "upscale", opening.path, output]
    for key, value in opening.options.items():
        words += [f"--{key}", str(value)]
    for key, value in choice.reading.items():
        words += _write_option(key, value)
    return shlex.join(words + _write_run(choice, options))


def write_folder_command(choice: Choice) -> str:
    """Return a shell command that upscales a folder of images as the dock would."""
    words = ["structsr", "upscale", str(choice.images), "--out", str(choice.folder)]
    options = _list_options(choice)
    if choice.color != "channels":
        options["color"] = choice.color
    options |= choice.optics.to_settings()
    return shlex.join(words + _write_run(choice, options))


def _list_options(choice: Choice) -> dict[str, object]:
    options: dict[str, object] = {
        "agreement": choice.agreement,
        "device": choice.device,
    }
    if choice.tile is not None:
        options["tile"] = choice.tile
    return options


def _write_run(choice: Choice, options: Mapping[str, object]) -> list[str]:
    """Return model, factor and settings as words of the command."""
    words = ["--factor", str(choice.factor), "--model", choice.model]
    if choice.scheduler:
        words += ["--scheduler", choice.scheduler]
    # 1 is the model itself, and not every model can be blended
    if choice.sharpness != 1:
        words += ["--sharpness", str(choice.sharpness)]
    for key, value in options.items():
        words += _write_option(key, value)
    return words


def _write_option(key: str, value: object) -> list[str]:
    """Return a setting of the engine as words of the command."""
    if key == "confocal":
        return ["--confocal" if value else "--wide-field"]
    if isinstance(value, (tuple, list)):
        value = ",".join(map(str, value))
    name = "na" if key == "aperture" else key.replace("_", "-")
    return [f"--{name}"] if value is True else [f"--{name}", str(value)]
