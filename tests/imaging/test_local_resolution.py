import numpy as np
import pytest
import torch

from napari_structsr.imaging.filters import smooth
from napari_structsr.imaging.local_resolution import resolution_map, resolution_radius
from napari_structsr.imaging.spectrum import radial_frequency


def noise(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def cut(image, highest):
    """Keep the frequencies below `highest`."""
    spectrum = torch.fft.rfft2(image)
    spectrum[..., radial_frequency(*image.shape[-2:]) >= highest] = 0
    return torch.fft.irfft2(spectrum, s=image.shape[-2:])


def common_up_to(limit, shape=(1, 1, 256, 240)):
    """Return a truth, and a result that agrees with it up to a frequency."""
    truth, other = noise(shape, 0), noise(shape, 1)
    return cut(truth, limit) + other - cut(other, limit), truth


@pytest.mark.parametrize("period", [2.5, 4, 6, 10])
def test_period_is_where_common_detail_ends(period):
    found = resolution_map(*common_up_to(1 / period))
    assert 0.84 * period < float(found.median()) < 1.02 * period
    assert (found >= 2).all()


def test_one_window_is_the_ring_correlation_of_numpy():
    result, truth = common_up_to(0.2, (1, 1, 64, 64))
    result = result + 0.3 * noise(result.shape, 3)
    # the block whose window is the image begins at pixel 24
    found = float(resolution_map(result, truth, origin=(8, 8))[0, 0, 30, 30])
    fade = np.outer(*[0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 64)] * 2)
    x, z = (i[0, 0].double().numpy() for i in (result, truth))
    x, z = (np.fft.fft2((i - np.average(i, weights=fade)) * fade) for i in (x, z))
    cycles = np.fft.fftfreq(64, 1 / 64)
    ring = np.hypot(cycles[:, None], cycles).round().astype(int).ravel()

    def summed(values):
        return np.bincount(ring, values.ravel())[1:33]

    count = np.bincount(ring)[1:33]
    curve = summed((x * z.conj()).real) / np.sqrt(
        summed(abs(x) ** 2) * summed(abs(z) ** 2)
    )
    weights = np.convolve(count, [1, 2, 1], "same")
    curve = (np.convolve(curve * count, [1, 2, 1], "same") / weights)[1:]
    after = int(np.flatnonzero(curve < 1 / 7)[0])
    share = (curve[after - 1] - 1 / 7) / (curve[after - 1] - curve[after])
    assert found == pytest.approx(64 / (after + 1 + share), rel=1e-4)


def test_noise_and_flat_images_get_the_coarsest_value_and_the_truth_the_finest():
    image = noise((1, 1, 256, 256), 0)
    flat = torch.full_like(image, 0.7)
    chance = resolution_map(noise(image.shape, 1), image)
    assert (chance == 32).float().mean() > 0.98
    for pair in ((flat, flat), (flat, image), (image, flat), (image, 0 * image)):
        assert (resolution_map(*pair) == 32).all()
    assert (resolution_map(image, image) == 2).all()
    # counts of a camera on a large offset
    torch.testing.assert_close(
        resolution_map(5 + 0.02 * noise(image.shape, 1), 5 + 0.02 * image),
        chance,
        rtol=1e-3,
        atol=0,
    )


def test_values_are_constant_in_blocks_from_the_origin():
    result, truth = common_up_to(0.2, (1, 1, 130, 100))
    found = resolution_map(result, truth)
    assert found.shape == truth.shape
    for block in found[0, 0].split(16):
        assert all(len(part.unique()) == 1 for part in block.split(16, dim=1))
    assert len(found.unique()) > 20


def test_a_blurred_patch_is_coarser_and_a_gain_is_not_seen():
    truth = noise((1, 1, 256, 256), 0)
    grain = 0.5 * noise(truth.shape, 1)
    wrong = truth.clone()
    wrong[..., 100:160, 100:160] = smooth(truth, 2.0)[..., 100:160, 100:160]
    found = resolution_map(wrong + 0.1 * grain, truth)
    assert found[..., 112:144, 112:144].min() > 3.5
    outside = torch.ones_like(truth, dtype=bool)
    reach = resolution_radius()
    outside[..., 100 - reach : 160 + reach, 100 - reach : 160 + reach] = False
    assert (found[outside] == 2).all()
    plain = resolution_map(truth + grain, truth)
    torch.testing.assert_close(resolution_map(0.3 * (truth + grain), truth), plain)


@pytest.mark.parametrize(("window", "step"), [(64, 16), (32, 8), (48, 48)])
def test_any_tile_is_the_same_given_its_origin(tiled, window, step):
    result, truth = common_up_to(0.15, (1, 2, 150, 170))
    result = result + noise(result.shape, 4)

    def computed(x, z, *, origin=(0, 0)):
        return resolution_map(x, z, window=window, step=step, origin=origin)

    radius = resolution_radius(window=window, step=step)
    pieces = tiled(computed, result, truth, radius=radius, pass_origin=True)
    whole = computed(result, truth)
    assert len(whole.unique()) > 20
    torch.testing.assert_close(pieces, whole, atol=1e-5, rtol=1e-5)


def test_tiles_at_multiples_of_the_step_need_no_origin(tiled):
    result, truth = common_up_to(0.15, (1, 1, 150, 170))
    pieces = tiled(resolution_map, result, truth, radius=48, tile=(32, 64))
    torch.testing.assert_close(pieces, resolution_map(result, truth))


def test_odd_windows_are_refused():
    image = noise((1, 1, 32, 32), 0)
    for sizes in ({"window": 33}, {"step": 5}, {"window": 16, "step": 32}):
        with pytest.raises(ValueError, match="must be even"):
            resolution_map(image, image, **sizes)
