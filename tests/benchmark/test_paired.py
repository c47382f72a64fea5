import csv

import numpy as np
import pytest
import tifffile
from scipy import ndimage
from typer.testing import CliRunner

from napari_structsr.benchmark.paired import find_pairs, read_pair, score_pair
from napari_structsr.benchmark.phantoms import draw_filaments, draw_grains
from napari_structsr.benchmark.tracks import Track
from napari_structsr.cli import app

TRACK = Track("pair", 2, 20000, 0.002, 0.8, "gaussian")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write one pair that fits and one that shows two places."""
    folder = tmp_path_factory.mktemp("pairs") / "scans"
    folder.mkdir()
    truth = draw_filaments(side=256)
    moved = ndimage.shift(truth, (0.6, -0.9), order=3, mode="reflect")
    # units, gain and offset of another scanner
    write(folder, "fits_x2", TRACK.measure(truth) * 3e-9 - 1e-9, 700 * moved - 90)
    write(
        folder,
        "alien_x2",
        TRACK.measure(truth[:128, :128]),
        draw_grains(side=128, seed=4),
    )
    (folder / "alone_x2__lr.tif").write_bytes(b"no partner")
    return folder.parent


def write(folder, name, low, high):
    tifffile.imwrite(folder / f"{name}__lr.tif", low.astype(np.float32))
    tifffile.imwrite(folder / f"{name}__hr.tif", high.astype(np.float32))


def test_pairs_are_found_by_their_names(folder):
    found = [(low.name, high.name, factor) for low, high, factor in find_pairs(folder)]
    assert found == [
        ("alien_x2__lr.tif", "alien_x2__hr.tif", 2),
        ("fits_x2__lr.tif", "fits_x2__hr.tif", 2),
    ]


def test_the_truth_is_laid_on_the_measured_image_and_its_width_found(folder):
    low, high, factor = find_pairs(folder)[1]
    pair, registered = read_pair(low, high, factor)
    assert registered
    np.testing.assert_allclose(np.abs(pair.registration.shift), (0.6, 0.9), atol=0.15)
    assert pair.psf_sigma == pytest.approx(0.8, rel=0.15)


def test_gain_and_offset_of_a_result_do_not_count(folder):
    pair, _ = read_pair(*find_pairs(folder)[1])
    noise = np.random.default_rng(0).standard_normal(pair.truth.shape)
    result = (pair.truth + 0.02 * noise).astype(np.float32)
    once, twice = (
        score_pair(pair, image, TRACK) for image in (result, 0.3 * result + 5)
    )
    assert once == pytest.approx(twice, rel=1e-3)
    assert once["correlation"] == pytest.approx(
        np.corrcoef(result.ravel(), pair.truth.ravel())[0, 1], abs=1e-4
    )


def test_the_command_scores_pairs_and_leaves_out_what_is_none(folder, tmp_path):
    command = ["benchmark", "--paired", str(folder), "--out", str(tmp_path / "out")]
    command += ["--methods", "richardson-lucy,conditional,conditional@told"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "alien_x2 is left out" in " ".join(done.output.split())
    with (tmp_path / "out" / "paired.csv").open() as file:
        psnr = {
            row["method"]: float(row["value"])
            for row in csv.DictReader(file)
            if (row["pair"], row["measure"]) == ("fits_x2", "psnr")
        }
    # what lies between both scans is blur, and telling so undoes it
    assert psnr["conditional@told"] > psnr["conditional"] + 1
    assert psnr["richardson-lucy"] > psnr["bicubic"] + 1
    text = (tmp_path / "out" / "paired.md").read_text()
    assert f"| {psnr['conditional@told']:.2f} / " in text


def test_a_folder_without_pairs_says_what_was_expected(tmp_path):
    command = ["benchmark", "--paired", str(tmp_path), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert "NAME_x2__lr.tif" in done.output
