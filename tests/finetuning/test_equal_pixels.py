"""Pairs with pixels of one size: noise alone is removed, or the low one is binned."""

import json

import numpy as np
import pytest
import tifffile
from skimage.data import coins
from skimage.measure import block_reduce
from typer.testing import CliRunner

import napari_structsr as sr
from napari_structsr.cli import app
from napari_structsr.errors import TrainingError
from napari_structsr.finetuning.config import read_fine_tuning
from napari_structsr.finetuning.load_pairs import load_pairs
from napari_structsr.io.views import BinnedView
from napari_structsr.io.weights import write_bundle
from napari_structsr.pairs.register_pair import field_pair

SHORT = {
    "steps": 2,
    "batch": 2,
    "patch": 16,
    "replay": 0.0,
    "largest_loss": None,
    "device": "cpu",
    "precision": "float32",
}


@pytest.fixture(scope="module")
def images():
    """Return a noisy and a clean image of 160 x 192 pixels."""
    clean = coins()[20:180, 40:232].astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 12, clean.shape)
    return np.clip(clean + noise, 0, None).astype(np.float32), clean


@pytest.fixture(autouse=True)
def own_models(tmp_path, monkeypatch):
    monkeypatch.setenv("STRUCTSR_MODELS", str(tmp_path / "models"))


def error(image, clean):
    return float(np.sqrt(np.mean((np.asarray(image, np.float64) - clean) ** 2)))


def test_a_binned_view_holds_the_means_and_stays_in_its_place():
    pixels = np.random.default_rng(0).integers(0, 60000, (3, 21, 14), np.uint16)
    view = BinnedView(sr.open_source(pixels), 2)
    wanted = block_reduce(pixels[1, :20], (2, 2), np.mean)
    assert view.spec.axes.plane == (10, 7)
    np.testing.assert_allclose(view.read((1,), slice(0, 10), slice(0, 7))[0], wanted)
    part = view.read((1,), slice(3, 8), slice(2, 7))[0]
    np.testing.assert_allclose(part, wanted[3:8, 2:7])
    assert (view.spec.axes["y"].scale, view.spec.axes["y"].translate) == (2.0, 0.5)


def test_equal_pixels_make_a_pair_for_the_factor_1_or_binned_for_2(images):
    low, high = map(sr.open_source, images)
    pair = field_pair(low, high)
    assert (pair.factor, pair.measured.shape) == (1, pair.truth.shape)

    with pytest.raises(TrainingError, match="bin the low-resolution image by 2, take"):
        field_pair(low, high, factor=2)
    # both ways out that the message names
    assert field_pair(low, high, factor=1).factor == 1
    binned = field_pair(low, high, factor=2, bins=2)
    assert binned.measured.shape == (80, 96)
    assert binned.truth.shape == (160, 192)
    assert any("binned by 2" in note for note in binned.notes)
    assert binned.registration.shift == pytest.approx((0, 0), abs=0.2)


def test_a_script_fine_tunes_a_model_of_the_factor_1(images, tmp_path):
    noisy, clean = images
    tuned = sr.fine_tune(
        [images], name="quiet", out=tmp_path / "run", progress=False, **SHORT
    )
    assert tuned.path.name == "quiet-x1.safetensors"
    assert tuned.verdict.scores["adapted"]["psnr"] > (
        tuned.verdict.scores["bicubic"]["psnr"] + 3
    )
    result = sr.upscale(noisy, model=tuned, progress=False)
    assert result.shape == noisy.shape
    assert error(result, clean) < 0.7 * error(noisy, clean)


def test_the_command_takes_pairs_of_equal_pixels(images, tmp_path, make_told_model):
    for name, image in zip(("noisy", "clean"), images, strict=True):
        tifffile.imwrite(tmp_path / f"{name}.tif", image)
    parent = make_told_model(1)
    entries = parent.card.model_dump(exclude={"sha256"})
    write_bundle(tmp_path / "told-x1", entries, parent.network.state_dict())
    pair = {"low": "noisy.tif", "high": "clean.tif"}
    asked = {"name": "mine", "factor": 1, "pairs": [pair], "out": "run", **SHORT}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(asked | {"parent": "told-x1.safetensors"}))

    words = ["finetune", str(path), "--accept", "--progress", "off"]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, found.output
    assert "mine x1 is offered from now on" in found.output
    assert sr.load_model("mine", factor=1).card.fine_tuning.parent == "told"

    path.write_text(json.dumps(asked))
    assert read_fine_tuning(path).parent == "conditional"
    path.write_text(json.dumps(asked | {"factor": 2, "pairs": [pair | {"bins": 2}]}))
    config = read_fine_tuning(path)
    assert config.parent == "faithful"
    (binned,) = load_pairs(config)
    assert (binned.factor, binned.measured.shape) == (2, (80, 96))
