"""What an image alone says of its blur and noise is a range, and holds the truth."""

import math

import imageio.v3
import numpy as np
import pytest
import torch
from skimage.data import camera, cell
from typer.testing import CliRunner

from benchmarks.estimators.__main__ import app
from benchmarks.estimators.scenes import simulate_scenes
from napari_structsr.core.intensity import fit_intensity
from napari_structsr.imaging.blur_width.from_image import RANGE, estimate_width
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.upscaling.measured_noise import measure_noise


def measure(sigma, *, photons, factor=2):
    truth = torch.from_numpy(camera() / 255)[None, None]
    clean = ForwardModel(factor, sigma)(truth)[0, 0].numpy()
    light = np.random.default_rng(0).poisson(clean * photons)
    return [light[row : row + 128, :128].astype(float) for row in (0, 128)]


@pytest.mark.parametrize("sigma", [0.4, 0.9, 1.6])
def test_the_range_holds_the_truth_and_grows_with_noise(sigma):
    ratios = []
    for photons in (10_000, 30):
        blocks = measure(sigma, photons=photons)
        found = estimate_width(blocks, fit_intensity(blocks))
        assert RANGE[0] <= found.low < found.sigma < found.high <= RANGE[1]
        assert found.low < sigma < found.high
        ratios.append(found.high / found.low)
    assert ratios[0] < 5
    if sigma > 0.5:  # below, both reach down to the least that is known
        assert ratios[1] > ratios[0]


def test_gain_and_offset_of_the_camera_do_not_matter():
    blocks = measure(1.0, photons=1000)
    one = estimate_width(blocks, fit_intensity(blocks))
    moved = [block * 7.5 + 300 for block in blocks]
    other = estimate_width(moved, fit_intensity(moved))
    assert other.sigma == pytest.approx(one.sigma, rel=1e-3)
    assert other.low == pytest.approx(one.low, rel=1e-3)


def test_nothing_is_claimed_where_nothing_is_seen():
    empty = [np.full((64, 64), 7.0)]
    small = [np.random.default_rng(0).random((16, 16))]
    for blocks in (empty, small):
        found = estimate_width(blocks, fit_intensity(blocks))
        assert (found.low, found.high) == RANGE
        assert "not seen" in found.origin


def test_ranges_hold_the_truth_on_beads_and_filaments():
    scenes = list(simulate_scenes(factor=2, each=4))
    held = []
    for scene in scenes:
        found = estimate_width(scene.parts, scene.intensity)
        held.append(found.low <= scene.sigma <= found.high)
        noise = measure_noise(scene.intensity)
        assert noise.low < noise.level < noise.high
        assert math.isfinite(noise.high)
    assert np.mean(held) >= 0.75


def test_the_report_is_written_for_a_folder_of_images(tmp_path):
    for name, image in (("people", camera()), ("cells", cell()[:400, :400])):
        (tmp_path / name).mkdir()
        imageio.v3.imwrite(tmp_path / name / "a.png", image)
    words = ["--data", str(tmp_path), "--planes", "1", "--each", "3", "--factors", "2"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "| people | 3 |" in done.output
    assert "**mean over sources**" in done.output
    fitted = CliRunner().invoke(app, [*words, "--fit"])
    assert fitted.exit_code == 0, fitted.output
    assert "_CURVES = [[" in fitted.output
