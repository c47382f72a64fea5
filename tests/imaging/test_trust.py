import numpy as np
import pytest
import torch
from scipy.ndimage import generic_filter, uniform_filter
from torch.nn import functional as F

from napari_structsr.imaging.filters import smooth
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.imaging.trust import (
    ARTEFACT_RADIUS,
    MIN_NOISE,
    artefact_map,
    flips_and_rotations,
    null_space_map,
    residual_map,
    spread_map,
)

FORWARD = ForwardModel(2, 0.4)


@pytest.fixture(scope="module")
def image(truth):
    """Return the cell as a result, shape (1, 1, 192, 224)."""
    return torch.from_numpy(truth)[None, None]


def noise(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def invented(image, forward_model):
    """Return detail of the strength 0.1 that measures as nothing."""
    detail = 0.1 * noise(image.shape)
    return detail - forward_model.pseudo_inverse(forward_model(detail))


# -- residual --------------------------------------------------------------------------


def test_residual_of_the_truth_is_noise_of_deviation_one(image):
    clean = FORWARD(image)
    variance = 1e-4 + 1e-3 * clean
    measured = clean + variance.sqrt() * noise(clean.shape)
    found = residual_map(image, measured, FORWARD, variance)
    assert found.shape == image.shape
    assert float((found**2).mean().sqrt()) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_residual_is_the_distance_in_deviations_repeated(factor, image):
    forward_model = ForwardModel(factor, 0.4)
    image = image[..., :180, :204]
    clean = forward_model(image)
    shift = torch.zeros_like(clean)
    shift[..., 10, 12] = -0.06
    variance = torch.full_like(clean, 0.02**2)
    found = residual_map(image, clean + shift, forward_model, variance)
    expected = np.kron(shift.abs()[0, 0] / 0.02, np.ones((factor, factor)))
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-4)


def test_without_noise_a_residual_is_divided_by_the_least_noise(image):
    measured = FORWARD(image) + 0.05
    found = residual_map(image, measured, FORWARD, torch.zeros_like(measured))
    np.testing.assert_allclose(found, 0.05 / MIN_NOISE, rtol=1e-3)


def test_a_vanished_structure_leaves_a_residual_where_it_was(image):
    measured = FORWARD(image)
    wrong = image.clone()
    wrong[..., 120:150, 170:200] = image.mean()
    variance = torch.full_like(measured, 0.01**2)
    found = residual_map(wrong, measured, FORWARD, variance)
    assert found[..., 120:150, 170:200].mean() > 3
    assert found[..., :110, :].max() < 1e-2


# -- null space ------------------------------------------------------------------------


def test_invented_detail_hides_from_the_residual_and_shows_in_the_null_space(image):
    measured = FORWARD(image) + 0.01 * noise((1, 1, 96, 112), seed=1)
    variance = torch.full_like(measured, 0.01**2)
    detail = invented(image, FORWARD)
    residuals = [
        residual_map(result, measured, FORWARD, variance)
        for result in (image, image + detail)
    ]
    assert (residuals[0] - residuals[1]).abs().max() < 1e-3
    before, after = (
        null_space_map(result, FORWARD) for result in (image, image + detail)
    )
    assert after.square().mean().sqrt() > 2 * before.square().mean().sqrt()
    np.testing.assert_allclose(null_space_map(detail, FORWARD), detail.abs(), atol=1e-5)


def test_what_the_measurement_decides_is_not_in_the_null_space(image):
    decided = FORWARD.pseudo_inverse(FORWARD(image))
    assert null_space_map(decided, FORWARD).max() < 1e-5


def test_null_space_without_blur_is_what_the_mean_of_each_pixel_leaves(image):
    found = null_space_map(image, ForwardModel(2, 0.0))[0, 0].numpy()
    values = image[0, 0].numpy()
    means = values.reshape(96, 2, 112, 2).mean(axis=(1, 3))
    expected = np.abs(values - np.kron(means, np.ones((2, 2))))
    np.testing.assert_allclose(found, expected, atol=1e-6)


# -- artefacts -------------------------------------------------------------------------


def local_deviation(values):
    """Return the deviation in 11 x 11 pixels, by scipy in float64."""
    values = values.numpy().astype(np.float64)
    mean = uniform_filter(values, 11, mode="mirror")
    square = uniform_filter(values**2, 11, mode="mirror")
    return np.sqrt(np.maximum(square - mean**2, 0))


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_artefacts_equal_the_formula_with_deviations_of_scipy(image, offset):
    # multiples of 2 ** -13 keep their value in float32 when the offset is added
    faithful, sharp = (
        (result * 8192).round() / 8192
        for result in (smooth(image, 1), image + 0.05 * noise(image.shape))
    )
    found = artefact_map(faithful + offset, sharp + offset, noise=0.02)
    f, a = (local_deviation(part[0, 0]) for part in (faithful, sharp))
    expected = (2 * f * a + 0.02**2) / (f**2 + a**2 + 0.02**2)
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-5)


