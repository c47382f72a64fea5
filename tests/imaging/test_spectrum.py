import numpy as np
import pytest
import torch
from skimage.data import cell

from napari_structsr.imaging.spectrum import (
    compare_band,
    radial_frequency,
    ring_correlation,
)


def noise(shape, seed):
    """White noise."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def cut(image, highest):
    """Keep the frequencies below `highest`."""
    spectrum = torch.fft.rfft2(image)
    spectrum[..., radial_frequency(*image.shape[-2:]) >= highest] = 0
    return torch.fft.irfft2(spectrum, s=image.shape[-2:])


@pytest.mark.parametrize("limit", [0.1, 0.23, 0.4])
@pytest.mark.parametrize("shape", [(256, 256), (301, 200)])
def test_resolution_is_where_common_detail_ends(limit, shape):
    truth = noise((1, 1, *shape), 0)
    common = cut(truth, limit)
    other = noise((1, 1, *shape), 1)
    result = common + other - cut(other, limit)
    found = ring_correlation(result, truth)
    assert found.correlation[0, found.frequency < limit - 0.02].min() > 0.98
    assert float(1 / found.resolution()) == pytest.approx(limit, abs=0.012)


def test_rings_are_the_normalised_cross_spectrum():
    one, other = noise((1, 1, 64, 64), 0), noise((1, 1, 64, 64), 1)
    other = other + 0.7 * one
    found = ring_correlation(one, other, rings=16)
    window = np.hanning(65)[:-1]
    x, z = (
        np.fft.fft2((i[0, 0] - i.mean()).numpy() * window[:, None] * window)
        for i in (one, other)
    )
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64)))
    for number in (0, 3, 15):
        ring = (f >= number / 32) & (f < (number + 1) / 32)
        expected = (x * z.conj())[ring].sum().real / np.sqrt(
            (abs(x) ** 2)[ring].sum() * (abs(z) ** 2)[ring].sum()
        )
        assert float(found.correlation[0, number]) == pytest.approx(expected, abs=1e-5)


def resolution_of_numpy(one, other, *, rings):
    """Take another route: the whole spectrum, and sums of NumPy."""
    side = one.shape[0]
    fade = np.outer(*[0.5 - 0.5 * np.cos(2 * np.pi * np.arange(side) / side)] * 2)
    x, z = (np.fft.fft2((image - image.mean()) * fade) for image in (one, other))
    f = np.fft.fftfreq(side)
    ring = (np.hypot(f[:, None], f) * 2 * rings).astype(int).ravel()

    def summed(values):
        return np.bincount(ring, values.ravel())[:rings]

    curve = summed((x * z.conj()).real) / np.sqrt(
        summed(abs(x) ** 2) * summed(abs(z) ** 2)
    )
    middle = (np.arange(rings) + 0.5) / (2 * rings)
    after = int(np.flatnonzero(curve < 1 / 7)[0])
    around = slice(after - 1, after + 1)
    return 1 / np.interp(1 / 7, curve[around][::-1], middle[around][::-1])


@pytest.mark.parametrize("rings", [64, 128])
@pytest.mark.parametrize("level", [0.03, 0.1, 0.3])
def test_resolution_of_two_noisy_images_of_a_cell_is_that_of_numpy(level, rings):
    exact = cell()[200:456, 180:436] / 255.0
    rng = np.random.default_rng(0)
    one, other = (exact + level * rng.standard_normal(exact.shape) for _ in range(2))
    found = ring_correlation(
        *(torch.from_numpy(image)[None, None].float() for image in (one, other)),
        rings=rings,
    ).resolution()
    assert float(found) == pytest.approx(
        resolution_of_numpy(one, other, rings=rings), rel=1e-3
    )
    assert float(found) > 2.5


def test_equal_images_resolve_two_pixels_and_unequal_ones_nothing():
    image = noise((1, 1, 128, 128), 0)
    same = ring_correlation(image, image)
    assert float(same.resolution()) == 2
    assert float(same.correlation.min()) == pytest.approx(1)
    flat = compare_band(torch.zeros_like(image), image, lowest=0.1, highest=0.5)
    assert float(flat.power) == float(flat.correlation) == 0
    for level in (0.0, 0.7, 5.1):
        flat = torch.full_like(image, level)
        for pair in ((flat, image), (image, flat), (flat, flat)):
            assert float(ring_correlation(*pair).resolution()) == pytest.approx(256)


def test_band_sees_lost_power_and_lost_phase():
    truth = noise((1, 1, 256, 200), 0)
    lost = truth - 0.5 * (truth - cut(truth, 0.25))
    inside = compare_band(lost, truth, lowest=0.125, highest=0.245)
    beyond = compare_band(lost, truth, lowest=0.255, highest=0.5)
    assert float(inside.power) == pytest.approx(1, abs=1e-3)
    assert float(beyond.power) == pytest.approx(0.25, abs=1e-3)
    assert float(beyond.correlation) == pytest.approx(1, abs=1e-3)
    mixed = truth + noise((1, 1, 256, 200), 1)
    found = compare_band(mixed, truth, lowest=0.25, highest=0.5)
    assert float(found.power) == pytest.approx(2, abs=0.1)
    assert float(found.correlation) == pytest.approx(2**-0.5, abs=0.02)


def test_images_are_compared_one_by_one():
    truth, result = noise((2, 1, 64, 64), 0), noise((2, 1, 64, 64), 1)
    result[1] = truth[1]
    found = compare_band(result, truth, lowest=0.1, highest=0.5)
    assert found.power.shape == (2,)
    assert abs(float(found.correlation[0])) < 0.1
    assert float(found.correlation[1]) == pytest.approx(1)
    assert ring_correlation(result, truth).correlation.shape == (2, 32)
