import gc
import threading

import numpy as np
import pytest
import tifffile

from napari_structsr.core.axes import Axis
from napari_structsr.errors import AxesError, PixelError, SettingsError, SourceError
from napari_structsr.io.open import open_source

RAMP = np.arange(256)


def lut(*ends):
    return np.array([RAMP * end // 255 for end in ends], np.uint8)


@pytest.fixture
def stack(rng):
    return rng.integers(0, 4000, (2, 3, 4, 32, 40), np.uint16)


def test_imagej_hyperstack(tmp_path, stack, whole, canonical):
    path = tmp_path / "cells.tif"
    tifffile.imwrite(
        path,
        stack,
        imagej=True,
        resolution=(1 / 0.1, 1 / 0.25),
        metadata={
            "axes": "TZCYX",
            "unit": "um",
            "spacing": 0.5,
            "finterval": 2.5,
            "Labels": ["DAPI", "GFP", "RFP", "Cy5"] * 6,
            "Ranges": (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0),
            "LUTs": [
                lut(0, 0, 255),
                lut(0, 255, 0),
                np.roll(lut(255, 255, 255), 9, axis=1),
                lut(255, 255, 255),
            ],
        },
    )
    source = open_source(path)
    axes = source.spec.axes
    assert axes.names == "tzcyx"
    assert axes["x"] == Axis("x", 40, pytest.approx(0.1), 0.0, "micrometer")
    assert axes["y"] == Axis("y", 32, pytest.approx(0.25), 0.0, "micrometer")
    assert axes["z"] == Axis("z", 3, 0.5, 0.0, "micrometer")
    assert axes["t"] == Axis("t", 2, 2.5, 0.0, "second")
    channels = source.spec.channels
    assert [channel.name for channel in channels] == ["DAPI", "GFP", "RFP", "Cy5"]
    assert [channel.color for channel in channels] == [
        "0000FF",
        "00FF00",
        None,
        "FFFFFF",
    ]
    assert channels[2].window == (5.0, 6.0)
    assert (source.spec.name, source.origin) == ("cells", str(path))
    assert (whole(source) == canonical(stack, "tzcyx")).all()


def test_imagej_display_range_of_one_channel(tmp_path, stack):
    path = tmp_path / "a.tif"
    meta = {"axes": "ZYX", "min": 100.0, "max": 900.0, "unit": "\\u00B5m"}
    tifffile.imwrite(path, stack[0, :, 0], imagej=True, metadata=meta)
    spec = open_source(path).spec
    assert spec.channels[0].window == (100.0, 900.0)
    assert spec.axes["x"].unit == "micrometer"


def test_imagej_with_labels_of_planes_has_no_channel_names(tmp_path, stack):
    path = tmp_path / "a.tif"
    labels = [f"slice {n}" for n in range(24)]
    meta = {"axes": "TZCYX", "Labels": labels}
    tifffile.imwrite(path, stack, imagej=True, metadata=meta)
    assert all(c.name == "" for c in open_source(path).spec.channels)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "tile": (16, 16)}])
def test_ome_tiff(tmp_path, stack, whole, canonical, options):
    path = tmp_path / "cells.ome.tif"
    tifffile.imwrite(
        path,
        stack,
        metadata={
            "axes": "TZCYX",
            "PhysicalSizeX": 0.1,
            "PhysicalSizeY": 200,
            "PhysicalSizeYUnit": "nm",
            "PhysicalSizeZ": 1.5,
            "TimeIncrement": 40,
            "TimeIncrementUnit": "ms",
            "Channel": {
                "Name": list("abcd"),
                "Color": [-16776961, 16711935, 65535, -1],
            },
            "Plane": {
                "PositionX": [1.5] * 24,
                "PositionXUnit": ["mm"] * 24,
                "PositionY": list(range(24)),
                "PositionYUnit": ["um"] * 24,
            },
        },
        **options,
    )
    source = open_source(path)
    axes = source.spec.axes
    assert axes["x"] == Axis("x", 40, 0.1, 1500.0, "micrometer")
    assert axes["y"] == Axis("y", 32, 200.0, 0.0, "nanometer")
    assert axes["z"] == Axis("z", 3, 1.5, 0.0, "micrometer")
    assert axes["t"] == Axis("t", 2, 40.0, 0.0, "millisecond")
    assert [(c.name, c.color) for c in source.spec.channels] == [
        ("a", "FF0000"),
        ("b", "00FF00"),
        ("c", "0000FF"),
        ("d", "FFFFFF"),
    ]
    assert source.spec.name == "cells"
    assert source.chunks == ((16, 16) if options else (32, 40))
    assert (whole(source) == canonical(stack, "tzcyx")).all()


