"""Plates at addresses: read whole, looked at, and written as a plate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from test_remote_writing import list_objects, list_states, read_files, stop_after
from typer.testing import CliRunner

import napari_structsr as sr
from conftest import read_all
from napari_structsr.cli import app
from napari_structsr.errors import SinkError, SourceError
from napari_structsr.io.ome_zarr.image_writer import write_image
from napari_structsr.io.ome_zarr.plate_mosaic import PlateMosaic
from napari_structsr.io.open import list_names, open_source
from napari_structsr.io.remote.place import find_place

OPTIONS = {"model": "bilinear", "device": "cpu", "progress": False}
FIELDS = ("A/1/0", "A/1/1", "B/2/0", "B/2/1")


@pytest.fixture(scope="module")
def plate(tmp_path_factory):
    """Return a plate of two wells with two fields each."""
    path = tmp_path_factory.mktemp("plates") / "p.zarr"
    rng = np.random.default_rng(3)
    root = zarr.open_group(path, mode="w", zarr_format=3)
    wells = [
        {"path": f"{row}/{column}", "rowIndex": n, "columnIndex": n}
        for n, (row, column) in enumerate(("A1", "B2"))
    ]
    layout = {
        "columns": [{"name": "1"}, {"name": "2"}],
        "rows": [{"name": "A"}, {"name": "B"}],
        "wells": wells,
        "name": "p",
    }
    root.attrs["ome"] = {"version": "0.5", "plate": layout}
    for well in wells:
        images = {"images": [{"path": "0"}, {"path": "1"}]}
        group = root.require_group(well["path"])
        group.attrs["ome"] = {"version": "0.5", "well": images}
        for field in ("0", "1"):
            pixels = rng.integers(0, 4000, (20, 24), np.uint16)
            place = path / well["path"] / field
            write_image(open_source(pixels), place.with_name(f"{field}.zarr"))
            place.with_name(f"{field}.zarr").rename(place)
    return path


@pytest.fixture
def near(plate, tmp_path):
    """Return the plate, upscaled by a local run."""
    return sr.upscale(plate, tmp_path / "near.zarr", **OPTIONS)


def put(fs, plate):
    fs.put(str(plate), "/p.zarr", recursive=True)
    return "memory://p.zarr"


def fields_of(path):
    return [read_all(open_source(path, series=field)) for field in FIELDS]


def test_a_plate_at_an_address_is_upscaled_whole_by_a_script(memory, plate, near):
    out = sr.upscale(put(memory[0], plate), near.with_name("far.zarr"), **OPTIONS)
    assert list_names(str(out)) == FIELDS
    np.testing.assert_array_equal(fields_of(out), fields_of(near))


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_a_plate_is_written_to_an_address(bucket, plate, near, version):
    fs, address = bucket
    out = f"{address}/out.zarr"
    words = ["--model", "bilinear", "--device", "cpu", "--ome-version", version]
    done = CliRunner().invoke(app, ["upscale", str(plate), out, *words])
    assert done.exit_code == 0, done.output
    assert f"wrote {out}" in done.output
    local = near.with_name("again.zarr")
    done = CliRunner().invoke(app, ["upscale", str(plate), str(local), *words])
    assert done.exit_code == 0, done.output
    assert list_objects(fs, out) == read_files(local)
    assert list_states() == []
    again = CliRunner().invoke(app, ["upscale", str(plate), out, *words])
    assert again.exit_code == 1
    assert "exists already" in again.stderr
    over = CliRunner().invoke(app, ["upscale", str(plate), out, *words, "--overwrite"])
    assert over.exit_code == 0, over.output
    assert list_objects(fs, out) == read_files(local)


def test_a_plate_that_was_interrupted_goes_on(memory, plate, near):
    fs, out = memory[0], "memory://out.zarr"
    with pytest.MonkeyPatch.context() as patch:
        # the first field is whole, and the network breaks in the second
        done = stop_after(patch, 1)
        with pytest.raises(sr.BatchError, match="pulled"):
            sr.upscale(plate, out, **OPTIONS)
        first = done[0]
    with pytest.raises(SourceError, match="unfinished"):
        open_source(out, series="A/1/0")
    before = dict(fs.store)
    assert sr.upscale(plate, out, **OPTIONS) == out
    # what was there is kept
    kept = f"/out.zarr/A/1/0/{first}"
    assert fs.store[kept] is before[kept]
    assert list_objects(fs, out) == read_files(near)
    assert list_states() == []


def test_what_is_in_the_way_of_a_plate_stays(memory, plate):
    fs = memory[0]
    fs.pipe_file("/mine.zarr/letter.txt", b"dear")
    with pytest.raises(SinkError, match=r"no zarr group.*choose another name"):
        sr.upscale(plate, "memory://mine.zarr", overwrite=True, **OPTIONS)
    address = put(fs, plate)
    with pytest.raises(SinkError, match="the plate itself"):
        sr.upscale(address, address, overwrite=True, **OPTIONS)
    with pytest.raises(SinkError, match="can be read and not be written"):
        sr.upscale(plate, "https://host/out.zarr", **OPTIONS)
    assert fs.cat_file("/mine.zarr/letter.txt") == b"dear"
    assert list_names(address) == FIELDS


def test_a_plate_on_the_web_is_looked_at(web, plate):
    folder, address, _ = web
    (folder / "p.zarr").symlink_to(plate)
    found = PlateMosaic(find_place(f"{address}/p.zarr"))
    expected = PlateMosaic(Path(plate))
    assert found.spec == expected.spec
    np.testing.assert_array_equal(read_all(found), read_all(expected))
