"""A part of an image: the same pixels, in the same place, and in the record."""

import json

import numpy as np
import pytest
import tifffile

import napari_structsr as sr
from napari_structsr.errors import SettingsError
from napari_structsr.io.open import open_source
from napari_structsr.io.records import read_zarr_record

PIXELS = np.random.default_rng(3).integers(0, 4000, (2, 6, 2, 30, 40), np.uint16)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "cells.ome.tif"
    sizes = {"PhysicalSizeX": 0.2, "PhysicalSizeY": 0.1, "PhysicalSizeZ": 0.5}
    tifffile.imwrite(path, PIXELS, metadata={"axes": "TZCYX", **sizes})
    return path


def read(source):
    """Return all pixels, in the order of the loops."""
    height, width = source.spec.axes.plane
    planes = [
        source.read(plane, slice(0, height), slice(0, width))[0]
        for plane in source.spec.axes.planes()
    ]
    axes = source.spec.axes
    pixels = np.array(planes).reshape(axes.canonical().shape)
    return pixels.transpose([axes.canonical().names.index(name) for name in axes.names])


@pytest.mark.parametrize(
    ("planes", "part"),
    [
        ("z=1:4", np.s_[:, 1:4]),
        ("t=1,z=2:", np.s_[1:2, 2:]),
        ("z = 5", np.s_[:, 5:6]),
        ("z=:2", np.s_[:, :2]),
    ],
)
def test_planes_are_those_of_numpy(file, planes, part):
    source = open_source(file, planes=planes)
    np.testing.assert_array_equal(read(source), PIXELS[part])


def test_a_region_stays_where_it_lies_in_the_world(file):
    whole = open_source(file).spec.axes
    source = open_source(file, planes="z=2:4", region="5:25,10:40", channels=[1])
    np.testing.assert_array_equal(read(source), PIXELS[:, 2:4, 1:, 5:25, 10:40])
    axes = source.spec.axes
    for name, first in (("z", 2), ("y", 5), ("x", 10)):
        assert axes[name].translate == pytest.approx(
            whole[name].translate + first * whole[name].scale
        )


def test_a_name_is_needed_only_where_two_axes_have_planes(file):
    assert open_source(PIXELS[0, :, 0], planes="3:5").spec.axes.shape == (2, 30, 40)
    with pytest.raises(SettingsError, match="name none of the axes t and z") as error:
        open_source(file, planes="3:5")
    open_source(file, planes="t=0:2,z=0:5")  # the example of the sentence
    assert "t=0:5,z=0:5" in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ({"planes": "z=4:9"}, "give a part of 0:6"),
        ({"planes": "z=3:3"}, "is empty"),
        ({"planes": "z=a"}, "such as 3:10"),
        ({"planes": "z=0,z=1"}, "twice"),
        ({"planes": "c=0"}, "none of the axes"),
        ({"region": "0:10"}, "rows and columns"),
        ({"region": "0:10,30:50"}, "give a part of 0:40"),
    ],
)
def test_what_is_no_part_is_refused_in_words(file, text, words):
    with pytest.raises(SettingsError, match=words):
        open_source(file, **text)


def test_a_plane_has_no_planes_to_choose_from():
    with pytest.raises(SettingsError, match="leave them out"):
        open_source(PIXELS[0, 0, 0], planes="2")


def test_an_opened_source_has_parts_too(file):
    source = open_source(file, channels=[1])
    part = open_source(source, planes="t=0", region="0:9,0:9")
    again = open_source(part.origin, **part.options)
    np.testing.assert_array_equal(read(part), PIXELS[:1, :, 1:, :9, :9])
    np.testing.assert_array_equal(read(part), read(again))
    assert open_source(source) is source


def test_upscaling_a_part_is_upscaling_the_cut_array(file, tmp_path):
    options = {"model": "bicubic", "device": "cpu", "precision": "float32"}
    cut = PIXELS[0, 1:3, :, 4:24, 8:38]
    found = sr.upscale(
        PIXELS[0], axes="zcyx", planes="z=1:3", region="4:24,8:38", **options
    )
    np.testing.assert_array_equal(found, sr.upscale(cut, axes="zcyx", **options))
    path = sr.upscale(
        file, tmp_path / "part.zarr", planes="t=0,z=1:3", region="4:24,8:38", **options
    )
    record = read_zarr_record(path)[1]
    again = open_source(file, **json.loads(json.dumps(record.source["options"])))
    np.testing.assert_array_equal(read(again), cut[None])
    assert "--planes t=0,z=1:3 --region 4:24,8:38" in record.command()


def test_a_part_of_a_part_is_refused_in_words(file):
    part = open_source(file, planes="t=0")
    with pytest.raises(SettingsError, match="opened with planes already"):
        open_source(part, planes="z=0")


def test_a_lazy_image_is_indexed_instead():
    with pytest.raises(SettingsError, match="leave the part out, and index"):
        sr.lazy_upscale(PIXELS[0, :, 0], model="bicubic", region="0:9,0:9")
    lazy = sr.lazy_upscale(PIXELS[0, :, 0], model="bicubic", axes="zyx")
    assert lazy[2, :18, :18].shape == (18, 18)