def test_a_single_window_is_its_deviation():
    values = noise((1, 1, 11, 11))
    found = artefact_map(values, torch.zeros_like(values), noise=1.0)[0, 0, 5, 5]
    assert float(found) == pytest.approx(1 / (float(values.var(correction=0)) + 1))
    whole = generic_filter(values[0, 0].numpy(), np.std, size=11, mode="mirror")
    assert float(found) == pytest.approx(1 / (whole[5, 5] ** 2 + 1), rel=1e-5)


def test_equal_contrast_and_empty_background_read_one(image):
    assert artefact_map(image, image).min() > 1 - 1e-6
    flat = torch.full_like(image, 0.3)
    assert artefact_map(flat, flat).min() == 1
    hardly = flat + 0.002 * noise(image.shape)
    assert artefact_map(flat, hardly).min() > 0.98


def test_invented_and_lost_texture_read_low_where_they_are(image):
    sharp = image.clone()
    sharp[..., 40:70, 40:70] += 0.15 * noise((30, 30))
    sharp[..., 120:150, 160:190] = smooth(image, 8)[..., 120:150, 160:190]
    found = artefact_map(image, sharp)
    assert found[..., 45:65, 45:65].mean() < 0.7
    assert found[..., 120:150, 160:190].min() < 0.8
    assert found[..., 100:, :150].min() > 1 - 1e-6


# -- spread ----------------------------------------------------------------------------


def lopsided(measured):
    """Upscale by two and blur along one diagonal, so that orientation matters."""
    large = F.interpolate(measured, scale_factor=2, mode="bicubic")
    padded = F.pad(large, (2, 2, 2, 2), mode="reflect")
    height, width = large.shape[-2:]
    return 0.7 * large + 0.3 * padded[..., 1 : 1 + height, 4 : 4 + width]


def test_spread_equals_the_deviation_of_eight_results_by_numpy(image):
    measured = image[..., :60, :80]
    results = []
    for flipped in (False, True):
        for quarters in range(4):
            turned = np.rot90(
                measured.numpy()[..., ::-1] if flipped else measured.numpy(),
                quarters,
                (-2, -1),
            )
            result = lopsided(torch.from_numpy(turned.copy())).numpy()
            result = np.rot90(result, -quarters, (-2, -1))
            results.append(result[..., ::-1] if flipped else result)
    found = spread_map(lopsided, measured)
    assert found.shape == (1, 1, 120, 160)
    np.testing.assert_allclose(found, np.std(results, axis=0), atol=1e-6)
    assert found.max() > 0.003


def test_spread_of_what_treats_all_orientations_alike_is_nothing(image):
    def upscale(measured):
        return F.interpolate(measured, scale_factor=2, mode="bicubic")

    assert spread_map(upscale, image + 1000).max() < 1e-3
    assert spread_map(upscale, image).max() < 1e-6


def test_orientations_are_eight_and_the_way_back_leads_back(image):
    corner = image[..., :5, :7]
    seen = set()
    for turn, back in flips_and_rotations():
        assert torch.equal(back(turn(corner)), corner)
        seen.add(turn(corner).numpy().tobytes())
    assert len(seen) == 8
    turn, _ = next(flips_and_rotations())
    assert torch.equal(turn(corner), corner)


# -- tiles -----------------------------------------------------------------------------


def tiled(compute, image, *, side, radius, align=2):
    """Compute in tiles of any size, cut at the border of the image."""
    out = torch.zeros_like(image)
    height, width = image.shape[-2:]
    radius += -radius % align
    for top in range(0, height, side):
        for left in range(0, width, side):
            rows = slice(max(top - radius, 0), min(top + side + radius, height))
            columns = slice(max(left - radius, 0), min(left + side + radius, width))
            found = compute(rows, columns)
            out[..., top : top + side, left : left + side] = found[
                ...,
                top - rows.start : top - rows.start + side,
                left - columns.start : left - columns.start + side,
            ]
    return out


def halves(rows, columns):
    """Return the same place in measured pixels."""
    return (
        slice(rows.start // 2, rows.stop // 2),
        slice(columns.start // 2, columns.stop // 2),
    )


@pytest.mark.parametrize("side", [50, 96])
def test_tiles_equal_the_whole(image, side):
    measured = FORWARD(image) + 0.02 * noise((1, 1, 96, 112))
    variance = 1e-4 + 1e-3 * measured.clamp_min(0)
    sharp = image + 0.03 * noise(image.shape)

    def residual(r, c):
        i, j = halves(r, c)
        part = measured[..., i, j], FORWARD, variance[..., i, j]
        return residual_map(image[..., r, c], *part)

    def artefact(r, c):
        return artefact_map(image[..., r, c], sharp[..., r, c])

    def spread(r, c):
        i, j = halves(r, c)
        return spread_map(lopsided, measured[..., i, j])

    def null(r, c):
        return null_space_map(image[..., r, c], FORWARD)

    radii = {
        residual: 2 * FORWARD.reach,
        artefact: ARTEFACT_RADIUS,
        spread: 2 * 4,
        null: 2 * FORWARD.radius,
    }
    everything = slice(0, 192), slice(0, 224)
    for compute, radius in radii.items():
        found = tiled(compute, image, side=side, radius=radius)
        whole = compute(*everything)
        assert whole.max() > 0
        scale = max(1.0, float(whole.max()))
        assert (found - whole).abs().max() < 1e-5 * scale
