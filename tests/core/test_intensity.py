import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_structsr.core.intensity import (
    Intensity,
    check_dtype,
    fit_intensity,
    to_dtype,
)
from napari_structsr.errors import PixelError


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(1, 1000), st.data())
def test_normalisation_is_inverted(low, span, seed, data):
    intensity = Intensity(low, low + span)
    values = low + span * np.random.default_rng(seed).uniform(-1, 2, (5, 6))
    back = intensity.restore(intensity.normalise(values))
    np.testing.assert_allclose(back, values, atol=1e-6 * intensity.span)


@pytest.mark.parametrize(
    "name", ["uint8", "uint16", "int16", "int32", "uint64", "int64"]
)
def test_integers_are_rounded_and_clipped_never_wrapped(name):
    dtype = np.dtype(name)
    limits = np.iinfo(dtype)
    values = np.array([-1e30, limits.min - 0.4, 3.5, 4.5, 3.49, limits.max * 1.1, 1e30])
    result = to_dtype(values, dtype)
    assert result.dtype == dtype
    assert result[0] == result[1] == limits.min
    assert list(result[2:5]) == [4, 4, 3]
    assert result[-1] >= limits.max - 4096
    assert (np.diff(result[[0, 4, 2, 5, 6]].astype(object)) >= 0).all()


def test_floats_are_kept():
    values = np.array([-0.25, 1e5, np.nan])
    np.testing.assert_array_equal(to_dtype(values, np.dtype("float64")), values)


@pytest.mark.parametrize(
    ("dtype", "word"),
    [("bool", "mask"), ("complex64", "magnitude"), ("U3", "no number")],
)
def test_pixels_without_intensity_are_refused(dtype, word):
    with pytest.raises(PixelError, match=word):
        check_dtype(np.dtype(dtype))


def test_range_ignores_hot_pixels_and_nan():
    rng = np.random.default_rng(0)
    block = rng.uniform(100, 200, (200, 200))
    block[3, 4] = 60000
    block[5, 6] = np.nan
    found = fit_intensity([block])
    assert 99 < found.low < 102
    assert 198 < found.high < 201


def test_range_of_a_nearly_empty_image_is_not_degenerate():
    block = np.zeros((300, 300), np.uint16)
    block[7, 8] = 900
    assert fit_intensity([block]).high == 900
    assert fit_intensity([np.full((9, 9), 7)]).constant


def test_nothing_but_nan_is_refused():
    with pytest.raises(PixelError, match="NaN"):
        fit_intensity([np.full((4, 4), np.nan)])


def test_noise_of_a_camera_is_found():
    """Poisson noise of known gain over a smooth scene, and read noise."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:400, :400] / 400
    photons = 50 + 400 * (np.sin(5 * x) * np.cos(4 * y) + 1)
    gain, read, offset = 3.0, 8.0, 100.0
    image = gain * rng.poisson(photons) + read * rng.standard_normal(photons.shape)
    found = fit_intensity([image + offset])
    for signal in (200.0, 800.0, 2000.0):
        true = gain * signal + read**2
        level = found.noise_gain * (offset + signal - found.low) + found.noise_floor
        assert level == pytest.approx(true, rel=0.2)


@pytest.mark.parametrize("lit", [0.08, 0.3])
def test_noise_of_an_image_that_is_mostly_black_is_found(lit):
    """The lowest pixels are the noise of black ones, and lie below black."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:400, :400] / 400
    light = np.where(x < lit, 0.6 + 0.4 * np.sin(9 * y), 0.004)
    photons, read = 60, 0.01
    image = rng.poisson(light * photons) / photons
    found = fit_intensity([image + read * rng.standard_normal(image.shape)])
    for signal in (0.3, 0.6, 0.9):
        true = signal / photons + read**2
        assert found.find_noise(signal) == pytest.approx(true, rel=0.4)
    # at half of the range, as a model is told
    shot, floor = found.relative_noise
    half = (found.low + found.high) / 2
    true = (half / photons + read**2) / found.span**2
    assert shot / 2 + floor == pytest.approx(true, rel=0.4)
    # few photons are no normal distribution, but dark stays dark
    assert found.find_noise(found.low) < 0.1 * found.find_noise(0.6 + found.low)


def test_noise_of_a_few_pixels_is_found():
    """Of two bins none may be left for the light."""
    rows = np.arange(7)[:, None] < 3
    for seed in range(60):
        rng = np.random.default_rng(seed)
        found = fit_intensity([1.0 * rng.poisson(np.where(rows, 0.2, 200), (7, 7))])
        assert 0 <= found.noise_floor <= found.find_noise(found.high) < np.inf


def test_rounding_is_the_least_noise_of_integers():
    ramp = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    assert fit_intensity([ramp]).noise_floor == pytest.approx(1 / 12)


@pytest.mark.parametrize("kind", ["float16", "float32"])
def test_finite_values_stay_finite_in_a_narrower_type(kind):
    values = np.array([1e300, -1e300, 1.5, np.nan, np.inf])
    found = to_dtype(values, np.dtype(kind))
    largest = np.finfo(kind).max
    np.testing.assert_array_equal(found, [largest, -largest, 1.5, np.nan, np.inf])
