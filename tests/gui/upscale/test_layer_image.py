"""Axes and pixel size of a layer: from its file, said, changed, and in the command."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import napari_builtins
import numpy as np
import pytest
import tifffile
from napari.layers import Image
from napari.layers._source import layer_source
from qtpy.QtGui import QGuiApplication
from scenes import choose, noise
from typer.testing import CliRunner

from napari_structsr.cli import app
from napari_structsr.io.ome_zarr.image_writer import write_image
from napari_structsr.io.open import open_source

TIMEOUT = 60_000


@pytest.fixture(autouse=True)
def _builtins(plugin):
    """Let napari's own reader open files too."""
    manifest = Path(napari_builtins.__file__).with_name("builtins.yaml")
    with plugin.tmp_plugin(manifest=str(manifest)):
        yield


def write_imagej(folder: Path, axes: str = "TZCYX") -> Path:
    path = folder / "cells.tif"
    sizes = {"T": 2, "Z": 3, "C": 2, "Y": 40, "X": 50}
    tifffile.imwrite(
        path,
        noise(tuple(sizes[axis] for axis in axes)),
        imagej=True,
        resolution=(1 / 0.065, 1 / 0.065),
        metadata={"axes": axes, "unit": "um", "spacing": 0.4, "finterval": 2.0},
    )
    return path


def write_ome_tiff(folder: Path) -> Path:
    path = folder / "cells.ome.tif"
    sizes = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1, "PhysicalSizeZ": 0.5}
    channels = {"Name": ["DAPI", "GFP"], "Color": [0x4A90D9FF, 0x00FF00FF]}
    metadata = {"axes": "CZYX", "Channel": channels, **sizes}
    tifffile.imwrite(path, noise((2, 3, 40, 50)), metadata=metadata)
    return path


def write_ome_zarr(folder: Path) -> Path:
    layer = Image(
        noise((3, 300, 280)),
        name="cells",
        scale=(0.5, 0.13, 0.11),
        translate=(3, -7, 11),
        units="um",
        axis_labels=("z", "y", "x"),
        colormap="green",
    )
    return write_image(open_source(layer), folder / "cells.ome.zarr")


def copy_command(dock) -> str:
    dock.copy_button.click()
    return QGuiApplication.clipboard().text()


def run(dock, qtbot) -> None:
    dock.run_button.click()
    qtbot.waitUntil(
        lambda: bool(dock.jobs.rows) and not dock.jobs.is_busy, timeout=TIMEOUT
    )