@pytest.mark.parametrize("order", ["TCZYX", "ZCTYX", "CZTYX"])
def test_ome_tiff_in_other_orders(tmp_path, stack, whole, canonical, order):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, stack, metadata={"axes": order})
    source = open_source(path)
    assert source.spec.axes.names == order.lower()
    assert (whole(source) == canonical(stack, order.lower())).all()


def test_a_single_ome_channel_keeps_its_name(tmp_path, stack):
    path = tmp_path / "a.ome.tif"
    meta = {"axes": "CYX", "Channel": {"Name": ["DAPI"]}}
    tifffile.imwrite(path, stack[0, 0, :1], metadata=meta)
    spec = open_source(path).spec
    assert spec.axes.names == "yx"
    assert [channel.name for channel in spec.channels] == ["DAPI"]


def test_channels_by_name(tmp_path, stack, whole, canonical):
    path = tmp_path / "a.ome.tif"
    meta = {"axes": "TZCYX", "Channel": {"Name": ["DAPI", "GFP", "RFP", "Cy5"]}}
    tifffile.imwrite(path, stack, metadata=meta)
    source = open_source(path, channels=["Cy5", "DAPI"])
    assert [channel.name for channel in source.spec.channels] == ["Cy5", "DAPI"]
    assert (whole(source) == canonical(stack[:, :, [3, 0]], "tzcyx")).all()
    with pytest.raises(SettingsError, match="'GFP'"):
        open_source(path, channels=["gfp"])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"compression": "lzw", "predictor": True},
        {"compression": "zlib", "rowsperstrip": 5},
        {"compression": "zlib", "byteorder": ">", "tile": (16, 32)},
        {"compression": "zstd", "tile": (16, 16), "bigtiff": True},
        {"tile": (16, 16)},
        {"metadata": None},
        {"metadata": None, "contiguous": False, "rowsperstrip": 7},
    ],
)
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_storage_does_not_change_pixels(tmp_path, stack, whole, options, dtype):
    array = (stack[0, :, 0] % 200).astype(dtype)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, photometric="minisblack", **options)
    source = open_source(path)
    assert source.spec.axes.names == "zyx"
    assert source.spec.dtype == np.dtype(dtype)
    assert source.spec.dtype.isnative
    assert (whole(source)[:, 0] == array).all()


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("pages", [1, 3])
def test_rgb(tmp_path, rng, whole, canonical, planar, compression, pages):
    axes = ("z" if pages > 1 else "") + ("yxs" if planar == "contig" else "syx")
    sizes = {"z": pages, "y": 20, "x": 30, "s": 3}
    array = rng.integers(0, 255, [sizes[name] for name in axes], np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, array, photometric="rgb", planarconfig=planar, compression=compression
    )
    source = open_source(path)
    assert source.spec.axes.names == axes
    assert (whole(source) == canonical(array, axes)).all()


def test_samples_that_are_no_colours_are_channels(tmp_path, rng, whole, canonical):
    array = rng.integers(0, 99, (20, 30, 5), np.uint16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, photometric="minisblack", planarconfig="contig")
    source = open_source(path)
    assert source.spec.axes.names == "yxc"
    assert (whole(source) == canonical(array, "yxc")).all()


def test_three_grey_pages_are_no_colours(tmp_path, rng):
    path = tmp_path / "a.tif"
    array = rng.integers(0, 99, (9, 20, 3), np.uint8)
    tifffile.imwrite(path, array, photometric="minisblack")
    assert open_source(path).spec.axes.names == "zyx"


def test_pyramid(tmp_path, stack, whole):
    full = stack[0, :, 0]
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path) as file:
        meta = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
        file.write(full, subifds=1, metadata=meta, tile=(16, 16))
        file.write(full[:, ::2, ::2], subfiletype=1, tile=(16, 16))
    source = open_source(path, level=1)
    assert source.spec.axes["z"] == Axis("z", 3)
    assert source.spec.axes["x"] == Axis("x", 20, 1.0, 0.25, "micrometer")
    assert source.spec.axes["y"] == Axis("y", 16, 0.5, 0.125, "micrometer")
    assert (whole(source)[:, 0] == full[:, ::2, ::2]).all()
    with pytest.raises(SettingsError, match="levels 0 to 1, not 2"):
        open_source(path, level=2)


@pytest.mark.parametrize(
    ("unit", "scale"), [("CENTIMETER", 0.5), ("INCH", 1.0), ("NONE", 1.0)]
)
def test_resolution_of_a_plain_tiff(tmp_path, unit, scale):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.zeros((8, 9), "u1"), resolution=(2e4, 2e4), resolutionunit=unit
    )
    assert open_source(path).spec.axes["x"].scale == pytest.approx(scale)


