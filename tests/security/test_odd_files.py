"""Files of strangers, by family: each is read, or refused in one sentence."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from benchmarks.faults_campaign.fuzz import READERS
from benchmarks.faults_campaign.odd_files import (
    ODD_BYTES,
    ODD_VALUES,
    find_fault,
    make_odd_zips,
)
from napari_structsr.cli import app
from napari_structsr.errors import (
    ModelError,
    SourceError,
    StructsrError,
    TrainingError,
    blame_file,
)
from napari_structsr.io.open import open_source
from napari_structsr.io.records import read_record
from napari_structsr.io.weights import read_card
from napari_structsr.models.card import ModelCard
from napari_structsr.training.recipe import read_recipe
from napari_structsr.zoo.catalogue import list_models
from napari_structsr.zoo.shipped import WEIGHTS
from napari_structsr.zoo.user_models import export_model, find_user_folder, import_model

TRIES = 12


def structsr(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(
        result.exception
    )
    return result


def refused(*words):
    result = structsr(*words)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    return " ".join(result.stderr.split())


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Make the whole file of a family once."""
    made = {}

    def make(family):
        if family.name not in made:
            folder = tmp_path_factory.mktemp("whole") / "files"
            made[family.name] = folder, family.prepare(folder)
        return made[family.name]

    return make


# a file may well warn; here it must not break what reads it
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", READERS.values(), ids=lambda family: family.name)
def test_whole_files_are_read_and_changed_ones_read_or_refused(
    family, whole, tmp_path, caplog
):
    folder, opened = whole(family)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert find_fault(family.read, copy / opened.relative_to(folder)) is None
    for seed in range(TRIES):
        chance = random.Random(f"{family.name} {seed}")
        path = family.change(folder, tmp_path / "odd", chance)
        fault = find_fault(family.read, path)
        assert fault is None, f"{family.name} {seed}: {fault!r}"


ZARRS = ["zarr.json", ".zattrs"]
IMAGES = {"zarr.json": "ome-zarr 0.5", ".zattrs": "ome-zarr 0.4"}


@pytest.mark.parametrize("name", ZARRS)
@pytest.mark.parametrize("text", ODD_BYTES, ids=lambda text: repr(text[:6]))
def test_info_answers_to_any_text_in_the_place_of_metadata(whole, tmp_path, name, text):
    _, opened = whole(READERS[IMAGES[name]])
    path = tmp_path / opened.name
    shutil.copytree(opened, path)
    (path / name).write_bytes(text)
    result = structsr("info", path)
    assert result.exit_code in (0, 1)


@pytest.mark.parametrize("entry", ["record", "status", "window", "scale", "axes"])
def test_info_answers_to_any_value_in_zarr_metadata(whole, tmp_path, entry):
    _, opened = whole(READERS["ome-zarr 0.5"])
    path = tmp_path / opened.name
    shutil.copytree(opened, path)
    before = (path / "zarr.json").read_text()
    for value in ODD_VALUES:
        tree = json.loads(before)
        ome = tree["attributes"]["ome"]
        places = {
            "record": (tree["attributes"]["structsr"], "record"),
            "status": (tree["attributes"]["structsr"], "status"),
            "window": (ome["omero"]["channels"][0], "window"),
            "scale": (
                ome["multiscales"][0]["datasets"][0]["coordinateTransformations"][0],
                "scale",
            ),
            "axes": (ome["multiscales"][0], "axes"),
        }
        parent, key = places[entry]
        parent[key] = value
        if entry == "window":
            parent[key] = {"start": value, "end": value, "min": 0, "max": 1}
        (path / "zarr.json").write_bytes(
            json.dumps(tree).encode("utf-8", "surrogatepass")
        )
        assert structsr("info", path).exit_code in (0, 1)


def test_a_window_beyond_all_numbers_is_left_out(whole, tmp_path):
    _, opened = whole(READERS["ome-zarr 0.5"])
    path = tmp_path / "a.ome.zarr"
    shutil.copytree(opened, path)
    tree = json.loads((path / "zarr.json").read_text())
    window = {"start": 0, "end": 10**400, "min": 0, "max": 1}
    for channel in tree["attributes"]["ome"]["omero"]["channels"]:
        channel["window"] = window
    (path / "zarr.json").write_text(json.dumps(tree))
    assert all(channel.window is None for channel in open_source(path).spec.channels)


