"""The command line as a stranger meets it: real files, words and exit codes."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile
import zarr
from typer.testing import CliRunner

from napari_structsr.cli import app
from napari_structsr.zoo.catalogue import list_models

runner = CliRunner()
FAST = ["--model", "bicubic", "--device", "cpu"]


def structsr(*words):
    return runner.invoke(app, [str(word) for word in words])


def refused(result, *words):
    """Assert one clear sentence, on stderr, with exit code 1."""
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.strip().count("\n") == 0
    for word in words:
        assert word in result.stderr
    assert "Traceback" not in result.output
    return True


@pytest.fixture
def image(tmp_path, stack):
    path = tmp_path / "cells.tif"
    tifffile.imwrite(
        path,
        stack[0],
        imagej=True,
        resolution=(1 / 0.11, 1 / 0.13),
        metadata={"axes": "ZYX", "spacing": 0.5, "unit": "um"},
    )
    return path


@pytest.mark.parametrize("name", ["out.ome.zarr", "out.ome.tif"])
def test_upscale_then_info_repeats_the_run(image, tmp_path, name):
    out = tmp_path / name
    result = structsr("upscale", image, out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    shown = structsr("info", out)
    assert shown.exit_code == 0
    for words in ("0.055 micrometer", "0.065 micrometer", "0.5 micrometer", "made by"):
        assert words in shown.output
    record = json.loads(structsr("info", "--json", out).output)
    assert record["model"]["name"] == "faithful"
    assert len(record["model"]["sha256"]) == 64

    command = shown.output.split("made by: ")[1].split()
    again = tmp_path / f"again-{name}"
    command[3] = str(again)
    result = structsr(*command[1:])
    assert result.exit_code == 0, result.output

    def pixels(path):
        return (
            tifffile.imread(path)
            if path.suffix == ".tif"
            else zarr.open_array(path / "0")[:]
        )

    np.testing.assert_array_equal(pixels(out), pixels(again))


def test_dry_run_writes_nothing(image, tmp_path):
    result = structsr("upscale", image, tmp_path / "o.ome.zarr", *FAST, "--dry-run")
    assert result.exit_code == 0
    assert "tiles" in result.output
    assert not (tmp_path / "o.ome.zarr").exists()


def test_models_are_listed_with_hash_and_licence():
    result = structsr("models")
    for card in list_models():
        assert card.name in result.output
    assert "BSD-3-Clause" in result.output


def test_channels_by_name_and_index(tmp_path, stack):
    path = tmp_path / "two.ome.tif"
    tifffile.imwrite(
        path, stack, metadata={"axes": "CZYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    )
    for number, choice in enumerate(("1", "GFP")):
        out = tmp_path / f"o{number}.ome.zarr"
        assert (
            structsr("upscale", path, out, "--channels", choice, *FAST).exit_code == 0
        )
    one, other = (zarr.open_array(tmp_path / f"o{n}.ome.zarr/0")[:] for n in (0, 1))
    np.testing.assert_array_equal(one, other)
    assert one.shape == (1, 2, 192, 224)
    assert "--channels GFP" in structsr("info", tmp_path / "o1.ome.zarr").output
    words = ["inspect", tmp_path / "o1.ome.zarr", "--out", tmp_path / "m", "--maps"]
    words += ["residual", "--source", path, "--device", "cpu"]
    refused = structsr(*words)
    assert refused.exit_code == 1
    assert "--channels" in refused.output
    done = structsr(*words, "--channels", "GFP")
    assert done.exit_code == 0
    found = json.loads((tmp_path / "m/inspection.json").read_text())["found"]
    assert "of the image is supported." in found
    # the last but one line of the terminal, and the report, say the same
    assert found in done.output
    assert found in (tmp_path / "m/report.html").read_text("utf-8")
    assert "--channels GFP" in structsr("info", tmp_path / "m/residual.ome.zarr").output
    alone = tmp_path / "alone.ome.zarr"
    assert structsr("upscale", path, alone, "--channel", "GFP", *FAST).exit_code == 0
    np.testing.assert_array_equal(zarr.open_array(alone / "0"), one[0])
    assert "--channel GFP" in structsr("info", alone).output


# what is refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--factor", "3"], ["factor 3", "2, 4"]),
        (["--model", "sharpest"], ["faithful"]),
        (["--model", "/no/where.safetensors"], ["missing"]),
        (["--agreement", "perfect"], ["--agreement perfect", "exact"]),
        (["--device", "tpu"], ["cuda"]),
        (["--precision", "int8"], ["--precision int8"]),
        (["--tile", "3"], ["--tile 3", "16"]),
        (["--axes", "tzyx"], ["axes"]),
        (["--axes", "qyx"], ["q"]),
        (["--channels", "0"], ["no axis c"]),
        (["--level", "4"], ["level 0"]),
        (["--color", "luminance"], ["channels"]),
        (["--dtype", "uint8"], ["--dtype uint8"]),
        (["--ome-version", "0.6"], ["0.5 or 0.4"]),
    ],
)
def test_wrong_options_are_named_with_the_remedy(image, tmp_path, options, words):
    out = tmp_path / "o.ome.zarr"
    assert refused(structsr("upscale", image, out, *options), *words)
    assert not out.exists()


def test_names_without_a_format_are_refused(image, tmp_path):
    assert refused(structsr("upscale", image, tmp_path / "o.png"), "name.ome.zarr")


def save(path, pixels):
    tifffile.imwrite(path, pixels)
    return path


BAD = {
    "missing": lambda path: path,
    "empty file": lambda path: [path.write_bytes(b""), path][1],
    "text": lambda path: path.write_text("no image") and path,
    "boolean": lambda path: save(path, np.zeros((9, 9), bool)),
    "complex": lambda path: save(path, np.zeros((9, 9), np.complex64)),
    "one row": lambda path: save(path, np.zeros((1, 64), np.uint8)),
    "nothing but NaN": lambda path: save(path, np.full((9, 9), np.nan, np.float32)),
}


@pytest.mark.parametrize("kind", BAD)
def test_images_that_cannot_be_upscaled(tmp_path, kind):
    out = tmp_path / "o.ome.zarr"
    path = BAD[kind](tmp_path / "a.tif")
    assert refused(structsr("upscale", path, out, *FAST))
    assert not out.exists()
    assert not [file for file in tmp_path.iterdir() if file.name != "a.tif"]


def test_a_scan_of_one_line_is_upscaled_as_the_refusal_says(tmp_path):
    path, out = tmp_path / "scan.ome.tif", tmp_path / "o.ome.zarr"
    pixels = np.arange(50 * 64, dtype=np.uint16).reshape(50, 1, 64)
    tifffile.imwrite(path, pixels, metadata={"axes": "TYX"})
    said = structsr("upscale", path, out, *FAST)
    assert refused(said, "1 x 64 pixels")
    words = said.stderr.partition("such as ")[2].split()
    done = structsr("upscale", path, out, *words, *FAST)
    assert done.exit_code == 0, done.output
    assert zarr.open_array(out / "0").shape == (100, 128)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_tiff(image, tmp_path, share):
    data = image.read_bytes()
    image.write_bytes(data[: int(len(data) * share)])
    out = tmp_path / "o.ome.zarr"
    assert refused(structsr("upscale", image, out, *FAST), "cells.tif")
    assert not out.exists()


def test_constant_image_works(tmp_path):
    path = save(tmp_path / "a.tif", np.full((40, 50), 77, np.uint8))
    out = tmp_path / "o.ome.zarr"
    assert structsr("upscale", path, out, "--device", "cpu").exit_code == 0
    assert (zarr.open_array(out / "0")[:] == 77).all()


def test_finished_result_needs_overwrite(image, tmp_path):
    out = tmp_path / "o.ome.zarr"
    assert structsr("upscale", image, out, *FAST).exit_code == 0
    assert refused(structsr("upscale", image, out, *FAST), "--overwrite")
    assert structsr("upscale", image, out, *FAST, "--overwrite").exit_code == 0


# killed and started again


def tree(path):
    return {
        file.relative_to(path): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file()
    }


@pytest.fixture
def long_run(tmp_path):
    """Return the command of a run of many tiles, given where it writes."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 4000, (48, 160, 160)).astype(np.uint16)
    path = save(tmp_path / "long.tif", pixels)
    options = ["--device", "cpu", "--precision", "float32"]
    return lambda out: [
        sys.executable,
        "-m",
        "napari_structsr.cli",
        "upscale",
        str(path),
        str(out),
        *options,
    ]


