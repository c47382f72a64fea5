"""OME-Zarr as others read it: ome-zarr-py and yaozarrs are the oracles."""

import os
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import yaozarrs
import zarr
from skimage.measure import block_reduce

from napari_structsr import (
    OmeZarrSink,
    UpscaleSettings,
    iter_upscale,
    load_model,
    open_source,
    result_of,
)
from napari_structsr.core.axes import Axes, Axis, Channel, ImageSpec
from napari_structsr.errors import SinkError, SourceError
from napari_structsr.io.arrays import ArraySource
from napari_structsr.io.ome_zarr.chunk_store import halve
from napari_structsr.io.ome_zarr.journal import JOURNAL
from napari_structsr.io.ome_zarr.layout import make_pyramid_axes
from napari_structsr.io.records import read_record

BICUBIC = load_model("bicubic", factor=2)
PLAIN = UpscaleSettings(agreement="off", device="cpu")


def calibrated(pixels, names, channels=()):
    scale = {"z": 0.5, "y": 0.13, "x": 0.11, "t": 2.0, "c": 1.0}
    unit = {"z": "micrometer", "y": "micrometer", "x": "micrometer", "t": "second"}
    axes = Axes(
        tuple(
            Axis(n, size, scale[n], 7.5 if n in "zyx" else 0.0, unit.get(n))
            for n, size in zip(names, pixels.shape, strict=True)
        )
    )
    spec = ImageSpec("cells", axes, pixels.dtype, channels)
    return ArraySource(pixels, spec, names=names, origin="test")


def write(source, path, **options):
    sink = OmeZarrSink(path, **options)
    return result_of(iter_upscale(source, BICUBIC, sink, settings=PLAIN))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_other_readers_find_calibration_channels_and_pyramid(stack, tmp_path, version):
    channels = (
        Channel("DAPI", "0000FF", (500.0, 9000.0)),
        Channel("GFP", "00FF00", (400.0, 8000.0)),
    )
    stack = stack.repeat(3, axis=2).repeat(3, axis=3)
    path = write(
        calibrated(stack, "czyx", channels), tmp_path / "a.ome.zarr", version=version
    )
    yaozarrs.validate_zarr_store(str(path))

    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    (node,) = list(Reader(parse_url(path))())
    assert [axis["name"] for axis in node.metadata["axes"]] == list("czyx")
    assert [axis.get("unit") for axis in node.metadata["axes"]][1:] == [
        "micrometer"
    ] * 3
    assert node.metadata["channel_names"] == ["DAPI", "GFP"]
    assert node.metadata["contrast_limits"] == [[500, 9000], [400, 8000]]
    finest = node.metadata["coordinateTransformations"][0]
    assert finest[0]["scale"] == pytest.approx([1, 0.5, 0.065, 0.055])
    # the bead in the middle of coarse pixel (20, 30) is the mean of four fine ones
    for axis, pixel in ((2, 20), (3, 30)):
        size, shift = finest[0]["scale"][axis], finest[1]["translation"][axis]
        fine = shift + size * (2 * pixel + 0.5)
        coarse = 7.5 + 2 * size * pixel
        assert fine == pytest.approx(coarse, abs=1e-9)
    assert [level.shape for level in node.data] == [
        (2, 2, 576, 672),
        (2, 2, 288, 336),
        (2, 2, 144, 168),
    ]
    fine, coarse = (np.asarray(level) for level in node.data[:2])
    expected = block_reduce(fine, (1, 1, 2, 2), np.mean)
    np.testing.assert_allclose(coarse, expected, atol=0.5)


def test_our_own_reader_gets_everything_back(stack, tmp_path):
    channels = (
        Channel("DAPI", "0000FF", (1.0, 9.0)),
        Channel("b", "FF00FF", (0.0, 4.0)),
    )
    source = calibrated(stack, "czyx", channels)
    path = write(source, tmp_path / "a.ome.zarr")
    again = open_source(path).spec
    expected = source.spec.upscale(2)
    assert again.channels == expected.channels
    for found, wanted in zip(again.axes.items, expected.axes.items, strict=True):
        assert found.scale == pytest.approx(wanted.scale)
        assert found.translate == pytest.approx(wanted.translate)
        assert (found.name, found.size, found.unit) == (
            wanted.name,
            wanted.size,
            wanted.unit,
        )


