"""A plate in, a plate out: valid, whole, resumable, and each field as if alone."""

import shutil

import numpy as np
import pytest
import yaozarrs
import zarr
from typer.testing import CliRunner
from yaozarrs import v04, v05

from napari_structsr.cli import app
from napari_structsr.errors import SettingsError, SourceError
from napari_structsr.io.open import list_images, list_names, open_source

WELLS = ("A/01", "B/03")


@pytest.fixture
def plate(tmp_path, rng):
    """Write a plate of two wells of two fields, as OME-Zarr 0.4."""
    path = tmp_path / "plate.zarr"
    root = zarr.create_group(path, zarr_format=2)
    scale = {"type": "scale", "scale": [1.0, 0.65, 0.65]}
    for well in WELLS:
        group = root.create_group(well)
        for field in "01":
            image = group.create_group(field)
            image.create_array("0", data=rng.integers(0, 4000, (2, 32, 40), np.uint16))
            multiscale = {
                "version": "0.4",
                "axes": [
                    {"name": "c", "type": "channel"},
                    {"name": "y", "type": "space", "unit": "micrometer"},
                    {"name": "x", "type": "space", "unit": "micrometer"},
                ],
                "datasets": [{"path": "0", "coordinateTransformations": [scale]}],
            }
            image.attrs["multiscales"] = [multiscale]
        images = [{"path": field, "acquisition": 7} for field in "01"]
        group.attrs["well"] = {"version": "0.4", "images": images}
    root.attrs["plate"] = {
        "version": "0.4",
        "name": "screen",
        "rows": [{"name": "A"}, {"name": "B"}],
        "columns": [{"name": "01"}, {"name": "03"}],
        "acquisitions": [{"id": 7, "name": "first day"}],
        "field_count": 2,
        "wells": [
            {"path": "A/01", "rowIndex": 0, "columnIndex": 0},
            {"path": "B/03", "rowIndex": 1, "columnIndex": 1},
        ],
    }
    v04.Plate.model_validate(dict(root.attrs))
    return path


def run(*words, code=0):
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exit_code == code, found.output
    return " ".join(found.output.split())


def upscale(plate, out, *words, code=0):
    return run("upscale", plate, out, "--model", "bicubic", *words, code=code)


def test_fields_are_listed_and_opened_by_name(plate):
    names = ("A/01/0", "A/01/1", "B/03/0", "B/03/1")
    assert list_names(str(plate)) == names
    assert {entry.axes.shape for entry in list_images(plate)} == {(2, 32, 40)}
    source = open_source(plate, series="B/03/1")
    assert source.spec.name == "plate B/03/1"
    assert source.spec.axes["x"].unit == "micrometer"
    stored = zarr.open_group(plate)["B/03/1/0"][1]
    assert (source.read((1,), slice(0, 32), slice(0, 40))[0] == stored).all()
    assert "B/03/1" in run("info", plate)
    well = open_source(plate / "B" / "03", series="1")
    assert well.origin == source.origin


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_plate_in_and_a_valid_plate_out(tmp_path, plate, version):
    out = tmp_path / "out.zarr"
    said = upscale(plate, out, "--ome-version", version)
    assert said.count("B/03/1") >= 2  # in its line, and in the table
    yaozarrs.validate_zarr_store(str(out))
    root = zarr.open_group(out, mode="r")
    assert root.metadata.zarr_format == {"0.4": 2, "0.5": 3}[version]
    kind, found = (v04, root.attrs) if version == "0.4" else (v05, root.attrs["ome"])
    layout = kind.Plate.model_validate(dict(found)).plate
    assert layout.name == "screen"
    assert [(well.path, well.rowIndex) for well in layout.wells] == [
        ("A/01", 0),
        ("B/03", 1),
    ]
    assert layout.acquisitions[0].name == "first day"
    assert list_names(str(out)) == list_names(str(plate))
    # each field is what it is when it is upscaled alone
    alone = tmp_path / "alone.ome.zarr"
    upscale(plate, alone, "--series", "B/03/0", "--ome-version", version)
    pixels = zarr.open_group(alone)["0"][:]
    assert (root["B/03/0/0"][:] == pixels).all()
    assert open_source(out, series="B/03/0").spec.axes["x"].scale == 0.325


