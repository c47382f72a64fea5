"""OME-TIFF as tifffile reads it."""

import numpy as np
import pytest
import tifffile

from napari_structsr import (
    Cancel,
    MemorySink,
    TiffSink,
    UpscaleSettings,
    iter_upscale,
    load_model,
    open_source,
    result_of,
)
from napari_structsr.core.axes import Axes, Axis, Channel, ImageSpec
from napari_structsr.engine.events import Progressed
from napari_structsr.errors import SinkError
from napari_structsr.io.arrays import ArraySource
from napari_structsr.io.records import read_record

BICUBIC = load_model("bicubic", factor=2)
PLAIN = UpscaleSettings(agreement="off", device="cpu", tile=32)


def start(source, sink, cancel=None):
    return iter_upscale(source, BICUBIC, sink, settings=PLAIN, cancel=cancel)


def test_tifffile_finds_pixels_calibration_channels_and_pyramid(stack, tmp_path):
    stack = stack.repeat(3, axis=2).repeat(3, axis=3)
    unit = "micrometer"
    axes = Axes(
        (
            Axis("c", 2),
            Axis("z", 2, 0.5, 0.0, unit),
            Axis("y", 288, 0.13, 4.0, unit),
            Axis("x", 336, 0.11, 5.0, unit),
        )
    )
    channels = (Channel("DAPI", "0000FF"), Channel("GFP", "00FF00"))
    spec = ImageSpec("cells", axes, stack.dtype, channels)
    source = ArraySource(stack, spec, names="czyx", origin="test")
    path = result_of(start(source, TiffSink(tmp_path / "a.ome.tif")))

    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff
        series = file.series[0]
        assert series.axes == "CZYX"
        assert [level.shape for level in series.levels] == [
            (2, 2, 576, 672),
            (2, 2, 288, 336),
            (2, 2, 144, 168),
        ]
        assert series.pages[0].is_tiled
        np.testing.assert_array_equal(
            series.asarray(), result_of(start(source, MemorySink()))
        )
        pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
    assert pixels["PhysicalSizeX"] == pytest.approx(0.055)
    assert pixels["PhysicalSizeY"] == pytest.approx(0.065)
    assert pixels["PhysicalSizeZ"] == pytest.approx(0.5)
    assert pixels["PhysicalSizeXUnit"] == "µm"
    assert [channel["Name"] for channel in pixels["Channel"]] == ["DAPI", "GFP"]
    plane = pixels["Plane"][0]
    # half a coarse pixel less half a fine one towards the edge
    assert plane["PositionX"] == pytest.approx(5 - 0.11 / 4)
    assert plane["PositionY"] == pytest.approx(4 - 0.13 / 4)

    again = open_source(path).spec
    assert again.axes["x"].scale == pytest.approx(0.055)
    assert again.axes["x"].translate == pytest.approx(5 - 0.11 / 4)
    assert again.axes["z"].unit == unit
    assert [channel.color for channel in again.channels] == ["0000FF", "00FF00"]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_types_and_times(dtype, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 100, (3, 40, 50)).astype(dtype)
    source = open_source(pixels, axes="tyx")
    path = result_of(start(source, TiffSink(tmp_path / "a.tif")))
    found = tifffile.imread(path)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, result_of(start(source, MemorySink())))


def test_colour_stays_colour(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    path = result_of(start(open_source(rgb), TiffSink(tmp_path / "a.tif")))
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == "YXS"
        assert file.pages[0].photometric.name == "RGB"
        np.testing.assert_array_equal(
            file.asarray(), result_of(start(open_source(rgb), MemorySink()))
        )


def test_cancelled_file_is_not_there_and_the_same_run_gives_the_same_bytes(
    stack, tmp_path
):
    source = open_source(stack, axes="czyx")
    path, cancel = tmp_path / "a.ome.tif", Cancel()
    for event in start(source, TiffSink(path), cancel):
        if isinstance(event, Progressed):
            cancel()
    assert not path.exists()
    first, *_ = start(source, TiffSink(path))  # all of it
    whole = result_of(start(source, TiffSink(tmp_path / "b.ome.tif")))
    assert first.plan.done > 0
    assert path.read_bytes() == whole.read_bytes()
    assert {file.name for file in tmp_path.iterdir()} == {"a.ome.tif", "b.ome.tif"}
    assert read_record(path)[0] == "finished"


def test_a_file_in_the_way_stays_until_the_new_one_is_whole(stack, tmp_path):
    source = open_source(stack, axes="czyx")
    path = tmp_path / "a.ome.tif"
    path.write_text("precious")
    with pytest.raises(SinkError, match="--overwrite"):
        result_of(start(source, TiffSink(path)))
    assert path.read_text() == "precious"
    result_of(start(source, TiffSink(path, overwrite=True)))
    assert tifffile.imread(path).shape == (2, 2, 192, 224)


def test_types_that_ome_tiff_lacks_name_the_remedy(tmp_path):
    source = open_source(np.zeros((30, 30), np.int64))
    with pytest.raises(SinkError, match="OME-Zarr"):
        result_of(start(source, TiffSink(tmp_path / "a.tif")))
