"""`sr.inspect` and `sr.fine_tune` as a script meets them."""

import subprocess
import sys

import numpy as np
import pytest
import tifffile
import torch

import napari_structsr as sr
from napari_structsr.errors import SettingsError, TrainingError
from napari_structsr.models.build import build_network
from napari_structsr.models.card import ModelCard
from napari_structsr.models.model import SRModel
from napari_structsr.zoo.user_models import read_user_cards

FAST = {"model": "bicubic", "device": "cpu", "precision": "float32"}


@pytest.fixture
def images(tmp_path, truth, measured):
    """Return the files of a measured image, with a pixel size, and of its truth."""
    paths = []
    for name, pixels, size in (("low", measured, 0.2), ("high", truth, 0.1)):
        path = tmp_path / f"{name}.ome.tif"
        metadata = {"axes": "YX", "PhysicalSizeX": size, "PhysicalSizeY": size}
        scaled = np.clip(pixels * 20000 + 500, 0, 65535).astype(np.uint16)
        tifffile.imwrite(path, scaled, metadata=metadata)
        paths.append(path)
    return paths


def test_an_array_is_inspected_against_its_source_and_the_truth(images):
    low, high = images
    result = sr.upscale(low, **FAST)
    found = sr.inspect(result, source=low, maps="residual", device="cpu")
    assert found.maps["residual"].shape == (192, 224)
    found = sr.inspect(result, high, maps=["ssim"], match="pixels", device="cpu")
    assert 0.5 < found.scores.means()["ssim"] < 1


def test_a_file_is_inspected_by_its_path(images, tmp_path):
    path = sr.upscale(images[0], tmp_path / "o.ome.zarr", **FAST)
    settings = sr.InspectSettings(maps=("residual",), device="cpu")
    found = sr.inspect(path, out=tmp_path / "maps", settings=settings, worst=3)
    assert found.folder == tmp_path / "maps"
    assert len(found.worst) <= 3
    assert (tmp_path / "maps" / "residual.ome.zarr").is_dir()


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"maps": "ssimm"}, SettingsError, "no map is named ssimm; choose among"),
        ({"map": "ssim"}, TypeError, "no keyword map; did you mean maps"),
        ({"out": 3}, TypeError, "give the path of a folder"),
        ({"settings": sr.UpscaleSettings()}, TypeError, "InspectSettings"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(measured, wrong, error, words):
    with pytest.raises(error, match=words):
        sr.inspect(measured, source=measured, **wrong)


def test_many_results_are_inspected_with_their_sources(images, tmp_path):
    results = tmp_path / "results"
    path = sr.upscale(images[0], f"{results}/", **FAST)
    choice = {"maps": "residual", "device": "cpu"}
    (one,) = sr.inspect(results, source=images[0], out=tmp_path / "maps", **choice)
    assert one.folder == tmp_path / "maps" / "low-x2"
    assert "low-x2" in (tmp_path / "maps" / "index.html").read_text()
    assert (tmp_path / "maps" / "scores.csv").read_text().startswith("image,")
    (other,) = sr.inspect([path], **choice)
    assert other.scores.means() == one.scores.means()
    (results / "z.tif").write_bytes(b"no image")
    with pytest.raises(sr.BatchError, match=r"1 of 2 images failed.*z\.tif"):
        sr.inspect(results, **choice)
    with pytest.raises(TypeError, match="result 1 is of the kind ndarray"):
        sr.inspect([np.ones((40, 40))], **choice)


def test_who_inspects_does_not_wait_for_what_others_import(tmp_path):
    script = """
import sys
import numpy as np
import napari_structsr as sr
plane = np.random.default_rng(0).normal(100, 5, (48, 48)).astype("f4")
options = {"progress": False, "device": "cpu"}
path = sr.upscale(plane, "result.ome.zarr", model="bicubic", **options)
sr.inspect(path, source=plane, out="maps", maps="residual", **options)
late = {"matplotlib", "scipy.signal", "distributed"}
assert not late & set(sys.modules), late & set(sys.modules)
"""
    command = [sys.executable, "-c", script]
    subprocess.run(command, check=True, timeout=300, cwd=tmp_path)
    assert (tmp_path / "maps" / "report.html").is_file()


@pytest.fixture
def parent(tmp_path, monkeypatch):
    """Return a small network that has learnt nothing yet."""
    monkeypatch.setenv("STRUCTSR_MODELS", str(tmp_path / "models"))
    torch.manual_seed(0)
    options = {"width": 8, "blocks": 1}
    network = build_network("residual-generator", factor=2, options=options)
    card = ModelCard(
        name="bare",
        description="",
        architecture="residual-generator",
        options=options,
        factor=2,
        psf_sigma=0.4,
        sha256="0" * 64,
    )
    return SRModel(card, network.state_dict())


def test_pairs_of_files_become_a_model_that_upscales(images, parent, tmp_path):
    tuned = sr.fine_tune(
        [images],
        name="mine",
        model=parent,
        steps=2,
        gap=4,
        replay=0,
        device="cpu",
        out=tmp_path / "run",
        accept=True,
    )
    assert tuned.path == tmp_path / "run" / "mine-x2.safetensors"
    assert str(tuned) == tuned.verdict.sentence
    by_path = sr.upscale(images[0], model=tuned, device="cpu")
    assert [card.name for card in read_user_cards()] == ["mine"]
    np.testing.assert_array_equal(sr.upscale(images[0], model="mine"), by_path)
    with pytest.raises(TrainingError, match="holds a fine-tuning already"):
        sr.fine_tune([images], model=parent, steps=2, out=tmp_path / "run")


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"pairs": 3}, TypeError, r"pairs is of the kind int; give a list of \(low"),
        ({"pairs": ["low.tif"]}, TypeError, "pair 1 is of the kind str; give a list"),
        ({"steps": 2, "minutes": 1}, SettingsError, "give minutes or steps, not both"),
        ({"step": 2}, TypeError, "did you mean steps"),
        ({"name": "../x"}, SettingsError, "cannot name a model"),
        ({"pairs": []}, TrainingError, "add at least one"),
        (
            {"pairs": "/no/missing.json"},
            TrainingError,
            "not exist .*folder /no",
        ),
    ],
)
def test_a_fine_tuning_that_cannot_start_says_why(parent, wrong, error, words):
    given = {"pairs": [], "model": parent, "name": "mine"} | wrong
    with pytest.raises(error, match=words):
        sr.fine_tune(**given)


def test_a_cancelled_fine_tuning_goes_on(images, parent, tmp_path, monkeypatch):
    cancel = sr.Cancel()
    given = {"steps": 2, "replay": 0, "gap": 4, "device": "cpu", "name": "mine"}
    given |= {"out": tmp_path / "run"}
    cancel()
    with pytest.raises(sr.CancelError):
        sr.fine_tune([images], model=parent, cancel=cancel, **given)
    # which has no file to load it from again
    monkeypatch.setattr(
        "napari_structsr.finetuning.fine_tune.load_model", lambda *_, **__: parent
    )
    assert sr.fine_tune([images], resume=True, **given).path.exists()
