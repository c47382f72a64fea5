"""Files that hold several images: each of them listed, chosen and named."""

import json

import numpy as np
import pytest
import tifffile
import zarr
from typer.testing import CliRunner
from yaozarrs import v04

from napari_structsr.cli import app
from napari_structsr.core.axes import Axis
from napari_structsr.errors import SettingsError, SourceError
from napari_structsr.io.open import list_images, list_names, open_source
from napari_structsr.io.records import read_record


@pytest.fixture
def fields(rng):
    """Return three images that differ in size and type."""
    return [
        rng.integers(0, 250, (3, 32, 40), np.uint8),
        rng.integers(0, 4000, (24, 48), np.uint16),
        rng.integers(0, 4000, (2, 24, 32), np.uint16),
    ]


@pytest.fixture
def ome_tiff(tmp_path, fields):
    """Write an OME-TIFF of three series, as tifffile does."""
    path = tmp_path / "cells.ome.tif"
    axes = ("ZYX", "YX", "CYX")
    with tifffile.TiffWriter(path, ome=True) as file:
        for number, (pixels, names) in enumerate(zip(fields, axes, strict=True)):
            meta = {
                "axes": names,
                "Name": f"field {number}",
                "PhysicalSizeX": 0.1 * (number + 1),
                "PhysicalSizeXUnit": "µm",
                "PhysicalSizeY": 0.2 * (number + 1),
            }
            if names[0] == "C":
                meta["Channel"] = {"Name": ["DAPI", "GFP"]}
            file.write(pixels, metadata=meta, photometric="minisblack")
    return path


def write_image(group, pixels, size):
    """Write a group as an OME-Zarr image of 0.4, and return nothing of it."""
    names = "czyx"[-pixels.ndim :]
    kinds = ["channel" if name == "c" else "space" for name in names]
    scale = {"type": "scale", "scale": [1.0] * (pixels.ndim - 2) + [size] * 2}
    group.create_array("0", data=pixels)
    image = {
        "version": "0.4",
        "axes": [
            {"name": name, "type": kind}
            | ({"unit": "micrometer"} if kind == "space" else {})
            for name, kind in zip(names, kinds, strict=True)
        ],
        "datasets": [{"path": "0", "coordinateTransformations": [scale]}],
    }
    group.attrs["multiscales"] = [image]
    v04.Image.model_validate(dict(group.attrs))


@pytest.fixture
def bf2raw(tmp_path, fields):
    """Write three images into one zarr, as bioformats2raw lays them out."""
    path = tmp_path / "cells.zarr"
    root = zarr.create_group(
        path, zarr_format=2, attributes={"bioformats2raw.layout": 3}
    )
    for number, pixels in enumerate(fields):
        write_image(root.create_group(str(number)), pixels, 0.1 * (number + 1))
    root.create_group("OME", attributes={"series": ["0", "1", "2"]})
    return path


def test_every_series_of_a_tiff_is_read_as_tifffile_does(ome_tiff, whole):
    for number in range(3):
        source = open_source(ome_tiff, series=number)
        expected = tifffile.imread(ome_tiff, series=number)
        assert source.spec.dtype == expected.dtype
        assert (whole(source).squeeze() == expected).all()
        size = pytest.approx(0.1 * (number + 1))
        assert source.spec.axes["x"].scale == size
        assert source.spec.axes["y"].scale == pytest.approx(0.2 * (number + 1))
        assert source.spec.name == f"cells field {number}"
    assert [c.name for c in source.spec.channels] == ["DAPI", "GFP"]


def test_images_of_a_tiff_are_listed_with_axes_and_pixel_sizes(ome_tiff):
    found = list_images(ome_tiff)
    assert [entry.name for entry in found] == ["field 0", "field 1", "field 2"]
    assert [entry.axes.names for entry in found] == ["zyx", "yx", "cyx"]
    assert [str(entry.dtype) for entry in found] == ["uint8", "uint16", "uint16"]
    assert found[1].axes["x"] == Axis("x", 48, 0.2, 0.0, "micrometer")
    assert open_source(ome_tiff).images == list_names(str(ome_tiff))


@pytest.mark.parametrize("series", [1, "1", "field 1"])
def test_a_series_has_a_number_and_a_name(ome_tiff, fields, whole, series):
    source = open_source(ome_tiff, series=series)
    assert (whole(source)[0] == fields[1]).all()
    # what a record notes opens the same image again
    again = open_source(source.origin, **source.options)
    assert (whole(again) == whole(source)).all()


@pytest.mark.parametrize("series", [3, "3", "-1", -1, "field", ""])
def test_a_series_that_is_not_there_is_refused_with_those_that_are(ome_tiff, series):
    with pytest.raises(SettingsError, match="3 images: 0 field 0, 1 field 1") as error:
        open_source(ome_tiff, series=series)
    assert str(ome_tiff) in str(error.value)


def test_two_images_of_one_name_are_told_apart_by_number(tmp_path, fields, whole):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        for pixels in fields[:2]:
            file.write(pixels, metadata={"Name": "cell"}, photometric="minisblack")
    with pytest.raises(SettingsError, match=r"2 images that are called cell.*series 0"):
        open_source(path, series="cell")
    assert (whole(open_source(path, series=1))[0] == fields[1]).all()


