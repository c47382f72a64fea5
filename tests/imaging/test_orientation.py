import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.data import brick
from skimage.feature import structure_tensor_eigenvalues
from skimage.filters import scharr
from skimage.transform import rotate

from napari_structsr.imaging.filters import smooth
from napari_structsr.imaging.orientation import (
    coherence_difference_map,
    direction_difference_maps,
    orientation_difference_map,
    orientation_radius,
)

NOISE = 0.02


def filament(angle, *, side=65):
    """Draw a bright line through the middle, `angle` degrees from upright."""
    y, x = np.mgrid[:side, :side] - side // 2
    turn = np.deg2rad(angle)
    across = x * np.cos(turn) - y * np.sin(turn)
    return torch.from_numpy(np.exp(-0.5 * (across / 1.5) ** 2))[None, None].float()


def stripes(angle, *, side=65, period=7):
    """Draw stripes, `angle` degrees from upright."""
    y, x = np.mgrid[:side, :side] - side // 2
    turn = np.deg2rad(angle)
    phase = (x * np.cos(turn) - y * np.sin(turn)) * 2 * np.pi / period
    return torch.from_numpy(0.5 + 0.3 * np.cos(phase))[None, None].float()


def noise(image, seed, level=NOISE):
    generator = torch.Generator().manual_seed(seed)
    return level * torch.randn(image.shape, generator=generator)


@pytest.mark.parametrize("angle", [5, 30, 45, 77, 90, 120])
def test_a_turned_filament_reads_its_angle(angle):
    turned, upright = filament(20 + angle), filament(20)
    expected = min(angle, 180 - angle)
    found = orientation_difference_map(turned, upright)
    assert float(found[..., 32, 32]) == pytest.approx(expected, rel=0.06)
    noisy = orientation_difference_map(
        turned + noise(turned, 0), upright + noise(upright, 1), noise=NOISE
    )
    assert float(noisy[..., 32, 32]) == pytest.approx(expected, rel=0.1, abs=2)
    # where only one image has a filament there is no angle to tell
    assert orientation_difference_map(turned, torch.zeros_like(turned)).max() == 0


@pytest.mark.parametrize("angle", [10, 60, 90])
def test_turned_texture_reads_its_angle_everywhere_inside(angle):
    found = orientation_difference_map(stripes(angle), stripes(0))[..., 8:-8, 8:-8]
    assert float(found.mean()) == pytest.approx(angle, rel=0.05)
    assert float(found.std()) < 0.05 * angle


def test_both_read_nothing_in_noise_and_in_flat_images():
    flat = torch.full((1, 1, 96, 96), 0.4)
    for function in (coherence_difference_map, orientation_difference_map):
        found = function(flat + noise(flat, 0), flat + noise(flat, 1), noise=NOISE)
        assert (found == 0).float().mean() > 0.99
        for level in (0.0, 0.02):
            empty = function(torch.zeros_like(flat), flat, noise=level)
            assert (empty == 0).all()
    # without the noise said, most of it still weighs little
    unsaid = orientation_difference_map(flat + noise(flat, 0), flat + noise(flat, 1))
    assert float(unsaid.median()) < 1


def test_both_are_nothing_at_equality_and_do_not_see_contrast():
    z = torch.from_numpy(brick()[:128, :160] / 255).float()[None, None]
    for function in (coherence_difference_map, orientation_difference_map):
        assert float(function(z, z).max()) < 1e-4
        assert float(function(0.5 * z + 0.2, z).max()) < 1e-2
        # a filament that is missing altogether has no direction
    missing = orientation_difference_map(torch.zeros_like(z), z)
    assert float(missing.max()) == 0


