"""One inspection made by several commands, each a part of its maps."""

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_structsr.cli import app


@pytest.fixture
def folder(tmp_path, measured):
    """Return a folder with an image of five planes, and a result of it."""
    rolled = [np.roll(measured[:64, :64], n, axis=1) for n in range(5)]
    pixels = (np.stack(rolled) * 4000 + 100).astype("u2")
    tifffile.imwrite(tmp_path / "in.tif", pixels, metadata={"axes": "ZYX"})
    run("upscale", tmp_path / "in.tif", tmp_path / "result.ome.zarr", "--model=bicubic")
    return tmp_path


def run(*words):
    found = CliRunner().invoke(app, [*map(str, words), "--device=cpu"])
    assert found.exit_code == 0, found.output
    # lines are as wide as a terminal
    return " ".join(found.output.split())


def inspect(folder, out, *words):
    maps = "--maps=residual,null_space,squirrel"
    return run(
        "inspect", folder / "result.ome.zarr", "--out", folder / out, maps, *words
    )


def read_tree(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_last_part_finishes_the_maps_of_a_plain_inspection(folder):
    inspect(folder, "plain")
    for number, missing in ((2, 3), (3, 1)):
        said = inspect(folder, "parts", f"--part={number}/3")
        assert f"part {number} of 3 is written, {missing} tiles" in said
        assert not (folder / "parts" / "scores.csv").exists()
    inspect(folder, "parts", "--part=1/3")
    assert read_tree(folder / "parts") == read_tree(folder / "plain")


def test_the_command_without_part_finishes_what_parts_have_left(folder):
    inspect(folder, "plain")
    inspect(folder, "parts", "--part=2/2")
    assert "(3 finished before)" in inspect(folder, "parts")
    assert read_tree(folder / "parts") == read_tree(folder / "plain")