def test_pages_of_different_sizes_are_images_of_their_own(tmp_path, fields, whole):
    path = tmp_path / "mixed.tif"
    with tifffile.TiffWriter(path) as file:
        for pixels in fields[:2]:
            file.write(pixels, photometric="minisblack", metadata=None)
    assert list_names(str(path)) == ("0", "1")
    assert (whole(open_source(path, series=1))[0] == fields[1]).all()


def test_what_is_one_image_has_the_number_0(tmp_path, fields, whole):
    path = tmp_path / "a.npy.tif"
    tifffile.imwrite(path, fields[1])
    for image in (path, fields[1]):
        assert (whole(open_source(image, series=0))[0] == fields[1]).all()
        with pytest.raises(SettingsError, match="one image"):
            open_source(image, series=1)


def test_images_of_bioformats2raw(bf2raw, fields, whole):
    assert list_names(str(bf2raw)) == ("0", "1", "2")
    for number, pixels in enumerate(fields):
        source = open_source(bf2raw, series=number)
        assert (whole(source).squeeze() == pixels).all()
        assert source.spec.axes["x"].scale == pytest.approx(0.1 * (number + 1))
        assert source.spec.name == f"cells {number}"
        # its own path opens the very same image
        assert source.origin == str(bf2raw / str(number))
        assert "series" not in source.options
        assert (whole(open_source(source.origin)) == whole(source)).all()


def test_images_of_bioformats2raw_without_a_list_are_in_natural_order(tmp_path, rng):
    root = zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
    for number in range(11):
        pixels = rng.integers(0, 9, (4, 4), np.uint8)
        write_image(root.create_group(str(number)), pixels, 1.0)
    root.create_group("notes")
    assert list_names(str(tmp_path / "a.zarr"))[9:] == ("9", "10")


def test_several_multiscales_of_one_group(tmp_path, fields, whole):
    path = tmp_path / "a.zarr"
    group = zarr.create_group(path, zarr_format=2)
    write_image(group, fields[1], 0.5)
    group.create_array("second", data=fields[1][::2, ::2])
    first = group.attrs["multiscales"][0]
    scale = [{"type": "scale", "scale": [1.0, 1.0]}]
    second = {"path": "second", "coordinateTransformations": scale}
    group.attrs["multiscales"] = [first, {**first, "name": "b", "datasets": [second]}]
    assert list_names(str(path)) == ("0", "b")
    source = open_source(path, series="b")
    assert (whole(source)[0] == fields[1][::2, ::2]).all()
    again = open_source(source.origin, **source.options)
    assert again.spec == source.spec


def test_an_image_that_cannot_be_upscaled_does_not_hide_the_others(tmp_path, fields):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(fields[0][0, :1], photometric="minisblack", metadata=None)
        file.write(fields[1], photometric="minisblack", metadata=None)
    first, second = list_images(path)
    assert "holds no image" in first.fault
    assert first.axes is None
    assert second.axes.shape == (24, 48)


def test_info_lists_all_and_shows_one(ome_tiff):
    found = CliRunner().invoke(app, ["info", str(ome_tiff)])
    for words in ("field 1", "24 x 48", "uint8", "0.4 micrometer", "--series"):
        assert words in found.output, found.output
    found = CliRunner().invoke(app, ["info", str(ome_tiff), "--series", "field 1"])
    assert "48" in found.output
    assert "field 2" not in found.output


def test_upscale_says_which_image_it_takes_and_takes_the_one_that_is_named(
    ome_tiff, fields, tmp_path
):
    out = tmp_path / "out.ome.zarr"
    words = ["upscale", str(ome_tiff), str(out), "--model", "bicubic"]
    found = CliRunner().invoke(app, [*words, "--dry-run"])
    assert "holds 3 images; the first, field 0, is taken" in found.output
    assert "--series" in found.output
    found = CliRunner().invoke(app, [*words, "--series", "2"])
    assert found.exit_code == 0, found.output
    assert "holds 3 images" not in found.output
    assert zarr.open_group(out)["0"].shape == (2, 48, 64)
    record = read_record(out)[1]
    assert "--series 2" in record.command()
    # the record finds the same image again
    maps = ["inspect", str(out), "--out", str(tmp_path / "maps"), "--maps", "residual"]
    found = CliRunner().invoke(app, maps)
    assert found.exit_code == 0, found.output
    given = ["--source", str(ome_tiff), "--series", "field 2"]
    found = CliRunner().invoke(app, [*maps, *given, "--overwrite"])
    assert found.exit_code == 0, found.output


def test_a_list_of_images_that_leads_out_of_the_zarr_is_refused(tmp_path):
    path = tmp_path / "plate.zarr"
    plate = {"version": "0.4", "wells": [{"path": "../B"}]}
    zarr.create_group(path, zarr_format=2, attributes={"plate": plate})
    for listed in ({"wells": [{"path": "../B"}]}, {"wells": []}, {"wells": 3}, 7):
        text = json.dumps({"plate": listed})
        (path / ".zattrs").write_text(text)
        with pytest.raises(SourceError):
            open_source(path)
