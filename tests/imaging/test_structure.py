import numpy as np
import pytest
import torch
from scipy.ndimage import prewitt
from skimage.transform import rotate

from napari_structsr.imaging.filters import smooth
from napari_structsr.imaging.structure import (
    GRADIENT_RADIUS,
    Change,
    change_map,
    change_shares,
    gradient_difference_map,
    gradient_error,
    gradient_similarity_map,
    intensity_slope,
)


def filament(angle=0.0):
    """Draw a bright line through the middle of 64 x 64 pixels."""
    plane = np.zeros((65, 65))
    plane[12:53, 31:34] = 1
    turned = rotate(plane, angle, order=1)
    return smooth(torch.from_numpy(turned)[None, None].float(), 1.0)


def test_a_turned_filament_is_a_gradient_error_that_lengths_do_not_see():
    upright, lying = filament(), filament(90)
    corner = (slice(None), slice(None), slice(26, 39), slice(26, 39))
    right = gradient_error(lying[corner], upright[corner])
    assert right > 1

    def lengths(image):
        return gradient_difference_map(image, torch.zeros_like(image))

    spread = (
        lengths(lying).flatten().sort().values
        - lengths(upright).flatten().sort().values
    )
    assert spread.abs().max() < 0.05  # the same lengths, elsewhere directed


def test_gradient_error_is_the_definition_of_numpy(truth):
    result = torch.from_numpy(truth)[None, None].roll(1, dims=-1)
    exact = torch.from_numpy(truth)[None, None]
    wrong = truth - np.roll(truth, 1, axis=1)
    down, across = np.diff(wrong, axis=0), np.diff(wrong, axis=1)
    interior = np.hypot(down[:, :-1], across[:-1])
    found = gradient_difference_map(result, exact)[0, 0, :-1, :-1].numpy()
    np.testing.assert_allclose(found, interior, atol=1e-6)
    assert float(gradient_error(exact, exact)) == 0
    assert float(gradient_error(torch.full_like(exact, 0.3), exact)) == 1


def test_gradient_similarity_is_that_of_prewitt_gradients_of_scipy(truth):
    z = torch.from_numpy(truth)[None, None]
    x = smooth(z, 1.0)
    lengths = [
        np.hypot(
            *(prewitt(i[0, 0].numpy() / 3, axis, mode="mirror") for axis in (0, 1))
        )
        for i in (x, z)
    ]
    steady = 170 / 255**2
    expected = (2 * lengths[0] * lengths[1] + steady) / (
        lengths[0] ** 2 + lengths[1] ** 2 + steady
    )
    found = gradient_similarity_map(x, z)
    np.testing.assert_allclose(found[0, 0], expected, atol=2e-6)
    # a camera of 12 bits, and its range
    wide = gradient_similarity_map(4095 * x, 4095 * z, data_range=4095.0)
    torch.testing.assert_close(wide, found, atol=1e-5, rtol=0)


def test_gradient_similarity_sees_blur_but_neither_offset_nor_turn():
    upright = filament()
    assert (gradient_similarity_map(upright, upright) == 1).all()
    assert gradient_similarity_map(upright + 0.3, upright).min() > 0.999
    assert gradient_similarity_map(smooth(upright, 2.0), upright).min() < 0.5
    assert gradient_similarity_map(torch.zeros_like(upright), upright).min() < 0.1
    # the same strength in another direction: blind, while vectors see it
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(40.0), indexing="ij")
    down, across = 0.05 * y[None, None], 0.05 * x[None, None]
    assert gradient_similarity_map(down, across)[..., 1:-1, 1:-1].min() > 0.999
    assert gradient_difference_map(down, across)[..., 1:-1, 1:-1].min() > 0.05


def test_maps_of_gradients_are_the_same_in_tiles(truth, tiled):
    z = torch.from_numpy(truth)[None, None]
    x = smooth(z, 0.7).roll(1, dims=-1)
    for function in (gradient_similarity_map, gradient_difference_map):
        pieces = tiled(function, x, z, radius=GRADIENT_RADIUS)
        torch.testing.assert_close(pieces, function(x, z), atol=1e-6, rtol=0)


