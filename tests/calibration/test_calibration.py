"""Calibrations: intervals that cover, files that can be read back, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_structsr.calibration.conformal import (
    count_effective_units,
    count_least_units,
    find_controlled_factor,
)
from napari_structsr.calibration.fit import calibrate
from napari_structsr.calibration.image_pairs import fit_truth
from napari_structsr.calibration.samples import (
    CalibrationPair,
    Samples,
    sample_pairs,
)
from napari_structsr.cli import app
from napari_structsr.errors import ModelError, SettingsError, TrainingError
from napari_structsr.imaging.expected_error import FEATURES
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.models.calibration import TrustCalibration, read_calibration
from napari_structsr.models.model import SRModel
from napari_structsr.zoo.catalogue import find_card, load_model


@pytest.fixture(scope="module")
def sharp() -> SRModel:
    return load_model("sharp", factor=2)


def blobs(seed: int, side: int = 384) -> np.ndarray:
    """Draw a smooth random texture, range 0..1."""
    random = np.random.default_rng(seed)
    image = torch.from_numpy(random.normal(size=(1, 1, side, side)).astype("f4"))
    from napari_structsr.imaging.filters import smooth

    image = smooth(image, 1.5) + 4 * smooth(image, 8.0)
    pixels = image[0, 0].numpy()
    return (pixels - pixels.min()) / np.ptp(pixels)


def pair(seed: int, *, photons: float = 2000) -> CalibrationPair:
    """Measure a drawn truth."""
    truth = blobs(seed)
    measured = ForwardModel(2).measure(
        torch.from_numpy(truth)[None, None],
        photons=photons,
        read_noise=0.005,
        generator=torch.Generator().manual_seed(seed),
    )
    return CalibrationPair(measured[0, 0].numpy(), truth, source="blobs")


@pytest.fixture(scope="module")
def seen(sharp: SRModel) -> Samples:
    return sample_pairs([pair(seed) for seed in range(8)], sharp)


@pytest.fixture(scope="module")
def fresh(sharp: SRModel) -> Samples:
    return sample_pairs([pair(seed) for seed in range(100, 106)], sharp)


def covered(
    samples: Samples,
    calibration: TrustCalibration,
    level: float,
    weights: np.ndarray | None = None,
) -> float:
    """Return the share of errors within their interval."""
    logarithms = calibration.predictor(torch.from_numpy(samples.features))
    bound = logarithms[..., 1].exp().numpy() * calibration.quantile(level)
    inside = (samples.errors <= bound).mean(axis=1)
    return float(np.average(inside, weights=weights))


@pytest.mark.parametrize("refit", [False, True])
def test_intervals_cover_images_of_the_same_kind(
    refit: bool, sharp: SRModel, seen: Samples, fresh: Samples
) -> None:
    calibration = calibrate(seen, sharp, start=sharp.card.calibration, refit=refit)
    for level in calibration.levels:
        assert covered(fresh, calibration, level) == pytest.approx(level, abs=0.02)
    mean = calibration.predictor(torch.from_numpy(fresh.features))[..., 0].exp()
    expected = float(mean.mean()) * calibration.scale
    assert expected == pytest.approx(float(fresh.errors.mean()), rel=0.05)


def test_the_risk_is_controlled_and_no_more_than_that() -> None:
    random = np.random.default_rng(0)
    for alpha in (0.05, 0.1, 0.2):
        ratios = random.exponential(size=(60, 40)) * random.lognormal(size=(60, 1))
        factor = find_controlled_factor(ratios, alpha=alpha)

        def bound(factor: float, ratios: np.ndarray = ratios) -> float:
            risk = (ratios > factor).mean(axis=1).mean()
            return float(60 / 61 * risk + 1 / 61)

        assert bound(factor) <= alpha + 1e-12
        assert bound(np.nextafter(factor, 0)) > alpha


def test_a_new_patch_is_missed_no_more_often_than_promised() -> None:
    random = np.random.default_rng(1)
    missed = []
    for _ in range(2000):
        ratios = random.exponential(size=(21, 16)) * random.lognormal(size=(21, 1))
        factor = find_controlled_factor(ratios[:-1], alpha=0.1)
        missed.append((ratios[-1] > factor).mean())
    spread = np.std(missed) / len(missed) ** 0.5
    assert np.mean(missed) <= 0.1 + 2 * spread
    assert np.mean(missed) >= 0.1 - 1 / 21 - 2 * spread


def test_weights_say_how_often_a_patch_stands() -> None:
    random = np.random.default_rng(2)
    ratios = random.exponential(size=(40, 8))
    times = random.integers(1, 5, 40)
    repeated = np.repeat(ratios, times, axis=0)
    for alpha in (0.1, 0.3):
        assert find_controlled_factor(
            ratios, alpha=alpha, weights=times.astype(float), number=len(repeated)
        ) == find_controlled_factor(repeated, alpha=alpha)
    units = np.repeat(np.arange(40), times)
    assert count_effective_units(units, 1 / times[units]) == pytest.approx(40)
    assert count_effective_units(units, np.ones(len(units))) < 40


def test_a_new_image_is_missed_no_more_often_than_promised(sharp: SRModel) -> None:
    """Patches of an image are alike, and easy images have more: images must count."""
    random = np.random.default_rng(3)
    usual = ({"noise": 0.01},)

    def drawn(images: int) -> Samples:
        level = random.lognormal(0, 0.7, images)
        patches = np.where(level < 1, 40, 4)  # large images are the easier ones
        image = np.repeat(np.arange(images), patches)
        level = level[image, None]
        errors = 0.01 * level * random.exponential(size=(len(image), 8))
        features = np.zeros((*errors.shape, len(FEATURES)), np.float32)
        kind = np.full(len(image), "drawn")
        return Samples(features, errors.astype(np.float32), image, kind, usual)

    assert sharp.card.calibration is not None
    start = sharp.card.calibration
    missed = []
    for _ in range(60):
        found = calibrate(drawn(60), sharp, start=start, refit=False)
        fresh = drawn(200)
        inside = 1 - covered(fresh, found, 0.9, fresh.weights(fresh.image))
        missed.append(inside)
    spread = np.std(missed) / len(missed) ** 0.5
    assert np.mean(missed) <= 0.1 + 2 * spread
    assert np.mean(missed) >= 0.1 - 2 / 61 - 2 * spread


def test_neither_a_large_source_nor_a_small_one_decides_alone(seen: Samples) -> None:
    source = np.where(seen.image == 0, "small", "large")
    samples = Samples(seen.features, seen.errors, seen.image, source, seen.statistics)
    weights = samples.weights(samples.image)
    large, small = (weights[source == name].sum() for name in ("large", "small"))
    assert large / small == pytest.approx(7**0.5)
    assert weights.mean() == pytest.approx(1)


def test_too_few_patches_promise_nothing() -> None:
    assert [count_least_units(alpha) for alpha in (0.2, 0.1, 0.05)] == [4, 9, 19]
    with pytest.raises(TrainingError, match="8 patches cannot promise that 90%"):
        find_controlled_factor(np.ones((8, 4)), alpha=0.1)


def test_few_pairs_are_refused(sharp: SRModel) -> None:
    one = pair(0)
    small = CalibrationPair(one.measured[:96, :96], one.truth[:192, :192])
    samples = sample_pairs([small], sharp)
    with pytest.raises(TrainingError, match=r"16 separated patches .* needs 50"):
        calibrate(samples, sharp, start=sharp.card.calibration)
    with pytest.raises(TrainingError, match="needs 200"):
        calibrate(samples, sharp)


def test_pairs_that_do_not_fit_are_refused(sharp: SRModel) -> None:
    good = pair(0)
    with pytest.raises(TrainingError, match="2 times as large"):
        sample_pairs([CalibrationPair(good.measured, good.measured)], sharp)
    holed = good.measured.copy()
    holed[3, 4] = np.nan
    with pytest.raises(TrainingError, match="NaN"):
        sample_pairs([CalibrationPair(holed, good.truth)], sharp)
    flat = np.ones_like(good.measured)
    with pytest.raises(TrainingError, match="constant"):
        sample_pairs([CalibrationPair(flat, good.truth)], sharp)
    with pytest.raises(TrainingError, match="no pairs"):
        sample_pairs([], sharp)


def test_the_unit_of_the_truth_is_fitted() -> None:
    one = pair(0)
    from napari_structsr.core.intensity import fit_intensity

    intensity = fit_intensity([one.measured])
    fitted = fit_truth(one.measured, one.truth * 300 - 20, ForwardModel(2), intensity)
    np.testing.assert_allclose(fitted, one.truth, atol=3e-3)
    with pytest.raises(TrainingError, match="do not show the same"):
        fit_truth(one.measured, pair(1).truth, ForwardModel(2), intensity)


def test_what_is_saved_is_read_back(
    tmp_path: Path, sharp: SRModel, seen: Samples
) -> None:
    calibration = calibrate(seen, sharp)
    path = tmp_path / "mine.json"
    calibration.save(path)
    assert read_calibration(path) == calibration
    assert path.stat().st_size < 20_000


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"more": 1}, "more"),
        ({"scale": -1.0}, "scale"),
        ({"means": [0.0]}, "as many means"),
        ({"factor": "2"}, "factor"),
    ],
)
def test_damaged_files_are_refused(
    tmp_path: Path, change: dict[str, object], told: str, sharp: SRModel
) -> None:
    assert sharp.card.calibration is not None
    path = tmp_path / "mine.json"
    content = sharp.card.calibration.model_dump(mode="json") | change
    path.write_text(json.dumps(content))
    with pytest.raises(ModelError, match=told):
        read_calibration(path)


def test_missing_and_foreign_files_are_refused(tmp_path: Path, sharp: SRModel) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_calibration(tmp_path / "nowhere.json")
    (tmp_path / "text.json").write_text("hello")
    with pytest.raises(ModelError, match="cannot be read as a calibration"):
        read_calibration(tmp_path / "text.json")
    assert sharp.card.calibration is not None
    other = sharp.card.calibration.model_copy(
        update={"features": tuple(reversed(FEATURES))}
    )
    with pytest.raises(ModelError, match="structsr calibrate"):
        _ = other.predictor
    with pytest.raises(SettingsError, match="choose one of 80%, 90%, 95%"):
        sharp.card.calibration.quantile(0.5)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("name", ["faithful", "sharp"])
def test_shipped_models_are_calibrated(name: str, factor: int) -> None:
    calibration = find_card(name, factor=factor).calibration
    assert calibration is not None
    assert (calibration.model, calibration.factor) == (name, factor)
    assert len(calibration.sources) >= 4
    assert calibration.patches >= 200
    assert {"noise", "fine_detail"} <= set(calibration.input_ranges)
    numbers = calibration.model_dump_json().count(",")
    assert numbers < 700


@pytest.mark.parametrize("factor", [1, 2])
def test_shipped_told_models_are_calibrated_for_new_sources(factor: int) -> None:
    calibration = find_card("conditional", factor=factor).calibration
    assert calibration is not None
    assert (calibration.model, calibration.factor) == ("conditional", factor)
    assert calibration.predictor.told
    shares = list(calibration.left_out.values())
    assert len(shares) >= 13
    assert np.median(shares) >= 0.9 - 1e-3


def test_a_blend_keeps_the_calibration_of_the_nearer_end() -> None:
    ends = [find_card(name, factor=2).calibration for name in ("faithful", "sharp")]
    blends = [
        find_card("sharp", factor=2, sharpness=share).calibration
        for share in (0.2, 0.8)
    ]
    assert blends == ends


def test_the_command(tmp_path: Path) -> None:
    import tifffile
    from typer.testing import CliRunner

    words = ["calibrate", "--model", "sharp", "--out", str(tmp_path / "mine.json")]
    for seed in range(2):
        one = pair(seed)
        for option, pixels in (("source", one.measured), ("reference", one.truth)):
            path = tmp_path / f"{option}{seed}.tif"
            tifffile.imwrite(path, (pixels * 5000 + 300).astype(np.uint16))
            words += [f"--{option}", str(path)]
    ran = CliRunner().invoke(app, words)
    assert ran.exit_code == 0, ran.output
    calibration = read_calibration(tmp_path / "mine.json")
    assert calibration.patches == 128
    assert calibration.images == 2

    ran = CliRunner().invoke(app, [*words, "--source", words[-1]])
    assert ran.exit_code == 1
    assert "one --reference for each --source" in ran.output