@pytest.mark.filterwarnings("ignore")  # ngio warns of its own defaults
def test_ngio_reads_what_was_written(tmp_path, plate):
    ngio = pytest.importorskip("ngio")
    upscale(plate, tmp_path / "out.zarr", "--ome-version", "0.4")
    found = ngio.open_ome_zarr_plate(tmp_path / "out.zarr")
    assert sorted(found.rows) == ["A", "B"]
    assert len(found.images_paths()) == 4
    well = found.get_images()["B/03/1"]
    assert well.get_image().shape[-2:] == (64, 80)


def test_the_same_command_goes_on_where_it_was_interrupted(tmp_path, plate):
    out = tmp_path / "out.zarr"
    # a field that cannot be read, the others are done
    chunk = next((plate / "B" / "03" / "0" / "0").rglob("*0*"))
    whole = chunk.read_bytes()
    chunk.write_bytes(b"damaged")
    said = upscale(plate, out, code=1)
    assert "B/03/0: " in said
    # nobody takes it for a plate meanwhile
    with pytest.raises(SourceError, match="unfinished"):
        open_source(out)
    with pytest.raises(SourceError, match="unfinished"):
        open_source(out / "A" / "01" / "0")
    chunk.write_bytes(whole)
    before = (out / "A" / "01" / "0" / "zarr.json").stat().st_mtime_ns
    said = upscale(plate, out)
    assert said.count("was there already") == 3
    assert (out / "A" / "01" / "0" / "zarr.json").stat().st_mtime_ns == before
    yaozarrs.validate_zarr_store(str(out))


def test_what_is_there_is_replaced_on_request_alone(tmp_path, plate):
    out = tmp_path / "out.zarr"
    upscale(plate, out)
    assert "--overwrite" in upscale(plate, out, code=1)
    upscale(plate, out, "--overwrite", "--factor", "4")
    assert zarr.open_group(out)["A/01/0/0"].shape == (2, 128, 160)
    notes = tmp_path / "notes.zarr"
    notes.mkdir()
    (notes / "a.txt").write_text("mine")
    assert "no zarr group" in upscale(plate, notes, "--overwrite", code=1)
    assert (notes / "a.txt").read_text() == "mine"
    assert "the plate itself" in upscale(plate, plate, "--overwrite", code=1)


def test_a_plate_is_no_single_image(tmp_path, plate):
    said = upscale(plate, tmp_path / "out.ome.tif", code=1)
    assert "--series A/01/0" in said
    upscale(plate, tmp_path / "out.ome.tif", "--series", "A/01/0")
    out = tmp_path / "out.zarr"
    upscale(plate, out)
    words = ["inspect", out, "--maps", "residual", "--out", tmp_path / "maps"]
    assert "a plate of 4 fields" in run(*words, code=1)
    run(*words, "--series", "A/01/1")
    assert "A/01/1 ->" in upscale(plate, out, "--dry-run")


def test_wells_that_are_not_there_are_left_out(tmp_path, plate, caplog):
    shutil.rmtree(plate / "A")
    out = tmp_path / "out.zarr"
    upscale(plate, out)
    assert "names the well A/01, which is not there" in caplog.text
    yaozarrs.validate_zarr_store(str(out))
    assert list_names(str(out)) == ("B/03/0", "B/03/1")


def test_a_script_upscales_the_whole_plate_or_says_so(tmp_path, plate):
    import napari_structsr as sr

    def upscale(image=plate, **options):
        return sr.upscale(image, model="bicubic", device="cpu", **options)

    run("upscale", plate, tmp_path / "command.zarr", "--model", "bicubic")
    path = upscale(out=tmp_path / "script.zarr")
    for field in list_names(str(plate)):
        np.testing.assert_array_equal(
            zarr.open_array(path / field / "0")[:],
            zarr.open_array(tmp_path / "command.zarr" / field / "0")[:],
        )
    yaozarrs.validate_zarr_store(path)
    assert upscale(out=f"{tmp_path}/many/").name == "plate-x2.ome.zarr"

    with pytest.raises(SettingsError, match=r"plate of 4 fields.*series='A/01/0'"):
        upscale()
    assert upscale(series="A/01/0").shape == (2, 64, 80)
    with pytest.raises(sr.BatchError, match="upscale the plate by itself"):
        upscale([plate])