def test_both_are_those_of_gradients_of_scikit_image_and_windows_of_scipy():
    images = [brick()[:96, :96] / 255.0, brick()[40:136, 200:296] / 255.0]
    coherence, angle = [], []
    for image in images:
        padded = np.pad(image, 12, mode="reflect")
        down, across = (scharr(padded, axis=axis) for axis in (0, 1))
        products = down**2, down * across, across**2
        a, b, c = (gaussian_filter(p, 2.0, truncate=3.0) for p in products)
        large, small = structure_tensor_eigenvalues([a, b, c])[:, 12:-12, 12:-12]
        coherence.append((large - small) / (large + small))
        angle.append(0.5 * np.arctan2(2 * b, c - a)[12:-12, 12:-12])
    x, z = (torch.from_numpy(image)[None, None] for image in images)
    found = coherence_difference_map(x, z)[0, 0].numpy()
    np.testing.assert_allclose(found, abs(coherence[0] - coherence[1]), atol=1e-4)
    turn = np.rad2deg(abs(angle[0] - angle[1]))
    turn = np.minimum(turn, 180 - turn)
    weight = np.prod([c**2 * (3 - 2 * c) for c in coherence], axis=0)
    found = orientation_difference_map(x, z)[0, 0].numpy()
    np.testing.assert_allclose(found, turn * weight, atol=1e-2)


def test_coherence_sees_stripes_that_became_texture_and_the_reverse():
    striped = stripes(15)
    crossed = (stripes(15) + stripes(105)) / 2
    for result, truth in ((striped, crossed), (crossed, striped)):
        assert coherence_difference_map(result, truth)[..., 8:-8, 8:-8].min() > 0.6
    # stripes in another direction are as much of one direction
    turned = coherence_difference_map(stripes(80), striped)[..., 8:-8, 8:-8]
    assert float(turned.max()) < 0.1


def test_a_turned_patch_is_found_where_it_is():
    plane = brick()[:160, :160] / 255.0
    wrong = plane.copy()
    wrong[60:100, 60:100] = rotate(plane[60:100, 60:100], 90, order=1)
    z, x = (torch.from_numpy(i).float()[None, None] for i in (plane, wrong))
    for function in (coherence_difference_map, orientation_difference_map):
        found = function(x, z, noise=0.01)
        near = torch.zeros_like(z, dtype=bool)
        margin = orientation_radius()
        near[..., 60 - margin : 100 + margin, 60 - margin : 100 + margin] = True
        assert float(found[~near].max()) < 1e-4
    inside = orientation_difference_map(x, z, noise=0.01)[..., 64:96, 64:96]
    assert float(inside.mean()) > 10


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.3])
def test_maps_are_the_same_in_tiles(truth, tiled, sigma):
    z = torch.from_numpy(truth)[None, None]
    x = smooth(z, 0.7).roll(1, dims=-1)
    level = 0.001 + 0.01 * z
    radius = orientation_radius(sigma)
    for function, unit in (
        (coherence_difference_map, 1),
        (orientation_difference_map, 90),
    ):

        def computed(x, z, level, function=function):
            return function(x, z, sigma=sigma, noise=level)

        pieces = tiled(computed, x, z, level, radius=radius)
        whole = computed(x, z, level)
        torch.testing.assert_close(pieces, whole, atol=1e-5 * unit, rtol=0)


def test_channels_and_images_stand_for_themselves(truth):
    z = torch.from_numpy(truth)[None, None]
    x = z.mT.contiguous()[..., :192, :192]
    z = z[..., :192, :192]
    both = torch.cat([torch.cat([x, z], 1), torch.cat([z, x], 1)])
    level = torch.tensor([0.01, 0.02]).reshape(2, 1, 1, 1)
    found = orientation_difference_map(both, z.expand_as(both), noise=level)
    assert found.shape == both.shape
    alone = orientation_difference_map(x, z, noise=0.02)
    torch.testing.assert_close(found[1:, 1:], alone)
    assert float(found[0, 1].max()) < 1e-3


def test_maps_made_together_equal_those_made_one_by_one(truth):
    z = torch.from_numpy(truth)[None, None]
    x = z + noise(z, 0)
    together = direction_difference_maps(x, z, noise=0.02)
    for found, function in zip(
        together, (coherence_difference_map, orientation_difference_map), strict=True
    ):
        assert torch.equal(found, function(x, z, noise=0.02))
        assert found.max() > 0
