"""Many images in one command, and the manners of the command line."""

import csv
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import zarr
from typer.main import get_command
from typer.testing import CliRunner

from napari_structsr.cli import app
from napari_structsr.cli.examples import EXAMPLES

runner = CliRunner()
FAST = ["--model", "bicubic", "--device", "cpu"]


def structsr(*words):
    return runner.invoke(app, [str(word) for word in words])


@pytest.fixture
def scans(tmp_path, measured):
    """Return a folder of two images, and one of the same name elsewhere."""
    pixels = np.clip(measured * 20000, 0, 65535).astype(np.uint16)
    for folder, name in (("scans", "a"), ("scans", "b"), ("more", "a")):
        (tmp_path / folder).mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / folder / f"{name}.tif", pixels[:40, :48])
    return tmp_path / "scans"


def test_many_images_go_into_a_folder_and_are_kept(scans, tmp_path):
    out = tmp_path / "results"
    words = ["upscale", scans / "a.tif", scans / "b.tif", tmp_path / "more", "--out"]
    first = structsr(*words, out, *FAST)
    assert first.exit_code == 0, first.output
    names = ["scans-a-x2.ome.zarr", "b-x2.ome.zarr", "more-a-x2.ome.zarr"]
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    for name in names:
        assert name in first.stdout
        assert zarr.open_array(out / name / "0").shape[-2:] == (80, 96)
    again = structsr(*words, out, *FAST)
    assert again.exit_code == 0
    assert again.stdout.count("was there already") == 3
    other = structsr(*words, out, *FAST, "--dtype", "float32")
    assert (other.exit_code, other.stderr.count("--overwrite")) == (1, 3)
    assert structsr(*words, out, *FAST, "--overwrite").stdout.count("written") == 3


def test_failures_are_told_last_and_the_others_are_done(scans, tmp_path):
    (scans / "aa.tif").write_bytes(b"no image")
    out = tmp_path / "results"
    found = structsr("upscale", scans, "--out", out, "--format", "tif", *FAST)
    assert found.exit_code == 1
    assert found.stderr.strip().splitlines()[-1].startswith(f"error: {scans}/aa.tif: ")
    assert sorted(path.name for path in out.iterdir()) == [
        "a-x2.ome.tif",
        "b-x2.ome.tif",
    ]
    assert found.stdout.count("failed") == 1