def test_axes_of_the_user_keep_the_pixel_sizes_of_their_names(tmp_path, stack):
    path = tmp_path / "a.tif"
    meta = {"axes": "ZYX", "unit": "um", "spacing": 0.5}
    array = stack[0, :, 0]
    tifffile.imwrite(path, array, imagej=True, resolution=(4, 8), metadata=meta)
    axes = open_source(path, axes="tyx").spec.axes
    assert axes["t"] == Axis("t", 3)
    assert (axes["x"].scale, axes["y"].scale) == (0.25, 0.125)
    with pytest.raises(AxesError, match="name each dimension once"):
        open_source(path, axes="tzyx")


def test_more_axes_than_names(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((2, 2, 2, 2, 8, 9), "u1"), photometric="minisblack")
    with pytest.raises(AxesError, match="open a part of the image"):
        open_source(path)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((8, 9), "c8"), "convert them to float32"),
        (np.zeros((8, 9), bool), "convert them to uint8"),
        (np.zeros((1, 512), "u2"), "1 x 512 pixels"),
    ],
)
def test_pixels_that_cannot_be_upscaled(tmp_path, array, words):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array)
    with pytest.raises(PixelError, match=words):
        open_source(path)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_windows_are_read_from_several_threads(tmp_path, rng, compression):
    array = rng.integers(0, 4000, (4, 64, 64), np.uint16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, array, photometric="minisblack", compression=compression, rowsperstrip=8
    )
    wrong = []
    with open_source(path) as source:

        def check(z):
            for top in range(0, 60, 4):
                got = source.read((z,), slice(top, top + 4), slice(3, 50))
                if (got[0] != array[z, top : top + 4, 3:50]).any():
                    wrong.append((z, top))

        threads = [threading.Thread(target=check, args=(z,)) for z in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_dropped_source_leaves_no_file_open(tmp_path, stack, compression):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, stack[0, :, 0], photometric="minisblack", compression=compression
    )
    opened = open_source(path)
    opened.read((0,), slice(0, 4), slice(0, 4))
    # an unclosed file would be a ResourceWarning, and those are errors here
    del opened
    gc.collect()
    path.unlink()


def test_opening_and_reading_touch_only_what_is_needed(tmp_path, rng, monkeypatch):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        rng.integers(0, 9, (50, 64, 64), np.uint16),
        compression="zlib",
        tile=(16, 16),
    )
    taken = []
    read = tifffile.FileHandle.read

    def counting(self, size=-1, /):
        data = read(self, size)
        taken.append(len(data))
        return data

    monkeypatch.setattr(tifffile.FileHandle, "read", counting)
    source = open_source(path)
    taken.clear()
    source.read((30,), slice(0, 16), slice(16, 32))
    assert 0 < sum(taken) < path.stat().st_size / 200


def scan(folder, rng, count=11, **options):
    folder.mkdir()
    planes = rng.integers(0, 4000, (count, 20, 30), np.uint16)
    for number, plane in enumerate(planes):
        tifffile.imwrite(folder / f"p{number}.tif", plane, **options)
    return planes


def test_files_of_a_pattern_become_z_in_natural_order(tmp_path, rng, whole):
    planes = scan(tmp_path / "scan", rng, compression="zlib")
    source = open_source(tmp_path / "scan" / "*.tif")
    assert source.spec.axes.names == "zyx"
    assert source.spec.name == "scan"
    assert source.origin == str(tmp_path / "scan" / "*.tif")
    assert (whole(source)[:, 0] == planes).all()


def test_a_relative_pattern_with_axes_of_the_user(tmp_path, rng, whole, monkeypatch):
    planes = scan(tmp_path / "scan", rng)
    monkeypatch.chdir(tmp_path)
    source = open_source("scan/*.tif", axes="tyx")
    assert source.spec.axes.names == "tyx"
    assert source.origin == str(tmp_path / "scan" / "*.tif")
    assert (whole(source)[:, 0] == planes).all()


def test_files_as_channels_are_called_as_the_files(tmp_path, rng, whole, canonical):
    planes = scan(tmp_path / "scan", rng, count=3)
    source = open_source(tmp_path / "scan" / "*.tif", axes="cyx")
    assert [channel.name for channel in source.spec.channels] == ["p0", "p1", "p2"]
    assert (whole(source) == canonical(planes, "cyx")).all()


