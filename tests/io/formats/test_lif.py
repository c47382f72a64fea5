"""LIF files: every image of the tree, against liffile's own reading."""

import struct

import liffile
import numpy as np
import pytest

from napari_structsr.core.axes import Axis
from napari_structsr.errors import SettingsError, SourceError
from napari_structsr.io.open import list_images, list_names, open_source

STEP = {"x": 1e-7, "y": 2e-7, "z": 5e-7, "t": 1.5, "m": 0.0}


@pytest.fixture
def path(tmp_path, write_lif, rng):
    stack = rng.integers(0, 4000, (2, 3, 2, 20, 24), np.uint16)
    images = [
        {
            "name": "Series001",
            "pixels": stack,
            "axes": "tzcyx",
            "step": STEP,
            "channels": [("DAPI", "Blue"), ("GFP", "Green")],
        },
        {
            "name": "overview",
            "pixels": stack[0, 0],
            "axes": "myx",
            "step": STEP,
            "channels": [("", "Gray")],
        },
    ]
    return write_lif(tmp_path / "cells.lif", images)


def test_all_images_as_liffile_reads_them(path, whole, canonical):
    assert list_names(str(path)) == ("Series001", "overview/0", "overview/1")
    source = open_source(path)
    with liffile.LifFile(path) as file:
        expected = file.images[0].asarray()
        dims = "".join(file.images[0].dims).lower()
    assert (whole(source) == canonical(expected, dims)).all()
    assert sorted(source.spec.axes.items, key=lambda axis: axis.name) == [
        Axis("c", 2),
        Axis("t", 2, 1.5, 0.0, "second"),
        Axis("x", 24, pytest.approx(0.1), 0.0, "micrometer"),
        Axis("y", 20, pytest.approx(0.2), 0.0, "micrometer"),
        Axis("z", 3, pytest.approx(0.5), 0.0, "micrometer"),
    ]
    names = [(one.name, one.color) for one in source.spec.channels]
    assert names == [("DAPI", "0000FF"), ("GFP", "00FF00")]
    source.close()


def test_tiles_of_a_mosaic_are_images(path, whole):
    with liffile.LifFile(path) as file:
        expected = file.images[1].asarray()
    for tile in range(2):
        source = open_source(path, series=f"overview/{tile}")
        assert source.spec.axes.names == "yx"
        assert (whole(source)[0] == expected[tile]).all()
    assert [entry.axes.shape for entry in list_images(path)][1:] == [(20, 24)] * 2
    with pytest.raises(SettingsError, match="3 images: 0 Series001, 1 overview/0"):
        open_source(path, series="overview/2")


def read_all(path):
    for number in range(3):
        source = open_source(path, series=number)
        zero = (0,) * len(source.spec.axes.loops)
        source.read(zero, slice(0, 20), slice(0, 24))


def test_files_cut_short_are_damaged(path):
    read_all(path)
    data = path.read_bytes()
    for size in (5, 100, 2000, len(data) - 9):
        path.write_bytes(data[:size])
        with pytest.raises(SourceError, match=r"cells\.lif"):
            read_all(path)


def test_a_mosaic_of_endless_tiles_is_refused(path):
    read_all(path)
    few, many = (f'DimID="10" NumberOfElements="{n}"' for n in (2, 2**31))
    data = path.read_bytes().replace(few.encode("utf-16-le"), many.encode("utf-16-le"))
    size = struct.unpack_from("<i", data, 9)[0] + len(many) - len(few)
    path.write_bytes(
        data[:4]
        + struct.pack("<i", 5 + 2 * size)
        + data[8:9]
        + struct.pack("<i", size)
        + data[13:]
    )
    with pytest.raises(SourceError, match="more than 65536 images"):
        list_names(str(path))