MODEL = {"name": "a", "factor": 2}
SOURCE = {"origin": "a.tif", "axes": "yx", "shape": [4, 4], "options": {}}


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("source", 3),
        ("source", {"origin": "a.tif"}),
        ("source", SOURCE | {"origin": 3}),
        ("source", SOURCE | {"shape": 3}),
        ("source", SOURCE | {"options": {"image": "b.tif"}}),
        ("source", SOURCE | {"options": {"channels": 3}}),
        ("source", SOURCE | {"options": {"channels": [[]]}}),
        ("fingerprint", []),
        ("model", {"name": None, "factor": 2}),
        ("model", MODEL | {"factor": "2"}),
        ("model", MODEL | {"sha256": []}),
        ("model", MODEL | {"sharpness": "b"}),
        ("model", MODEL | {"psf_sigma": float("inf")}),
        ("model", MODEL | {"optics": 3}),
        ("model", MODEL | {"optics": [{"psf_sigma": 1.0}]}),
        ("model", MODEL | {"optics": [{"psf_sigma": "a", "noise": 0.1}]}),
        ("model", MODEL | {"optics": [{"psf_sigma": None, "noise": 0.1}]}),
        ("settings", []),
        ("intensity", [{"low": "a", "high": 1}]),
        ("intensity", [{"low": float("nan"), "high": 1}]),
        ("least_shares", [None]),
        ("least_shares", 3),
        ("task", "remove"),
        ("surprise", 1),
    ],
)
def test_a_record_of_wrong_kinds_is_refused(whole, tmp_path, entry, value):
    _, opened = whole(READERS["ome-zarr 0.5"])
    path = tmp_path / "a.ome.zarr"
    shutil.copytree(opened, path)
    tree = json.loads((path / "zarr.json").read_text())
    tree["attributes"]["structsr"]["record"][entry] = value
    (path / "zarr.json").write_text(json.dumps(tree))
    with pytest.raises(SourceError, match="record of the run is incomplete"):
        read_record(path)
    assert "record of the run is incomplete" in refused("info", path)


def test_an_inspection_lists_the_widths_of_its_channels(whole, tmp_path):
    _, opened = whole(READERS["ome-zarr 0.5"])
    path = tmp_path / "a.ome.zarr"
    shutil.copytree(opened, path)
    tree = json.loads((path / "zarr.json").read_text())
    record = tree["attributes"]["structsr"]["record"]
    record |= {"task": "inspect", "model": MODEL | {"psf_sigma": [0.8, 1.1]}}
    (path / "zarr.json").write_text(json.dumps(tree))
    _, found = read_record(path)
    assert found.model["psf_sigma"] == [0.8, 1.1]


@pytest.mark.parametrize(
    "xml",
    ["<OME", "<OME>\x00</OME>", "<OME><Image><Pixels/></Image></OME>", "<OME/>"],
)
def test_broken_ome_xml_is_refused_or_left_out(tmp_path, xml):
    path = tmp_path / "a.ome.tif"
    pixels = np.zeros((32, 32), "u1")
    # tifffile takes a description that ends as OME-XML for it
    end = b"" if xml.endswith("OME/>") else b"</OME>"
    tifffile.imwrite(path, pixels, description=xml.encode() + end, metadata=None)
    assert structsr("info", path).exit_code in (0, 1)


def test_a_tiff_without_rows_in_its_strips_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((32, 32), "u1"), rowsperstrip=8, compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["RowsPerStrip"].overwrite(0)
    assert "is damaged or no image" in refused("info", path)


def test_a_tiff_that_names_more_samples_than_it_has_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    pixels = np.zeros((3, 32, 32), "u1")
    tifffile.imwrite(
        path, pixels, photometric="rgb", planarconfig="separate", compression="zlib"
    )
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["SamplesPerPixel"].overwrite(65535)
    assert "that its size asks for" in refused("info", path)


def test_the_home_of_nobody_is_no_place():
    assert "does not exist; check the path" in refused("info", "~nobody-here/x.tif")
    assert refused("upscale", "~nobody-here/x.tif", "out.ome.zarr")


def test_no_card_breaks_the_list_of_models(tmp_path, monkeypatch):
    monkeypatch.setenv("STRUCTSR_MODELS", str(tmp_path))
    for number, text in enumerate(ODD_BYTES):
        (tmp_path / f"odd{number}-x2.json").write_bytes(text)
    assert list_models()[0].name == "faithful"
    assert structsr("models").exit_code == 0


@pytest.fixture
def exported(tmp_path, monkeypatch, whole):
    _, opened = whole(READERS["card"])
    monkeypatch.setenv("STRUCTSR_MODELS", str(opened.parent))
    path = export_model("mine", tmp_path / "mine.zip", factor=2)
    monkeypatch.setenv("STRUCTSR_MODELS", str(tmp_path / "models"))
    return path


ODD_ZIPS = [
    "encrypted",
    "method",
    "sum",
    "deflated",
    "twice",
    "bomb",
    "link",
    "cut0",
    "cut1",
    "cut2",
]


def test_odd_zips_are_refused_and_leave_nothing(exported, tmp_path):
    (tmp_path / "odd").mkdir()
    zips = dict(make_odd_zips(exported, tmp_path / "odd"))
    there = sorted(tmp_path.rglob("*"))
    for name in ODD_ZIPS:
        with pytest.raises(ModelError, match=str(tmp_path)):
            import_model(zips.pop(name))
    assert sorted(tmp_path.rglob("*")) == there
    # names in a zip are not looked at: what they lead to is not written
    for name, path in zips.items():
        assert import_model(path, replace=True).name == "mine", name
    assert {path.name for path in find_user_folder().iterdir()} == {
        "mine-x2.json",
        "mine-x2.safetensors",
    }
    assert not Path("/tmp/evil").exists()