def read_tree(folder: Path) -> dict[str, bytes | dict]:
    """Return every file, and the attributes of the store without its record."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    found = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    root = json.loads(found["zarr.json"])
    # where the pixels came from is said in the words of a path or of a layer
    del root["attributes"]["structsr"]
    return {**found, "zarr.json": root}


@pytest.mark.parametrize(
    ("write", "reader"),
    [
        (write_imagej, "napari-structsr"),
        (write_imagej, "napari"),
        (write_ome_tiff, "napari-structsr"),
        (write_ome_tiff, "napari"),
        (write_ome_zarr, "napari-structsr"),
    ],
)
def test_dock_and_copied_command_give_the_same_store(
    viewer, dock, qtbot, tmp_path, write, reader
):
    layers = viewer.open(str(write(tmp_path)), plugin=reader)
    viewer.layers.selection = {layers[-1]}
    results = tmp_path / "results"
    results.mkdir()
    choose(dock.form.output, "zarr")
    dock.form.folder.value = results

    words = shlex.split(copy_command(dock))
    done = CliRunner().invoke(app, words[1:])
    assert done.exit_code == 0, done.output
    [store] = results.iterdir()
    command = store.rename(tmp_path / "by_command")
    run(dock, qtbot)

    assert words[0] == "structsr"
    assert read_tree(command) == read_tree(store)
    scale = open_source(store).spec.axes["y"]
    assert scale.unit == "micrometer"
    assert scale.scale < 0.1


def test_result_opened_again_lies_on_its_source(viewer, dock, qtbot, tmp_path):
    [source] = viewer.open(str(write_ome_zarr(tmp_path)), plugin="napari-structsr")
    choose(dock.form.output, "zarr")
    dock.form.folder.value = tmp_path
    run(dock, qtbot)

    [again] = viewer.open(
        str(tmp_path / "cells_x2_bicubic.ome.zarr"), plugin="napari-structsr"
    )

    half = np.array((0, 0.13, 0.11)) / 2
    np.testing.assert_allclose(
        again.extent.world + np.outer((-1, 1), half / 2),
        source.extent.world + np.outer((-1, 1), half),
        atol=1e-9,
    )
    assert again.metadata["structsr"]["record"]["model"]["name"] == "bicubic"


def test_nothing_is_said_of_the_axes_of_a_plane(viewer, dock, tmp_path):
    tifffile.imwrite(tmp_path / "plane.tif", np.zeros((30, 40), np.uint8))
    viewer.open(str(tmp_path / "plane.tif"), plugin="napari")
    assert dock.form.axes.text() == "y x"
    assert "Axes" not in dock.form.origin.text()


def test_layer_of_napari_takes_axes_and_pixel_size_from_its_file(
    viewer, dock, qtbot, tmp_path
):
    [layer] = viewer.open(str(write_imagej(tmp_path)), plugin="napari")

    assert dock.form.axes.text() == "t z c y x"
    text = dock.form.origin.text()
    assert "Axes from cells.tif." in text
    assert "Pixel size from cells.tif: t 2 s, z 0.4 µm, y and x 0.065 µm." in text

    run(dock, qtbot)
    result = viewer.layers[1]
    assert result.axis_labels == ("t", "z", "c", "y", "x")
    np.testing.assert_allclose(result.scale[-2:], layer.scale[-2:] / 2)
    viewer.layers.selection = {result}
    viewer.layers.save(str(tmp_path / "saved.zarr"), selected=True)
    saved = open_source(tmp_path / "saved.zarr").spec.axes
    assert saved.names == "tczyx"
    np.testing.assert_allclose(
        [axis.scale for axis in saved.items[2:]], [0.4, *[0.0325] * 2]
    )


def test_guessed_axes_are_said_and_can_be_changed(viewer, dock, notifications):
    layer = viewer.add_image(noise((2, 3, 40, 50)), name="cells")
    assert dock.form.axes.text() == "t z y x"
    assert "guessed" in dock.form.origin.text()

    for text in ("c z y x", "zy x"):
        dock.form.axes.setText(text)
        dock.form.axes.setModified(True)
        dock.form.axes.editingFinished.emit()

    assert layer.axis_labels == ("c", "z", "y", "x")
    assert open_source(layer).spec.axes.names == "czyx"
    assert dock.form.axes.text() == "c z y x"
    assert dock.form.origin.text() == ""
    assert "3 dimensions" in notifications()[0]


def test_command_reads_no_file_that_holds_other_pixels(viewer, dock, tmp_path):
    path = write_imagej(tmp_path, "ZYX")
    pixels = tifffile.imread(path)
    changed = pixels.copy()
    changed[1, 5, 5] += 1
    with layer_source(path=str(path)):
        viewer.add_image(pixels[:, :30], name="cropped")
        viewer.add_image(changed, name="changed")
        viewer.add_image(pixels, name="placed", scale=(1, 0.2, 0.2))
        viewer.add_image(pixels, name="whole")
    for name, words in (
        ("cropped", "sr.upscale(layer"),
        ("changed", "open_calibrated(layer)"),
        ("placed", "sr.upscale(layer"),
        ("whole", "structsr upscale"),
    ):
        viewer.layers.selection = {viewer.layers[name]}
        assert words in copy_command(dock)


def test_command_of_renamed_axes_says_them(viewer, dock, tmp_path):
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, noise((3, 40, 50)), photometric="minisblack")
    [layer] = viewer.open(str(path), plugin="napari")
    layer.axis_labels = ("t", "y", "x")

    text = copy_command(dock)

    assert text.startswith("structsr upscale")
    assert "--axes tyx" in text
