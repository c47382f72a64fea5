"""Expected errors of models that are told the optics, for images of a new source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from typer.testing import CliRunner

import napari_structsr as sr
from napari_structsr.calibration.fit import calibrate
from napari_structsr.calibration.left_out_sources import (
    find_source_factor,
    fit_left_out,
    measure_coverage,
    predict_left_out,
)
from napari_structsr.calibration.samples import CalibrationPair, Samples, sample_pairs
from napari_structsr.cli import app
from napari_structsr.errors import TrainingError
from napari_structsr.imaging.expected_error import TOLD_FEATURES
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.io.weights import write_bundle
from napari_structsr.models.calibration import read_calibration
from napari_structsr.models.model import SRModel
from napari_structsr.training.patch_sampler import Plane
from napari_structsr.training.recipe import OpticsConfig
from napari_structsr.training.varied_pairs import measure_varied_pairs


@pytest.fixture(scope="module")
def model(make_told_model) -> SRModel:
    return make_told_model()


def draw_truth(seed: int, *, side: int = 192, coarse: float = 2.0) -> np.ndarray:
    """Draw a random texture of a coarseness in pixels, range 0..1."""
    from napari_structsr.imaging.filters import smooth

    random = np.random.default_rng(seed)
    image = torch.from_numpy(random.normal(size=(1, 1, side, side)).astype("f4"))
    pixels = (smooth(image, coarse) + smooth(image, 4 * coarse))[0, 0].numpy()
    return (pixels - pixels.min()) / np.ptp(pixels)


def measure(truth: np.ndarray, *, width: float) -> CalibrationPair:
    measured = ForwardModel(2, width).measure(
        torch.from_numpy(truth)[None, None],
        photons=1000,
        read_noise=0.01,
        generator=torch.Generator().manual_seed(0),
    )
    pixels = measured[0, 0].numpy()
    return CalibrationPair(pixels, truth, source="drawn", psf_sigma=width)


def test_errors_are_those_of_the_model_told_the_width_of_each_pair(
    model: SRModel,
) -> None:
    truth = draw_truth(0)
    found = {
        width: sample_pairs([measure(truth, width=width)], model)
        for width in (0.5, 1.5, 5.0)
    }
    column = TOLD_FEATURES.index("told width")
    for width, samples in found.items():
        told = np.exp(samples.features[..., column])
        # beyond what was trained the model is told the nearest width
        np.testing.assert_allclose(told, min(width, 2.0), rtol=1e-5)
    assert found[0.5].features.shape[-1] == len(TOLD_FEATURES)


def test_gain_and_offset_of_the_camera_do_not_matter(model: SRModel) -> None:
    one = measure(draw_truth(1), width=1.0)
    other = CalibrationPair(
        one.measured * 300 + 1000, one.truth * 300 + 1000, psf_sigma=1.0
    )
    found = [sample_pairs([pair], model) for pair in (one, other)]
    np.testing.assert_allclose(found[0].features, found[1].features, atol=2e-3)
    np.testing.assert_allclose(found[0].errors, found[1].errors, atol=1e-4)


def draw_samples(sources: int, *, seed: int) -> Samples:
    """Draw errors that differ by source as much as those of real ones do."""
    random = np.random.default_rng(seed)
    level = random.lognormal(0, 0.35, sources)
    source = np.repeat(np.arange(sources), 30)
    errors = 0.01 * level[source, None] * random.exponential(size=(len(source), 16))
    features = np.zeros((*errors.shape, len(TOLD_FEATURES)), np.float32)
    names = np.array([f"source {number}" for number in source])
    usual = ({"noise": 0.01},) * 30
    return Samples(features, errors.astype("f4"), np.arange(len(source)), names, usual)


def test_half_of_new_sources_are_covered_and_the_others_nearly() -> None:
    shares = []
    for seed in range(40):
        seen = draw_samples(13, seed=seed)
        factor = find_source_factor(seen.errors / 0.01, seen, level=0.9)
        new = draw_samples(13, seed=1000 + seed)
        shares.append(list(measure_coverage(new.errors / 0.01 / factor, new).values()))
    covered = np.array(shares)
    assert 0.5 <= (covered >= 0.9).mean() <= 0.6
    assert covered.mean() == pytest.approx(0.89, abs=0.02)


def test_sources_left_out_decide_and_few_are_refused(model: SRModel) -> None:
    samples = draw_samples(8, seed=0)
    left_out = fit_left_out(samples)
    assert set(left_out) == set(samples.source)
    # the networks of the sources of one part are one, and differ from the others
    assert len({id(one) for one in left_out.values()}) == 4
    found = calibrate(samples, model, left_out=left_out)
    assert found.features == TOLD_FEATURES
    _, bound = predict_left_out(samples, left_out)
    shares = measure_coverage(samples.errors / bound / found.quantile(0.9), samples)
    assert found.left_out == pytest.approx(shares, abs=1e-3)
    assert np.median(list(shares.values())) >= 0.9
    few = samples.select(samples.source != "source 0")
    with pytest.raises(TrainingError, match=r"7 sources .* images of 8 or more, or"):
        fit_left_out(few)
    images_decide = calibrate(few, model, start=found, refit=False)
    assert images_decide.left_out == {}


def test_truths_are_measured_in_every_way_of_a_training() -> None:
    planes = [
        Plane(name, (draw_truth(seed) * 32767).astype(np.int16), f"{seed}.png")
        for seed, name in enumerate("aab")
    ]
    pairs = list(
        measure_varied_pairs(planes, OpticsConfig(), factor=2, side=64, draws=12)
    )
    assert [pair.source for pair in pairs] == ["a"] * 12 + ["b"] * 12
    assert {pair.image for pair in pairs} == {"0.png", "1.png", "2.png"}
    widths = [pair.psf_sigma for pair in pairs]
    assert min(widths) < 0.6 < 1.2 < max(widths)
    for pair in pairs:
        assert pair.truth.shape == (128, 128)
        means = pair.truth.mean(), pair.measured.mean()
        assert means[0] == pytest.approx(means[1], rel=0.1)


def test_the_command_calibrates_a_told_model(model: SRModel, tmp_path: Path) -> None:
    card = model.card.model_dump(exclude={"sha256"})
    write_bundle(tmp_path / "told-x2", card, model.network.state_dict())
    words = ["calibrate", "--model", str(tmp_path / "told-x2.safetensors")]
    words += ["--out", str(tmp_path / "mine.json"), "--psf-sigma", "1.2"]
    for seed in range(3):
        one = measure(draw_truth(seed, side=448), width=1.2)
        for option, pixels in (("source", one.measured), ("reference", one.truth)):
            path = tmp_path / f"{option}{seed}.tif"
            tifffile.imwrite(path, (pixels * 5000 + 300).astype(np.uint16))
            words += [f"--{option}", str(path)]
    ran = CliRunner().invoke(app, words)
    assert ran.exit_code == 0, ran.output
    found = read_calibration(tmp_path / "mine.json")
    assert found.features == TOLD_FEATURES
    # the map follows from it, and knows which optics the result was made with
    source = sr.open_source(tmp_path / "source0.tif")
    loaded = sr.load_model(str(tmp_path / "told-x2.safetensors"))
    settings = sr.UpscaleSettings(psf_sigma=1.2, device="cpu")
    path = sr.result_of(
        sr.iter_upscale(
            source, loaded, sr.OmeZarrSink(tmp_path / "r.ome.zarr"), settings=settings
        )
    )
    inspected = sr.result_of(
        sr.iter_inspect(
            path,
            str(tmp_path / "reference0.tif"),
            source=str(tmp_path / "source0.tif"),
            settings=sr.InspectSettings(
                maps=("error", "interval"),
                calibration=tmp_path / "mine.json",
                device="cpu",
            ),
        )
    )
    error, half = (inspected.maps[key] for key in ("error", "interval"))
    assert float((np.asarray(error) <= np.asarray(half)).mean()) > 0.85
    words[2] = "faithful"
    ran = CliRunner().invoke(app, words)
    assert ran.exit_code == 1
    assert "leave --psf-sigma out" in " ".join(ran.output.split())