def test_stacks_of_a_pattern_become_time(tmp_path, stack, whole, canonical):
    meta = {"axes": "ZCYX", "spacing": 0.5, "unit": "um", "finterval": 3.0}
    for number, array in enumerate(stack):
        tifffile.imwrite(tmp_path / f"{number}.tif", array, imagej=True, metadata=meta)
    source = open_source(tmp_path / "?.tif")
    assert source.spec.axes.names == "tzcyx"
    assert source.spec.axes["z"].scale == 0.5
    assert source.spec.axes["t"] == Axis("t", 2, 3.0, 0.0, "second")
    assert (whole(source) == canonical(stack, "tzcyx")).all()


def test_files_of_a_pattern_must_agree(tmp_path, rng):
    scan(tmp_path / "scan", rng)
    tifffile.imwrite(tmp_path / "scan" / "p11.tif", np.zeros((20, 31), np.uint16))
    with pytest.raises(SourceError, match=r"p11\.tif .*narrow the pattern"):
        open_source(tmp_path / "scan" / "*.tif")


def test_a_pattern_without_files(tmp_path):
    with pytest.raises(SourceError, match="check the pattern"):
        open_source(tmp_path / "*.tif")
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(SourceError, match=r"a\.txt is not an image"):
        open_source(tmp_path / "*")


def test_a_path_that_looks_like_a_pattern(tmp_path, stack):
    path = tmp_path / "cell[1].tif"
    tifffile.imwrite(path, stack[0, 0, 0])
    assert open_source(path).spec.name == "cell[1]"


def test_ome_tiff_of_several_files(tmp_path, stack, whole):
    meta = {"axes": "ZYX"}
    first, second = tmp_path / "a.ome.tif", tmp_path / "b.ome.tif"
    tifffile.imwrite(first, stack[0, 0], metadata=meta)
    tifffile.imwrite(second, stack[0, 1], metadata=meta)
    xml = tifffile.tiffcomment(first)
    start, end = xml.index("<TiffData"), xml.index("</Pixels>")
    data = "".join(
        f'<TiffData IFD="0" PlaneCount="4" FirstZ="{4 * n}" FirstC="0" FirstT="0">'
        f'<UUID FileName="{file.name}">urn:uuid:{n}</UUID></TiffData>'
        for n, file in enumerate((first, second))
    )
    xml = (xml[:start] + data + xml[end:]).replace('SizeZ="4"', 'SizeZ="8"')
    for number, file in enumerate((first, second)):
        tail = xml.split('UUID="', 1)[1].split('"', 1)[1]
        head = xml.split('UUID="', 1)[0]
        tifffile.tiffcomment(file, f'{head}UUID="urn:uuid:{number}"{tail}'.encode())
    source = open_source(first)
    assert source.spec.axes.shape == (8, 32, 40)
    assert (whole(source)[:, 0] == stack[0, :2].reshape(8, 32, 40)).all()
    source.close()
    second.unlink()
    with pytest.raises(SourceError, match="8 planes are announced, 4 are there"):
        open_source(first)


def test_of_several_images_the_first_is_read(tmp_path, stack, whole):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(stack[0, :, 0], photometric="minisblack", metadata=None)
        file.write(stack[0, 0, 0, :8, :8], photometric="minisblack", metadata=None)
    source = open_source(path)
    assert (whole(source)[:, 0] == stack[0, :, 0]).all()


def test_a_display_table_of_an_8_bit_image_is_no_colour_axis(tmp_path, rng, whole):
    path = tmp_path / "a.tif"
    array = rng.integers(0, 99, (20, 30), np.uint8)
    table = np.zeros((3, 256), np.uint16)
    tifffile.imwrite(path, array, photometric="palette", colormap=table)
    assert (whole(open_source(path)) == array).all()


@pytest.mark.parametrize(
    ("old", "new"), [('PhysicalSizeX="0.5"', 'PhysicalSizeX="much"'), ("-1", "white")]
)
def test_ome_metadata_that_are_no_numbers(tmp_path, stack, old, new):
    path = tmp_path / "a.ome.tif"
    meta = {"axes": "ZYX", "PhysicalSizeX": 0.5, "Channel": {"Color": [-1]}}
    tifffile.imwrite(path, stack[0, 0], metadata=meta)
    xml = tifffile.tiffcomment(path)
    assert old in xml
    tifffile.tiffcomment(path, xml.replace(old, new).encode())
    with pytest.raises(SourceError, match=r"write it again"):
        open_source(path)


def test_pixel_sizes_of_zero_are_unknown(tmp_path, stack):
    path = tmp_path / "a.ome.tif"
    meta = {"axes": "ZYX", "PhysicalSizeX": 0.0, "PhysicalSizeZ": 0.0}
    tifffile.imwrite(path, stack[0, 0], metadata=meta)
    assert open_source(path).spec.axes["x"] == Axis("x", 40)
