"""Files opened through napari's own machinery: where they lie, and how they look."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dask.array as da
import numpy as np
import ome_zarr.io
import ome_zarr.reader
import pytest
import tifffile
import zarr
from napari.layers import Image
from scenes import noise

from napari_structsr.io.ome_zarr.image_writer import write_image
from napari_structsr.io.open import open_source

PLUGIN = "napari-structsr"


@pytest.fixture
def imagej(tmp_path: Path) -> Path:
    """Return a stack as ImageJ writes it."""
    path = tmp_path / "cells.tif"
    tifffile.imwrite(
        path,
        noise((2, 3, 64, 80)),
        imagej=True,
        resolution=(1 / 0.065, 1 / 0.065),
        metadata={"axes": "TZYX", "unit": "um", "spacing": 0.4, "finterval": 2.0},
    )
    return path


@pytest.fixture
def two_channels(tmp_path: Path) -> Path:
    """Return an OME-TIFF of two channels with names and colours."""
    path = tmp_path / "two.ome.tif"
    sizes = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 0.5}
    channels = {"Name": ["DAPI", "GFP"], "Color": [0x4A90D9FF, 0x00FF00FF]}
    metadata = {"axes": "CZYX", "Channel": channels, **sizes}
    tifffile.imwrite(path, noise((2, 3, 64, 80)), metadata=metadata)
    return path


def units(layer) -> list[str]:
    return [str(unit) for unit in layer.units]


def test_imagej_stack_is_calibrated(viewer, imagej, notifications):
    [layer] = viewer.open(str(imagej), plugin=PLUGIN)

    assert layer.name == "cells"
    assert isinstance(layer.data, da.Array)
    np.testing.assert_array_equal(layer.data, tifffile.imread(imagej))
    np.testing.assert_allclose(layer.scale, (2, 0.4, 0.065, 0.065))
    assert units(layer) == ["second", *["micrometer"] * 3]
    assert layer.axis_labels == ("t", "z", "y", "x")
    assert notifications() == []


def test_channels_are_layers_with_names_and_colours(viewer, two_channels):
    layers = viewer.open(str(two_channels), plugin=PLUGIN)

    assert [layer.name for layer in layers] == ["two DAPI", "two GFP"]
    for number, layer in enumerate(layers):
        pixels = tifffile.imread(two_channels)[number]
        np.testing.assert_array_equal(layer.data, pixels)
        np.testing.assert_allclose(layer.scale, (0.5, 0.2, 0.1))
        assert layer.blending == "additive"
        # the plane in the middle, so that it is neither black nor blown out
        assert layer.contrast_limits == [pixels[1].min(), pixels[1].max()]
    colors = [layer.colormap.colors[-1, :3] * 255 for layer in layers]
    np.testing.assert_allclose(colors, [(0x4A, 0x90, 0xD9), (0, 255, 0)], atol=1)


def test_pyramid_lies_where_ome_zarr_py_sees_it(viewer, tmp_path: Path):
    path = tmp_path / "large.ome.zarr"
    source = viewer.add_image(
        noise((2, 700, 900)),
        scale=(0.5, 0.13, 0.11),
        translate=(3, -7, 11),
        units="um",
        axis_labels=("z", "y", "x"),
        contrast_limits=(200, 3000),
        colormap="green",
    )
    write_image(open_source(source), path)

    [layer] = viewer.open(str(path), plugin=PLUGIN)

    [node] = ome_zarr.reader.Reader(ome_zarr.io.parse_url(path))()
    assert layer.multiscale
    assert [level.shape for level in layer.data] == [one.shape for one in node.data]
    scale, shift = node.metadata["coordinateTransformations"][0]
    np.testing.assert_allclose(layer.scale, scale["scale"])
    np.testing.assert_allclose(layer.translate, shift["translation"])
    assert list(layer.axis_labels) == [one["name"] for one in node.metadata["axes"]]
    assert units(layer) == [one["unit"] for one in node.metadata["axes"]]
    np.testing.assert_allclose(layer.extent.world, source.extent.world)
    assert layer.contrast_limits == [200, 3000]
    assert layer.colormap.name == "green"


def test_many_channels_without_names_are_one_layer(
    viewer, dock, tmp_path: Path, notifications
):
    path = tmp_path / "movie.tif"
    # as ImageJ writes times that were read as channels
    pixels = noise((9, 64, 80))
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": "CYX"})

    [layer] = viewer.open(str(path), plugin=PLUGIN)

    np.testing.assert_array_equal(layer.data, pixels)
    assert layer.axis_labels == ("c", "y", "x")
    assert layer.blending != "additive"
    [text] = notifications()
    assert "9 channels" in text
    # what the sentence tells to do
    dock.form.axes.setText("t y x")
    dock.form.axes.setModified(True)
    dock.form.axes.editingFinished.emit()
    assert open_source(layer).spec.axes.names == "tyx"


def test_of_many_named_channels_the_first_are_seen(viewer, tmp_path: Path):
    path = tmp_path / "panel.ome.tif"
    names = [f"CD{number}" for number in range(9)]
    metadata = {"axes": "CYX", "Channel": {"Name": names}}
    tifffile.imwrite(path, noise((9, 64, 80)), metadata=metadata)

    layers = viewer.open(str(path), plugin=PLUGIN)

    assert [layer.name for layer in layers] == [f"panel {name}" for name in names]
    assert [layer.visible for layer in layers] == [True] * 7 + [False] * 2


def test_several_images_of_a_file(viewer, tmp_path: Path):
    path = tmp_path / "positions.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        for number, size in enumerate((0.1, 0.2)):
            metadata = {"axes": "YX", "PhysicalSizeX": size, "PhysicalSizeY": size}
            file.write(noise((40 + number, 50)), metadata=metadata)

    layers = viewer.open(str(path), plugin=PLUGIN)

    assert [layer.data.shape for layer in layers] == [(40, 50), (41, 50)]
    assert [layer.scale[0] for layer in layers] == [0.1, 0.2]
    assert [layer.visible for layer in layers] == [True, False]


def test_plate_shows_the_first_field_of_each_well(viewer, tmp_path: Path):
    path, fields = tmp_path / "plate.ome.zarr", {}
    plate = zarr.open_group(path, mode="w", zarr_format=2)
    wells = [{"path": "A/1"}, {"path": "B/2"}]
    rows, columns = ([{"name": name} for name in names] for names in ("AB", "12"))
    plate.attrs["plate"] = {"rows": rows, "columns": columns, "wells": wells}
    rng = np.random.default_rng(1)
    for well in ("A/1", "B/2"):
        group = plate.create_group(well)
        group.attrs["well"] = {"images": [{"path": "0"}, {"path": "1"}]}
        for field in ("0", "1"):
            fields[well, field] = rng.integers(1, 4000, (2, 40, 50), np.uint16)
            source = open_source(
                Image(
                    fields[well, field],
                    scale=(1, 0.5, 0.5),
                    units=("pixel", "um", "um"),
                    axis_labels=("c", "y", "x"),
                )
            )
            write_image(source, path / well / f"{field}.zarr", version="0.4")
            (path / well / f"{field}.zarr").rename(path / well / field)

    layers = viewer.open(str(path), plugin=PLUGIN)

    assert len(layers) == 2
    for number, layer in enumerate(layers):
        assert layer.data.shape == (80, 100)
        assert tuple(layer.scale) == (0.5, 0.5)
        pixels = np.asarray(layer.data)
        np.testing.assert_array_equal(pixels[:40, :50], fields["A/1", "0"][number])
        np.testing.assert_array_equal(pixels[40:, 50:], fields["B/2", "0"][number])
        assert not pixels[:40, 50:].any()
    [first, *_] = viewer.open(str(path / "B/2"), plugin=PLUGIN)
    np.testing.assert_array_equal(first.data, fields["B/2", "0"][0])


def test_what_holds_no_intensities_is_left_to_napari(
    viewer, tmp_path: Path, notifications
):
    path = tmp_path / "mask.tif"
    tifffile.imwrite(path, noise((40, 50)) > 2000)

    [layer] = viewer.open(str(path), plugin=PLUGIN)

    assert layer.data.shape == (40, 50)
    assert "napari's own reader" in notifications()[0]


def test_colour_image(viewer, tmp_path: Path):
    path = tmp_path / "tissue.tif"
    tifffile.imwrite(path, noise((40, 50, 3)).astype(np.uint8), photometric="rgb")

    [layer] = viewer.open(str(path), plugin=PLUGIN)

    assert layer.rgb
    np.testing.assert_array_equal(layer.data, tifffile.imread(path))


@pytest.fixture
def address(tmp_path: Path, own_ports):
    """Return where the folder of a test is on the web."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    own_ports.add(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("ending", ["", "/"])
def test_an_image_at_an_address_is_opened_as_a_file_is(
    viewer, tmp_path: Path, address, ending
):
    pytest.importorskip("aiohttp", reason="the extra remote is not installed")
    source = viewer.add_image(noise((2, 64, 80)), scale=(0.5, 0.1, 0.1), units="um")
    write_image(open_source(source, axes="zyx"), tmp_path / "a.ome.zarr")

    [layer] = viewer.open(f"{address}/a.ome.zarr{ending}", plugin=PLUGIN)

    np.testing.assert_array_equal(layer.data, source.data)
    np.testing.assert_allclose(layer.scale, (0.5, 0.1, 0.1))
    assert layer.name == "a"
    # and as `napari ADDRESS` does, which asks every plugin
    [again] = viewer.open(f"{address}/a.ome.zarr{ending}", plugin=None)
    assert layer.metadata.keys() == again.metadata.keys()
