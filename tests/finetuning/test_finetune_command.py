"""The command line of a fine-tuning."""

import json

import numpy as np
import pytest
import tifffile
import torch
from skimage.data import coins
from typer.testing import CliRunner

import napari_structsr as sr
from napari_structsr.cli import app
from napari_structsr.finetuning.store import read_pairs
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.io.weights import write_bundle
from napari_structsr.models.build import build_network
from napari_structsr.models.card import ModelCard


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Return a command on two images of one field of view and a bare parent."""
    monkeypatch.setenv("STRUCTSR_MODELS", str(tmp_path / "models"))
    torch.manual_seed(0)
    options = {"width": 8, "blocks": 1}
    card = ModelCard(
        name="bare",
        description="",
        architecture="residual-generator",
        options=options,
        factor=2,
        psf_sigma=0.4,
    )
    network = build_network("residual-generator", factor=2, options=options)
    entries = card.model_dump(exclude={"sha256"})
    write_bundle(tmp_path / "bare-x2", entries, network.state_dict())
    truth = coins()[:256, :320]
    image = torch.from_numpy(truth.astype(np.float32) / 255)[None, None]
    measured = ForwardModel(2, 0.9)(image)[0, 0].numpy() * 4000
    noise = np.random.default_rng(0).normal(0, 20, measured.shape)
    low = np.clip(measured + noise, 0, None).astype(np.uint16)
    tifffile.imwrite(tmp_path / "fine.tif", truth)
    tifffile.imwrite(tmp_path / "coarse.tif", low)
    asked = {
        "name": "mine",
        "parent": "bare-x2.safetensors",
        "pairs": [{"low": "coarse.tif", "high": "fine.tif"}],
        "steps": 60,
        "batch": 4,
        "patch": 16,
        "rate": 0.01,
        "replay": 0.25,
        "largest_loss": None,
        "device": "cpu",
        "out": "run",
    }

    def run(*words, **changes):
        path = tmp_path / "mine.json"
        path.write_text(json.dumps(asked | changes))
        return CliRunner().invoke(app, ["finetune", str(path), *words])

    return run


def test_a_file_becomes_a_model_that_is_offered(call):
    result = call("--accept")
    assert result.exit_code == 0, result.output
    for word in ("bicubic", "parent", "adapted", "PSNR", "Recommended"):
        assert word in result.output
    assert "mine" in [card.name for card in sr.list_models()]
    assert call().exit_code == 1  # its folder is taken


def test_a_refusal_is_said_plainly_and_is_no_failure(call, tmp_path):
    result = call(steps=1)
    assert result.exit_code == 0, result.output
    assert "Not recommended" in result.output
    assert "mine" not in [card.name for card in sr.list_models()]


def test_high_resolution_alone_will_do(call):
    alone = [{"high": "fine.tif", "region": [0, 200, 0, 240]}]
    result = call(pairs=alone, microscope={"psf_sigma": 0.9}, steps=2)
    assert result.exit_code == 0, result.output


def test_rectangles_of_the_file_decide_the_split(call, tmp_path):
    """In pixels of the image that is named; what leaks is refused."""

    def split(*, last, high_only=False):
        step = 2 if high_only else 1
        parts = {
            "training": [{"rows": [0, 128 * step], "columns": [0, last * step]}],
            "validation": [
                {"rows": [0, 128 * step], "columns": [80 * step, 160 * step]}
            ],
        }
        files = {"high": "fine.tif"} if high_only else {"low": "coarse.tif"}
        return [{"high": "fine.tif", **files, **parts}]

    for high_only in (False, True):
        out = f"run {high_only}"
        result = call(pairs=split(last=60, high_only=high_only), steps=1, out=out)
        assert result.exit_code == 0, result.output
        _, held = read_pairs(tmp_path / out / "pairs.safetensors")
        (training,), (validation,) = held.training, held.validation
        assert training.columns[1] == pytest.approx(60, abs=1)
        assert validation.columns[0] == pytest.approx(80, abs=1)
    leak = call(pairs=split(last=78), steps=1, out="leak")
    assert leak.exit_code == 1
    assert "measured pixels apart" in " ".join(leak.output.split())
    assert not (tmp_path / "leak").exists()
    beyond = split(last=60)
    beyond[0]["validation"] = [{"rows": [0, 9], "columns": [400, 500]}]
    words = " ".join(call(pairs=beyond, steps=1, out="beyond").output.split())
    assert "holds no pixel of pair" in words


@pytest.mark.parametrize(
    ("words", "changes", "said"),
    [
        ([], {"pairs": []}, "names no pairs"),
        ([], {"pairs": [{"low": "coarse.tif", "high": "fine.tif"}] * 2}, "same pixels"),
        ([], {"colour": 1}, "colour"),
        ([], {"pairs": [{"high": "gone.tif"}]}, "gone.tif"),
        (["--minutes", "-1"], {}, "minutes"),
        (["--resume"], {}, "no fine-tuning that can go on"),
    ],
)
def test_faults_are_sentences(words, changes, said, call):
    result = call(*words, **changes)
    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output
