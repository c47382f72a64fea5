import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_structsr.imaging.filters import smooth
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.imaging.squirrel import (
    MAX_SIGMA,
    SquirrelFit,
    fit_squirrel,
    squirrel_map,
    squirrel_radius,
)

FORWARD = ForwardModel(2, 0.4)


@pytest.fixture(scope="module")
def pair(truth):
    """Return a noisy result and its interpolated measurement, 192 x 224 pixels."""
    image = torch.from_numpy(truth)[None, None]
    measured = 0.8 * FORWARD(image) + 0.1 + 0.02 * noise((1, 1, 96, 112))
    base = torch.nn.functional.interpolate(measured, scale_factor=2, mode="bicubic")
    return image + 0.05 * noise(image.shape), base


def noise(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def dense(image, base, widths):
    """Try every width with scipy and numpy; return what fits best."""
    x, b = (part[0, 0].numpy().astype(np.float64) for part in (image, base))
    found = []
    for sigma in widths:
        blurred = gaussian_filter(x, sigma, mode="reflect")
        columns = np.stack([blurred.ravel(), np.ones(blurred.size)], axis=1)
        (gain, offset), *_ = np.linalg.lstsq(columns, b.ravel(), rcond=None)
        error = gain * blurred + offset - b
        rsp = np.corrcoef((gain * blurred + offset).ravel(), b.ravel())[0, 1]
        rse = np.sqrt((error**2).mean())
        found.append(SquirrelFit(sigma, gain, offset, rse, rsp))
    return min(found, key=lambda fit: fit.rse)


def test_fit_equals_a_dense_search(pair):
    found = fit_squirrel(*pair)
    expected = dense(
        *pair, widths=np.arange(found.sigma - 0.5, found.sigma + 0.5, 0.02)
    )
    assert 0.5 < found.sigma < 3
    assert found.sigma == pytest.approx(expected.sigma, abs=0.02)
    assert found.gain == pytest.approx(expected.gain, rel=2e-3)
    assert found.offset == pytest.approx(expected.offset, abs=1e-3)
    assert found.rse == pytest.approx(expected.rse, rel=1e-4)
    assert found.rsp == pytest.approx(expected.rsp, abs=1e-5)
    coarse = dense(*pair, widths=np.arange(0.1, MAX_SIGMA, 0.1))
    assert coarse.rse >= found.rse * (1 - 1e-4)


@pytest.mark.parametrize(
    ("sigma", "gain", "offset"), [(0.9, 1.7, -0.3), (2.5, 0.2, 10), (7.3, -1.0, 0)]
)
def test_blur_gain_and_offset_are_found_again(pair, sigma, gain, offset):
    image = pair[0].double()
    base = gain * smooth(image, sigma) + offset
    found = fit_squirrel(image, base)
    assert found.sigma == pytest.approx(sigma, abs=2e-3)
    assert found.gain == pytest.approx(gain, rel=2e-3)
    assert found.offset == pytest.approx(offset, abs=2e-3)
    assert found.rse < 1e-4
    assert found.rsp == pytest.approx(1, abs=1e-6)


def test_map_has_the_root_mean_square_that_the_fit_states(pair):
    fit = fit_squirrel(*pair)
    found = squirrel_map(*pair, fit)
    x, b = (part[0, 0].numpy().astype(np.float64) for part in pair)
    blurred = gaussian_filter(x, fit.sigma, mode="reflect")
    expected = np.abs(fit.gain * blurred + fit.offset - b)
    np.testing.assert_allclose(found[0, 0], expected, atol=2e-4)
    assert float(found.square().mean().sqrt()) == pytest.approx(fit.rse, rel=1e-5)


def test_a_change_of_gain_is_not_seen_and_a_missing_structure_is(pair):
    image, base = pair
    fit, dimmed = fit_squirrel(image, base), fit_squirrel(0.4 * image + 0.2, base)
    assert dimmed.rse == pytest.approx(fit.rse, rel=1e-4)
    wrong = image.clone()
    wrong[..., 120:150, 170:200] = image.mean()
    worse = fit_squirrel(wrong, base)
    assert worse.rse > 1.2 * fit.rse
    assert worse.rsp < fit.rsp
    found = squirrel_map(wrong, base, worse)
    assert found[..., 120:150, 170:200].mean() > 3 * found.mean()


def test_detail_finer_than_the_blur_is_not_seen(pair):
    image, base = pair
    detail = 0.1 * noise(image.shape, seed=1)
    detail = detail - FORWARD.pseudo_inverse(FORWARD(detail))
    fit, invented = fit_squirrel(image, base), fit_squirrel(image + detail, base)
    assert invented.rse < 1.1 * fit.rse


def test_the_width_stays_within_its_bound(pair):
    image, _ = pair
    base = smooth(image, 5)
    found = fit_squirrel(image, base, max_sigma=2.0)
    assert found.sigma == pytest.approx(2.0, abs=1e-3)
    assert fit_squirrel(image, image).sigma == pytest.approx(0, abs=0.2)


def test_constant_images_have_nothing_to_correlate(pair):
    image, base = pair
    flat = fit_squirrel(torch.full_like(image, 0.3), base)
    mean, deviation = float(base.mean()), float(base.std(correction=0))
    assert (flat.sigma, flat.gain, flat.rsp) == (0, 0, 0)
    assert flat.offset == pytest.approx(mean, rel=1e-5)
    assert flat.rse == pytest.approx(deviation, rel=1e-5)
    dark = fit_squirrel(image, torch.zeros_like(base))
    assert dark == SquirrelFit(0, 0, 0, 0, 0)
    assert squirrel_map(image, torch.zeros_like(base), dark).max() == 0


def test_blocks_share_one_fit(pair):
    image, base = pair
    blocks = [torch.cat(part.split(96, dim=-2)) for part in pair]
    assert blocks[0].shape == (2, 1, 96, 224)
    whole, shared = fit_squirrel(image, base), fit_squirrel(*blocks)
    assert shared.sigma == pytest.approx(whole.sigma, abs=0.1)
    assert shared.rse == pytest.approx(whole.rse, rel=0.02)
    twice = fit_squirrel(torch.cat([image, image]), torch.cat([base, base]))
    assert twice.rse == pytest.approx(whole.rse, rel=1e-6)
    assert twice.sigma == pytest.approx(whole.sigma, abs=1e-3)


@pytest.mark.parametrize("sigma", [0.0, 0.8, MAX_SIGMA])
def test_tiles_equal_the_whole(pair, sigma):
    image, base = pair
    fit = SquirrelFit(sigma, 0.8, 0.1, 0.0, 0.0)
    whole = squirrel_map(image, base, fit)
    for radius in (squirrel_radius(), squirrel_radius(max_sigma=sigma)):
        for top, left in ((0, 0), (64, 96), (128, 160)):
            up, to_left = min(radius, top), min(radius, left)
            place = (
                ...,
                slice(top - up, top + 64 + radius),
                slice(left - to_left, left + 64 + radius),
            )
            part = squirrel_map(image[place], base[place], fit)
            part = part[..., up : up + 64, to_left : to_left + 64]
            expected = whole[..., top : top + 64, left : left + 64]
            assert (part - expected).abs().max() < 1e-6
