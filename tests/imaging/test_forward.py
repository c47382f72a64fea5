import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import fourier_gaussian, gaussian_filter
from skimage.data import page
from skimage.measure import block_reduce

from napari_structsr.imaging.filters import smooth
from napari_structsr.imaging.forward import ForwardModel

models = st.builds(
    ForwardModel,
    factor=st.sampled_from([1, 2, 3, 4]),
    psf_sigma=st.sampled_from([0.0, 0.3, 0.4, 0.5]),
)
sizes = st.tuples(st.integers(1, 14), st.integers(1, 14))


def noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("factor", "sigma"), [(2, 0.4), (4, 0.4), (2, 0.8), (3, 0.5)])
def test_measuring_is_blur_then_mean_of_blocks(factor, sigma):
    image = np.random.default_rng(0).random((48, 36))
    blurred = gaussian_filter(image, sigma * factor, mode="reflect", truncate=4.2)
    expected = block_reduce(blurred, (factor, factor), np.mean)
    found = ForwardModel(factor, sigma)(torch.from_numpy(image)[None, None])[0, 0]
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("sigma", [0.25, 0.4, 0.7, 1.0, 1.6])
def test_blur_of_the_same_pixels_is_that_of_a_gaussian(sigma):
    """Also of one narrower than a pixel, whose samples would blur too little."""
    image = page() / 255
    wide = np.pad(image, [(0, size) for size in image.shape], mode="symmetric")
    spectrum = fourier_gaussian(np.fft.rfft2(wide), sigma, n=wide.shape[1])
    expected = np.fft.irfft2(spectrum, s=wide.shape)[: len(image), : image.shape[1]]
    found = ForwardModel(1, sigma)(torch.from_numpy(image)[None, None])[0, 0].numpy()
    assert (found - expected).std() < 0.06 * (image - expected).std()


@given(models, sizes, st.integers(0, 99))
def test_adjoint(model, size, seed):
    height, width = size
    fine = noise(1, 1, height * model.factor, width * model.factor, seed=seed)
    coarse = noise(1, 1, height, width, seed=seed + 1)
    left = (model(fine) * coarse).sum()
    right = (fine * model.adjoint(coarse)).sum()
    assert left == pytest.approx(float(right), abs=1e-9)


@given(models, sizes, st.integers(0, 99))
def test_pseudo_inverse_is_measured_exactly_up_to_the_border(model, size, seed):
    coarse = noise(2, 1, *size, seed=seed)
    error = (model(model.pseudo_inverse(coarse)) - coarse).abs().max()
    assert error < 5e-6 * coarse.abs().max()


@given(models)
def test_pseudo_inverse_is_the_smallest_solution(model):
    """What A cannot see is orthogonal to it."""
    coarse = noise(1, 1, 8, 9)
    solution = model.pseudo_inverse(coarse)
    other = noise(1, 1, 8 * model.factor, 9 * model.factor, seed=5)
    unseen = other - model.pseudo_inverse(model(other))
    assert abs(float((solution * unseen).sum())) < 1e-4


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("sigma", [0.25, 0.4, 0.7, 1.0, 2.0])
def test_damped_inverse_keeps_brightness_and_little_noise(factor, sigma):
    model = ForwardModel(factor, sigma)
    white = noise(1, 1, 160, 160)
    assert model.damped_inverse(white).std() < 2.7 * white.std()
    level = torch.full((1, 1, 24, 30), 0.3, dtype=torch.float64)
    assert (model.damped_inverse(level) - 0.3).abs().max() < 1e-5
    exact = model.pseudo_inverse(white)
    if sigma <= 0.4:
        assert torch.equal(model.damped_inverse(white), exact)
    else:  # what it says of the noise is what a plane of noise shows
        found = float(exact.std() / white.std())
        assert model.noise_gain == pytest.approx(found, rel=0.1)


@given(models)
def test_reach_and_radius_bound_the_influence(model):
    """A pixel farther away than `radius` changes nothing."""
    size = 2 * model.radius + 11
    centre = size // 2
    quiet = torch.zeros(1, 1, size, 1 + 2 * 3, dtype=torch.float64)
    loud = quiet.clone()
    loud[..., centre, :] = 1.0
    touched = model.pseudo_inverse(loud).abs().amax(dim=(0, 1, 3)) > 0
    rows = torch.nonzero(touched).flatten() // model.factor
    assert (rows - centre).abs().max() <= model.radius


def test_noise_has_the_stated_moments():
    model = ForwardModel(2, 0.4)
    image = torch.full((1, 1, 400, 400), 0.25)
    generator = torch.Generator().manual_seed(0)
    measured = model.measure(image, photons=1000, read_noise=0.02, generator=generator)
    assert float(measured.mean()) == pytest.approx(0.25, abs=5e-4)
    assert float(measured.var()) == pytest.approx(0.25 / 1000 + 0.02**2, rel=0.03)


@pytest.mark.parametrize("sigma", [1.0, 2.5])
def test_smooth_is_a_mirrored_gaussian(sigma):
    image = np.random.default_rng(2).random((30, 41))
    expected = gaussian_filter(image, sigma, mode="reflect", truncate=4)
    found = smooth(torch.from_numpy(image)[None, None], sigma)[0, 0]
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_gradients_of_smoothing_are_those_of_differences():
    image = torch.rand(2, 1, 7, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: smooth(x, 0.8), image)
    assert torch.autograd.gradgradcheck(lambda x: smooth(x, 0.8), image)
