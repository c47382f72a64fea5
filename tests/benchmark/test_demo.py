import sys

import numpy as np
import pytest
import skimage.io
import torch
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from napari_structsr import open_source
from napari_structsr.benchmark.demo import run_demo
from napari_structsr.benchmark.optics_demo import run_optics_demo
from napari_structsr.benchmark.tracks import TRACKS, make_truth, score


def test_demo_writes_stacks_and_a_figure_and_the_network_wins(tmp_path):
    *_, table = run_demo(tmp_path / "demo", device="cpu")
    psnr = dict(zip(table.columns[1].cells, table.columns[2].cells, strict=True))
    ssim = dict(zip(table.columns[1].cells, table.columns[3].cells, strict=True))
    assert float(psnr["faithful"]) > float(psnr["bicubic"]) + 1
    assert float(ssim["faithful"]) > float(ssim["bicubic"]) + 0.01
    result = open_source(tmp_path / "demo" / "faithful.ome.zarr").spec
    assert result.axes.shape == (2, 512, 512)
    assert result.axes["x"].unit == "micrometer"
    assert result.axes["x"].scale == 0.25
    assert abs(result.axes["x"].translate) < 1e-12
    assert [channel.name for channel in result.channels] == ["Haematoxylin", "DAB"]
    figure = skimage.io.imread(tmp_path / "demo" / "comparison.png")
    assert figure.shape[1] > 800
    assert figure[..., :3].std() > 20
    maps = tmp_path / "demo" / "structure-error"
    assert "Structure error of sharp" in (maps / "report.html").read_text("utf-8")
    assert open_source(maps / "trust.ome.zarr").spec.axes.shape == (2, 512, 512)


def test_without_matplotlib_only_figures_are_missing(tmp_path, monkeypatch):
    for name in [one for one in sys.modules if one.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    *lines, _ = run_demo(tmp_path, device="cpu")
    [missing] = [line for line in lines if "comparison.png" in line]
    assert "pip install 'napari-structsr[report]'" in missing
    assert not list(tmp_path.glob("*.png"))
    assert (tmp_path / "structure-error" / "report.html").exists()


def test_the_drawn_cell_shows_both_wishes(tmp_path):
    *lines, table = run_optics_demo(tmp_path, device="cpu")
    kept, cell = (
        dict(zip(table.columns[0].cells, map(float, column.cells), strict=True))
        for column in table.columns[1:]
    )
    careful, undone = "conditional", "conditional, optics undone"
    # each wish comes nearest to its own truth
    assert kept[careful] > kept["bicubic"] + 1
    assert kept[careful] > kept[undone] + 3
    assert cell[undone] > cell["Richardson-Lucy, optics undone"] + 0.5
    assert cell[undone] > cell[careful] + 1
    assert {"faithful", "sharp"} < set(kept)
    spec = open_source(tmp_path / "widefield.ome.tif").spec
    assert spec.axes.shape == (2, 256, 256)
    assert spec.axes["x"].scale == 0.1
    optics = [channel.optics for channel in spec.channels]
    assert [one.aperture for one in optics] == [1.2, 1.2]
    assert [one.wavelength for one in optics] == pytest.approx([0.461, 0.525])
    # about what Nyquist asks for
    assert all(0.8 < one.psf_sigma(0.1) < 1.05 for one in optics)
    assert skimage.io.imread(tmp_path / "optics.png")[..., :3].std() > 20
    # told models that do not ship are named, those that do are shown
    for name in ("conditional", "sharp-conditional"):
        told = any(name == label for label in kept)
        assert told != any(line.endswith(f"not shown: {name}") for line in lines)


def test_scores_equal_those_of_torchmetrics(truth):
    other = np.clip(
        truth + 0.05 * np.random.default_rng(0).standard_normal(truth.shape), 0, 1
    )
    other = other.astype(np.float32)
    found = score(truth, other)
    pair = [torch.from_numpy(image)[None, None] for image in (other, truth)]
    expected = peak_signal_noise_ratio(*pair, data_range=1.0)
    assert abs(found.psnr - float(expected)) < 1e-3
    expected = structural_similarity_index_measure(*pair, data_range=1.0)
    assert abs(found.ssim - float(expected)) < 1e-3


def test_tracks_are_reproducible_and_centred(truth):
    for track in TRACKS.values():
        first, second = track.measure(truth), track.measure(truth)
        np.testing.assert_array_equal(first, second)
        assert first.shape == tuple(size // track.factor for size in truth.shape)
        assert abs(first.mean() - truth.mean()) < 0.005


def test_truth_spans_the_range():
    plane = np.arange(7 * 9, dtype=np.uint16).reshape(7, 9) + 1000
    truth = make_truth(plane, 2)
    assert truth.shape == (6, 8)
    assert truth.min() == 0
    assert truth.max() == 1