def wait_for_tiles(out, process, count=3):
    journal = out / "structsr-journal.txt"
    for _ in range(2400):
        if journal.exists() and journal.read_text().count("\n") >= count:
            return
        assert process.poll() is None, "the run ended before it could be interrupted"
        time.sleep(0.05)
    raise AssertionError("no tile was finished in two minutes")


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_run_goes_on_and_ends_with_the_same_bytes(tmp_path, long_run):
    out, whole = tmp_path / "o.ome.zarr", tmp_path / "whole.ome.zarr"
    process = subprocess.Popen(long_run(out), stderr=subprocess.DEVNULL)
    wait_for_tiles(out, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "unfinished" in structsr("info", out).stderr
    finished = (out / "structsr-journal.txt").read_text().count("\n")
    again = subprocess.run(long_run(out), capture_output=True, text=True, check=True)
    assert f"({finished} finished before)" in again.stderr
    subprocess.run(long_run(whole), check=True, stderr=subprocess.DEVNULL)
    assert tree(out) == tree(whole)


@pytest.mark.skipif(os.name != "posix", reason="SIGINT")
def test_ctrl_c_stops_after_the_tile_and_says_how_to_go_on(tmp_path, long_run):
    out = tmp_path / "o.ome.zarr"
    process = subprocess.Popen(long_run(out), stderr=subprocess.PIPE, text=True)
    wait_for_tiles(out, process)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on from there" in words
    assert "Traceback" not in words