def test_maps_of_large_images_are_the_same_in_chunks(truth):
    """Large images are computed a few rows at a time."""
    z = torch.from_numpy(truth)[None, None].repeat(1, 1, 2, 6)
    x = smooth(z, 0.7)
    found = gradient_similarity_map(x, z)
    torch.testing.assert_close(
        found[..., :100, :],
        gradient_similarity_map(x[..., :101, :], z[..., :101, :])[..., :100, :],
        atol=1e-6,
        rtol=0,
    )
    assert found.shape == z.shape


def test_an_added_filament_is_a_hallucination_and_an_erased_one_an_omission():
    z = filament()
    u = smooth(z, 2.0)  # what interpolation leaves of it
    added = z.roll(20, dims=-1)
    on_added = added > 0.3
    on_true = z > 0.7
    kinds = change_map(z + added, z, u, noise=0.01)
    assert (kinds[on_added] == Change.HALLUCINATION).all()
    assert (kinds[on_true & ~on_added] == Change.IMPROVEMENT).all()
    kept = change_map(u, z, u, noise=0.01)
    assert set(kept.unique().tolist()) == {Change.WITHIN_NOISE, Change.OMISSION}
    erased = change_map(torch.zeros_like(z), z, u, noise=0.01)
    worse = (erased == Change.OMISSION) | (erased == Change.HALLUCINATION)
    assert worse[on_true].all()


def test_shares_sum_to_one_and_the_truth_is_all_improvement():
    z = filament()
    u = smooth(z, 2.0)
    shares = change_shares(change_map(z, z, u, noise=0.01))
    assert float(sum(shares.values())) == pytest.approx(1)
    assert float(shares[Change.HALLUCINATION] + shares[Change.OMISSION]) == 0
    assert 0.05 < float(shares[Change.IMPROVEMENT]) < 1


def test_pixels_within_noise_are_not_classed():
    z = torch.full((1, 1, 8, 8), 0.5)
    noise = torch.full_like(z, 0.02)
    noise[..., :4] = 0.001
    kinds = change_map(z + 0.01, z, z - 0.005, noise=noise)
    assert (kinds[..., 4:] == Change.WITHIN_NOISE).all()
    assert (kinds[..., :4] == Change.HALLUCINATION).all()


def test_a_wrong_gain_shows_in_the_slope_and_an_offset_does_not(truth):
    z = torch.from_numpy(truth)[None, None]
    slopes = intensity_slope(torch.cat([z, 0.8 * z + 0.1]), torch.cat([z, z]))
    assert slopes.tolist() == pytest.approx([1, 0.8], abs=1e-6)
    line = np.polyfit(truth.ravel(), smooth(z, 3.0).numpy().ravel(), 1)
    assert float(intensity_slope(smooth(z, 3.0), z)) == pytest.approx(line[0], abs=1e-4)


def test_classes_of_change_judge_regions_rather_than_single_pixels():
    z = torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    u = torch.zeros_like(z)
    one = z.clone()
    one[..., 10, 10] += 5
    several = z.clone()
    several[..., 20:32, 20:32] += 5
    single = change_map(one, z, u, noise=0.01)
    assert single[0, 0, 10, 10] == Change.HALLUCINATION
    many = change_map(several, z, u, noise=0.01, radius=4)
    region = many[0, 0, 22:30, 22:30]
    assert (region == Change.HALLUCINATION).all()
    # what is speckled by itself is one class as a region
    noisy = z + 0.4 * torch.randn(z.shape, generator=torch.Generator().manual_seed(1))
    by_pixel = change_map(noisy, z, u, noise=0.01)
    by_region = change_map(noisy, z, u, noise=0.01, radius=4)
    assert len(by_pixel.unique()) > 1
    borders = [
        (m[..., 1:] != m[..., :-1]).double().mean() for m in (by_pixel, by_region)
    ]
    assert borders[1] < borders[0] / 4