def test_colour_becomes_three_named_channels(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    path = write(open_source(rgb), tmp_path / "a.ome.zarr")
    spec = open_source(path).spec
    assert spec.axes.names == "cyx"
    assert [c.color for c in spec.channels] == ["FF0000", "00FF00", "0000FF"]
    alone = write(open_source(rgb[..., 1]), tmp_path / "b.ome.zarr")
    np.testing.assert_array_equal(
        zarr.open_array(path / "0")[1], zarr.open_array(alone / "0")[:]
    )


def test_colour_with_channels_is_refused_with_a_remedy(tmp_path):
    pixels = np.zeros((2, 40, 50, 3), np.uint8)
    source = open_source(pixels, axes="cyxs")
    with pytest.raises(SinkError, match="--channels"):
        write(source, tmp_path / "a.ome.zarr")
    assert list(tmp_path.iterdir()) == []


def test_shards_save_files_and_hold_the_same_pixels(stack, tmp_path):
    source = open_source(stack, axes="czyx")
    many = write(source, tmp_path / "a.ome.zarr", chunk=32, shard=32)
    few = write(source, tmp_path / "b.ome.zarr", chunk=32, shard=128)

    def files(path):
        return sum(file.is_file() for file in path.rglob("*"))

    assert files(few) < files(many) / 3
    np.testing.assert_array_equal(
        zarr.open_array(few / "0")[:], zarr.open_array(many / "0")[:]
    )


@pytest.mark.parametrize("shape", [(600, 401), (257, 1), (5, 7)])
def test_pyramid_keeps_edges_and_rounds_up(shape):
    levels = make_pyramid_axes(
        Axes((Axis("y", shape[0], 0.2, 3.0), Axis("x", shape[1])))
    )
    for fine, coarse in pairwise(levels):
        for name in "yx":
            assert coarse[name].size == -(-fine[name].size // 2)
            assert coarse[name].scale == pytest.approx(2 * fine[name].scale)
            edges = [
                axis[name].translate - axis[name].scale / 2 for axis in (fine, coarse)
            ]
            assert edges[0] == pytest.approx(edges[1])
    assert max(levels[-1].plane) <= 256


def test_halving_ignores_holes_and_keeps_the_type():
    pixels = np.array([[1, np.nan, 4], [3, np.nan, 4], [7, 7, np.nan]])
    np.testing.assert_array_equal(halve(pixels), [[2, 4], [7, np.nan]])
    assert halve(np.full((3, 3), 255, np.uint8)).dtype == np.uint8


def test_record_repeats_the_run(stack, tmp_path):
    import tifffile

    image = tmp_path / "my cells.tif"
    tifffile.imwrite(image, stack[0, 0])
    path = tmp_path / "a.ome.zarr"
    result_of(
        iter_upscale(open_source(image), BICUBIC, OmeZarrSink(path), settings=PLAIN)
    )
    status, record = read_record(path)
    assert status == "finished"
    command = record.command("out.ome.zarr")
    assert f"'{image}'" in command
    for words in ("--model bicubic", "--factor 2", "--agreement off", "--device cpu"):
        assert words in command


def test_damaged_record_is_an_error_in_words(stack, tmp_path):
    path = write(open_source(stack, axes="czyx"), tmp_path / "a.ome.zarr")
    group = zarr.open_group(path)
    group.attrs["structsr"] = {"status": "finished", "record": {"source": {}}}
    with pytest.raises(SourceError, match="record"):
        read_record(path)


# what is in the way


@pytest.mark.parametrize("kind", ["file", "folder", "array"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_ome_zarr_is_never_deleted(stack, tmp_path, kind, overwrite):
    path = tmp_path / "a.ome.zarr"
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
        (path / "precious.txt").write_text("precious")
    else:
        zarr.save_array(path, np.arange(5))
        overwrite = False
    before = {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()}
    with pytest.raises(SinkError, match="another name"):
        write(open_source(stack, axes="czyx"), path, overwrite=overwrite)
    after = {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()}
    assert after == before


def test_missing_folder_is_named(stack, tmp_path):
    with pytest.raises(SinkError, match="does not exist"):
        write(open_source(stack, axes="czyx"), tmp_path / "no" / "a.ome.zarr")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write")
def test_closed_folder_is_named(stack, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SinkError, match="permission"):
        write(open_source(stack, axes="czyx"), tmp_path / "a.ome.zarr")


def test_too_little_space_is_refused_before_anything_is_written(
    stack, tmp_path, monkeypatch
):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(SinkError, match="make room"):
        write(open_source(stack, axes="czyx"), tmp_path / "a.ome.zarr")
    assert list(tmp_path.iterdir()) == []


def test_disk_that_fills_up_keeps_what_is_finished(stack, tmp_path, monkeypatch):
    source = open_source(stack, axes="czyx")
    path = tmp_path / "a.ome.zarr"
    fsync, journal = os.fsync, path / JOURNAL

    def full(handle):
        if journal.exists() and journal.read_text().count("\n") > 2:
            raise OSError(28, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr("napari_structsr.io.ome_zarr.journal._SYNC_EVERY", 0)
    with pytest.raises(SinkError, match=r"No space left.*start the same command"):
        write(source, path, chunk=64)
    monkeypatch.undo()
    assert read_record(path)[0] == "partial"
    assert write(source, path, chunk=64) == path
    whole = write(source, tmp_path / "b.ome.zarr", chunk=64)
    np.testing.assert_array_equal(
        zarr.open_array(path / "0")[:], zarr.open_array(whole / "0")[:]
    )


@pytest.mark.parametrize(("chunk", "shard"), [(4, "auto"), (64, 100)])
def test_impossible_chunks_are_refused(tmp_path, chunk, shard):
    with pytest.raises(SinkError, match="multiple"):
        OmeZarrSink(tmp_path / "a.ome.zarr", chunk=chunk, shard=shard)


def test_unknown_units_do_not_reach_the_file(stack, tmp_path):
    source = calibrated(stack, "czyx")
    axes = Axes(tuple(replace(axis, unit=None) for axis in source.spec.axes.items))
    plain = ArraySource(
        stack, replace(source.spec, axes=axes), names="czyx", origin="test"
    )
    path = write(plain, tmp_path / "a.ome.zarr")
    assert all(axis.unit is None for axis in open_source(path).spec.axes.items)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("shard", [32, 64])
def test_dark_regions_are_written_too(tmp_path, version, shard):
    """Zarr leaves out chunks of zeros unless it is told not to."""
    dark = np.zeros((2, 100, 90), np.uint16)
    dark[1, :20, :20] = np.arange(400).reshape(20, 20)
    path = tmp_path / "dark.ome.zarr"
    write(calibrated(dark, "zyx"), path, version=version, chunk=32, shard=shard)
    assert read_record(path)[0] == "finished"
    found = zarr.open_array(path / "0", mode="r")[:]
    assert found.shape == (2, 200, 180)
    assert not found[0].any()
    assert found[1, :40, :40].any()