def test_one_image_goes_into_a_folder_that_is_there(scans, tmp_path):
    (tmp_path / "results").mkdir()
    words = ["upscale", scans / "a.tif", tmp_path / "results", *FAST]
    assert structsr(*words, "--dry-run").exit_code == 0
    assert not list((tmp_path / "results").iterdir())
    assert structsr(*words).exit_code == 0
    assert (tmp_path / "results" / "a-x2.ome.zarr").is_dir()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.tif"], "1 word came, where IN and OUT were expected"),
        (["a.tif", "b.tif", "c.tif"], "give --out DIR"),
        (["a.tif", "b.tif", "--out", "c.ome.zarr"], "such as --out results"),
        (["a.tif", "b.tif", "--out", "s3://bucket/c"], "such as --out results"),
        (["a.tif", "https://host/c.ome.zarr"], "can be read and not be written"),
        (["a.tif", "b.tif", "--out", "c", "--format", "png"], "choose --format zarr"),
        (["empty", "--out", "c"], "there is no image in empty"),
    ],
)
def test_what_cannot_be_meant_is_told(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    found = structsr("upscale", *words)
    assert found.exit_code == 1
    assert said in found.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


# for other programs


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


def test_progress_as_json_is_one_object_a_line(scans, tmp_path):
    json_lines = ["--progress", "json"]
    out = tmp_path / "o.ome.zarr"
    found = structsr("upscale", scans / "a.tif", out, *FAST, *json_lines)
    events = lines_of(found.stderr)
    assert events[0] | {"plan": ""} == {
        "event": "started",
        "total": 1,
        "done": 0,
        "plan": "",
    }
    assert {"event": "progress", "done": 1, "total": 1, "doing": "upscaling"} in events
    assert events[-1] == {"event": "finished", "output": str(out)}
    assert found.stdout == f"wrote {out}\n"
    found = structsr("upscale", scans / "a.tif", out, *FAST, *json_lines)
    (failed,) = lines_of(found.stderr)
    assert (failed["event"], failed["error"]) == ("failed", "SinkError")
    assert "--overwrite" in failed["message"]
    (scans / "aa.tif").write_bytes(b"no image")
    words = ["upscale", scans, "--out", tmp_path / "many"]
    found = structsr(*words, *FAST, *json_lines)
    events = lines_of(found.stderr)
    assert events[0] == {
        "event": "image",
        "image": str(scans / "a.tif"),
        "number": 1,
        "of": 3,
    }
    states = [one["state"] for one in events[-1]["images"]]
    assert states == ["written", "failed", "written"]


def test_progress_can_be_left_out(scans, tmp_path):
    words = ["upscale", scans / "a.tif", tmp_path / "o.ome.zarr", *FAST]
    found = structsr(*words, "--progress", "off")
    assert (found.exit_code, found.stderr) == (0, "")


def test_models_as_json():
    found = json.loads(structsr("models", "--json").stdout)
    assert {"faithful", "sharp", "bicubic"} <= {card["name"] for card in found}
    assert all(card["licence"] and card["factor"] in (1, 2, 4) for card in found)


# manners


def test_version_and_help():
    found = structsr("--version")
    assert (found.exit_code, found.stdout[:9]) == (0, "structsr ")
    for words in (["-h"], ["upscale", "-h"], ["upscale", "--help"]):
        found = structsr(*words)
        assert found.exit_code == 0
        assert "Usage" in found.stdout


def test_the_package_is_the_command():
    words = [sys.executable, "-m", "napari_structsr", "--version"]
    found = subprocess.run(words, capture_output=True, text=True, check=True)
    assert found.stdout.startswith("structsr ")


@pytest.mark.parametrize(
    "command", [one.name or one.callback.__name__ for one in app.registered_commands]
)
def test_examples_in_every_help_can_be_typed(command):
    shown = structsr(command, "--help").stdout
    group = get_command(app)
    for example in EXAMPLES[command]:
        assert example in shown
        program, name, *words = example.split()
        assert (program, name) == ("structsr", command)
        if "--list" not in words:
            group.commands[command].make_context(command, words)


@pytest.mark.parametrize("text", ["2x", "×2", "x2"])
def test_a_factor_as_people_write_it(text):
    found = structsr("upscale", "a.tif", "b.ome.zarr", "--factor", text)
    assert found.exit_code == 2
    # older terminals draw a frame around it, and break its lines
    said = " ".join(re.sub(r"[─-╿]", " ", found.stderr).split())
    assert f"'{text}' is no whole number; write --factor 2" in said


@pytest.mark.parametrize("name", ["[report]", "exp[dapi]", "a[/b]", "[red]x[/red]"])
def test_brackets_survive_the_terminal(tmp_path, measured, name):
    folder = tmp_path / name
    folder.mkdir(parents=True)
    path = folder / f"{name.replace('/', '_')}.tif"
    tifffile.imwrite(path, (measured[:40, :40] * 255).astype(np.uint8))
    found = structsr("upscale", path, folder / "o.ome.zarr", *FAST)
    assert found.exit_code == 0, found.output
    assert f"wrote {folder}/o.ome.zarr" in found.stdout
    found = structsr("upscale", path.with_suffix(""), folder / "p.ome.zarr")
    assert str(path.with_suffix("")) in found.stderr
    found = structsr("upscale", folder, "--out", folder / "many", *FAST)
    assert f"1/2 {folder}" in found.stderr
    assert path.name in found.stdout


# inspected


def test_many_results_become_one_table_and_one_page(scans, tmp_path):
    results, maps = tmp_path / "results", tmp_path / "[maps]"
    assert structsr("upscale", scans, "--out", results, *FAST).exit_code == 0
    (results / "broken-x2.ome.tif").write_bytes(b"no image")
    (scans / "broken.tif").write_bytes(b"no image")
    words = ["inspect", results, "--out", maps, "--maps", "residual", "--device", "cpu"]
    found = structsr(*words, "--source", scans)
    assert found.exit_code == 1
    assert found.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "broken-x2.ome.tif" in found.stderr.strip().splitlines()[-1]
    rows = list(csv.DictReader((maps / "scores.csv").read_text().splitlines()))
    assert [row["image"] for row in rows] == ["a-x2", "b-x2"]
    assert all(float(row["residual_rms"]) >= 0 for row in rows)
    page = (maps / "index.html").read_text()
    for name in ("a-x2", "b-x2"):
        assert f'<a href="{name}/report.html">{name}</a>' in page
        assert (maps / name / "report.html").is_file()
    assert "broken-x2.ome.tif" in page
    (results / "broken-x2.ome.tif").unlink()
    again = structsr(*words)
    assert again.exit_code == 0, again.output
    found = structsr(*words, "--reference", tmp_path / "more")
    assert found.exit_code == 1
    assert "1 have not one reference" in found.stderr
    assert "b-x2.ome.zarr (0)" in found.stderr
