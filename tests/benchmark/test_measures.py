import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_structsr.benchmark.measures import (
    MEASURES,
    Measure,
    Reference,
    find_busiest_window,
)
from napari_structsr.benchmark.phantoms import draw_grains, draw_nuclei
from napari_structsr.benchmark.tracks import TRACKS

TRACK = TRACKS["x2-mild"]


@pytest.fixture(scope="module")
def truth():
    """Return drawn nuclei, which call for the objects task."""
    return draw_nuclei(side=256)


@pytest.fixture(scope="module")
def reference(truth):
    """Prepare the nuclei."""
    return Reference(truth, TRACK.measure(truth), TRACK)


def test_the_truth_scores_perfectly(reference, truth):
    found = reference.score(truth)
    assert set(found) == set(MEASURES)
    ones = ("ssim", "ms_ssim", "micro_ssim", "slope", "objects", "structure")
    bands = ("in", "filled", "beyond")
    ones += tuple(f"{what}_{b}" for what in ("power", "correlation") for b in bands)
    for key in ones:
        assert found[key] == pytest.approx(1, abs=1e-6), key
    assert found["gradient_error"] == found["omission"] == found["hallucination"] == 0
    assert found["improvement"] > 0.1
    assert found["psnr"] == pytest.approx(120)
    assert found["resolution"] == 2


@pytest.mark.parametrize(("sigma", "highest"), [(0.4, 0.5), (1.0, 0.25), (1.4, 0.25)])
def test_the_octave_that_is_filled_lies_lower_where_blur_is_wide(sigma, highest):
    truth = draw_grains(side=192)
    track = TRACKS[f"x2-gaussian-{sigma}-4000"]
    spectrum = np.fft.rfft2(truth)
    rings = np.hypot(np.fft.fftfreq(192)[:, None], np.fft.rfftfreq(192)[None]) * 2
    reference = Reference(truth, track.measure(truth), track)

    def keep(inside):
        part = np.fft.irfft2(np.where(inside, spectrum, 0.1 * spectrum), s=truth.shape)
        return reference.score(part.astype(np.float32), ["power_filled"])

    within = (rings > highest / 2 - 0.06) & (rings < highest + 0.06)
    assert keep(within)["power_filled"] == pytest.approx(1, abs=0.05)
    assert keep(~within)["power_filled"] < 0.1


def test_pixel_measures_are_those_of_scikit_image(reference, truth):
    noise = np.random.default_rng(0).standard_normal(truth.shape)
    result = (truth + 0.03 * noise).astype(np.float32)
    found = reference.score(result)
    expected = peak_signal_noise_ratio(truth, result, data_range=1)
    assert found["psnr"] == pytest.approx(expected, abs=1e-4)
    expected = structural_similarity(
        truth,
        result,
        data_range=1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert found["ssim"] == pytest.approx(expected, abs=1e-5)


def test_a_wrong_gain_shows_in_slope_and_agreement(reference, truth):
    found = reference.score(0.8 * truth)
    assert found["slope"] == pytest.approx(0.8, abs=1e-5)
    assert found["agreement_slope"] == pytest.approx(0.25, abs=0.02)  # 1 / 0.8 - 1
    shifted = reference.score(truth + np.float32(0.05))
    assert shifted["slope"] == pytest.approx(1, abs=1e-5)
    assert shifted["agreement_offset"] == pytest.approx(0.05, abs=0.005)
    assert shifted["micro_ssim"] > 0.999 > shifted["ssim"]


def test_dropping_a_nucleus_lowers_the_structure_score(reference, truth):
    labels = reference.objects.expected
    sizes = np.bincount(labels.ravel())
    result = truth.copy()
    result[labels == sizes[1:].argmax() + 1] = truth.min()
    assert reference.score(result)["objects"] < 1
    assert reference.score(result)["structure"] < 1


def test_measures_that_do_not_apply_are_none_and_left_out_of_means():
    noise = np.random.default_rng(0).random((96, 96)).astype(np.float32)
    found = Reference(noise, TRACK.measure(noise), TRACK).score(noise)
    assert found["objects"] is found["lines"] is found["structure"] is None
    assert MEASURES["structure"].combine([None, 0.5, 1.0]) == 0.75
    assert MEASURES["structure"].combine([None]) is None
    assert MEASURES["structure"].write(None) == "-"


def test_averages():
    assert MEASURES["power_in"].combine([0.25, 4]) == pytest.approx(1)
    assert MEASURES["agreement_slope"].combine([0.1, 0.3]) == 0.3
    assert Measure("x", 1, "").combine([1, 2]) == 1.5


def test_the_busiest_window_holds_the_detail():
    plane = np.zeros((400, 300), np.float32)
    plane[300:380, 200:280] = draw_grains(side=80)
    rows, columns = find_busiest_window(plane, 100)
    assert plane[rows, columns].shape == (100, 100)
    assert np.abs(plane[rows, columns]).sum() > 0.9 * plane.sum()
    assert find_busiest_window(plane[:50, :60], 100) == (slice(0, 50), slice(0, 60))