def test_a_small_zip_that_unpacks_to_much_is_refused(exported, tmp_path):
    with zipfile.ZipFile(exported) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            whole = name.endswith(".json")
            archive.writestr(name, data if whole else bytes(16 << 20))
    with pytest.raises(ModelError, match="too large for a model"):
        import_model(path)


def test_a_full_disk_is_told_where_a_model_is_taken_up(exported, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", fail)
    with pytest.raises(ModelError, match=r"No space left .* make room"):
        import_model(exported)
    monkeypatch.undo()


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes there")
def test_names_that_are_no_text_are_shown_and_refused(tmp_path):
    path = os.fsencode(tmp_path / "a") + b"\xff.tif"
    with open(path, "wb") as file:
        file.write(b"II*\0 nothing")
    words = [sys.executable, "-m", "napari_structsr.cli", "info"]
    found = subprocess.run([*words, path], capture_output=True, check=False)
    assert found.returncode == 1
    assert b"Traceback" not in found.stderr
    assert found.stderr.splitlines()[-1].startswith(b"error: ")


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("integer division"),
        RecursionError("maximum recursion depth exceeded"),
        OverflowError("too large"),
        KeyError("scale"),
        AssertionError(),
        NotImplementedError("that compression method"),
        SyntaxError("not well-formed"),
        OSError(5, "Input/output error"),
    ],
)
def test_whatever_a_reader_raises_names_the_file(error):
    with (
        pytest.raises(TrainingError, match=r"^a\.x cannot be read as a y \(.+\); z$"),
        blame_file("a.x", TrainingError, what="a y", remedy="z"),
    ):
        raise error


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError(28, "No space left"), SourceError("itself")]
)
def test_a_file_is_not_blamed_for_what_the_machine_lacks(error):
    with (
        pytest.raises(type(error)) as found,
        blame_file("a.x", TrainingError, what="a y", remedy="z"),
    ):
        raise error
    assert found.value is error


def test_a_fault_of_the_program_is_no_refusal():
    def broken(path):
        raise IndexError("of ours")

    assert isinstance(find_fault(broken, None), IndexError)
    assert find_fault(lambda path: (_ for _ in ()).throw(StructsrError()), None) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--megapixels", "inf"], "megapixels"),
        (["--megapixels", "nan"], "megapixels"),
        (["--megapixels", "1e300"], "megapixels"),
        (["--seed", "100000000000000000000"], "seed"),
        (["--seed", "-1"], "seed"),
        (["--batch", "1000000000000"], "batch"),
        (["--minutes", "inf"], "minutes"),
        (["--minutes", "nan"], "minutes"),
    ],
)
def test_numbers_without_end_are_refused_on_the_command_line(tmp_path, words, said):
    text = refused(
        "train", "faithful-x2", "--data", tmp_path, "--out", tmp_path / "o", *words
    )
    assert said in text
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    "entry",
    [
        "seed = 100000000000000000000",
        "rate = inf",
        "megapixels = nan",
        "batch = 1000000000000",
        "patch = 100000000",
        "network.options = { width = 8, blocks = 1000000000 }",
        "[data]\nphotons = [1.0, inf]",
        "[data]\npsf_sigma = [0.1, 1e6]",
        "[adversary]\nwidth = 1000000000",
    ],
)
def test_a_recipe_asks_for_no_more_than_there_can_be(tmp_path, entry):
    path = tmp_path / "mine.toml"
    path.write_text(f'name = "mine"\n{entry}\n')
    said = re.findall(r"(\w+) =", entry)[-1]
    with pytest.raises(TrainingError, match=re.escape(said)):
        read_recipe(str(path))


def test_a_card_of_endless_blocks_is_refused_before_a_network_is_made():
    card = read_card(WEIGHTS / "faithful-x2")
    card["options"] = {"width": 32, "blocks": 10**9}
    with pytest.raises(ModelError, match=r"options\.blocks: .*less than"):
        ModelCard.parse(card, origin="mine")


@pytest.mark.parametrize("plane", [[99], [0, 99], [0], [0, 0, 0]])
def test_a_plane_that_is_not_there_is_named(tmp_path, plane):
    pixels = np.random.default_rng(0).integers(0, 999, (2, 3, 64, 64)).astype("u2")
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, metadata={"axes": "CZYX"})
    entries = {"name": "mine", "pairs": [{"high": "a.ome.tif", "plane": plane}]}
    (tmp_path / "t.json").write_text(json.dumps(entries))
    text = refused("finetune", tmp_path / "t.json", "--out", tmp_path / "run")
    assert f"a has no plane {plane}" in text
    assert "c 0 to 1 and z 0 to 2" in text
