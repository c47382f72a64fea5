import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.data import camera as load_camera

from napari_structsr.imaging.agreement import agree, agreement_radius, minimum_share
from napari_structsr.imaging.forward import ForwardModel

FORWARD = ForwardModel(2, 0.4)


def scene(height=40, width=52, seed=0):
    """Return an HR image that is neither smooth nor noise, and its measurement."""
    rng = np.random.default_rng(seed)
    image = np.cumsum(rng.standard_normal((2 * height, 2 * width)), axis=1)
    image = torch.from_numpy((image - image.min()) / np.ptp(image))[None, None]
    return image, FORWARD(image)


def camera():
    """Return a photograph from 0 to 1."""
    return load_camera() / 255


def test_off_changes_nothing():
    image, measured = scene()
    assert agree(image, measured, FORWARD, agreement="off") is image


@given(st.integers(0, 50))
def test_exact_is_the_nearest_image_that_measures_the_same(seed):
    truth, measured = scene(seed=seed)
    guess = truth.roll(1, dims=-1)
    result = agree(guess, measured, FORWARD, agreement="exact")
    assert (FORWARD(result) - measured).abs().max() < 1e-5
    # a projection cannot move away from any image that agrees, and so from the truth
    assert (result - truth).norm() <= (guess - truth).norm() * (1 + 1e-6)


def test_within_noise_leaves_noise_and_corrects_what_is_missing():
    truth, clean = scene()
    noise = 0.01 * torch.from_numpy(
        np.random.default_rng(1).standard_normal(clean.shape)
    )
    measured = clean + noise
    variance = torch.full_like(measured, 0.01**2)
    kept = agree(truth, measured, FORWARD, agreement="noise", variance=variance)
    wrong = truth.clone()
    wrong[..., 20:32, 30:42] = truth.mean()  # a structure vanished
    mended = agree(wrong, measured, FORWARD, agreement="noise", variance=variance)
    exact = agree(truth, measured, FORWARD, agreement="exact")
    # the truth is hardly touched: far less noise comes in than with "exact"
    assert (kept - truth).std() < 0.35 * (exact - truth).std()
    assert (mended - truth).norm() < 0.8 * (wrong - truth).norm()


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("sigma", [0.7, 1.0, 1.4])
@pytest.mark.parametrize("photons", [60, 4000])
def test_within_noise_does_not_amplify_what_noise_is_left(factor, sigma, photons):
    """A wide blur hides detail: to divide by its transfer would bring noise alone."""
    forward = ForwardModel(factor, sigma)
    truth = torch.from_numpy(camera()[None, None, :256, :256]).double()
    measured = forward.measure(
        truth,
        photons=photons,
        read_noise=0.003,
        generator=torch.Generator().manual_seed(1),
    )
    variance = measured.clamp_min(0) / photons + 0.003**2
    kept = agree(truth, measured, forward, agreement="noise", variance=variance)
    exact = agree(truth, measured, forward, agreement="exact")
    assert (kept - truth).std() < 0.25 * (measured - forward(truth)).std()
    assert (exact - truth).std() > 3 * (measured - forward(truth)).std()
    flat = truth.clone()
    flat[..., 90:130, 90:130] = truth.mean()  # a structure vanished
    mended = agree(flat, measured, forward, agreement="noise", variance=variance)
    assert (mended - truth).norm() < 0.9 * (flat - truth).norm()


def test_within_noise_believes_no_single_dark_pixel():
    """Its variance is a guess from hardly any photons, and may be nearly nothing."""
    truth = torch.full((1, 1, 128, 128), 0.02, dtype=torch.float64)
    measured = FORWARD.measure(
        truth,
        photons=60,
        read_noise=0.001,
        generator=torch.Generator().manual_seed(1),
    )
    variance = measured.clamp_min(0) / 60 + 0.001**2
    kept = agree(truth, measured, FORWARD, agreement="noise", variance=variance)
    assert (kept - truth).std() < 0.3 * (measured - truth[..., ::2, ::2]).std()


def test_within_noise_needs_the_noise():
    image, measured = scene()
    with pytest.raises(ValueError, match="variance"):
        agree(image, measured, FORWARD, agreement="noise")


@pytest.mark.parametrize("sigma", [0.4, 1.0])
@pytest.mark.parametrize("agreement", ["noise", "exact"])
def test_influence_ends_at_the_radius(agreement, sigma):
    forward = ForwardModel(2, sigma)
    radius = agreement_radius(forward, agreement)
    image, measured = scene(2 * radius + 5, 8)
    variance = torch.full_like(measured, 1e-4)
    other = measured.clone()
    other[..., radius + 2, :] += 0.5
    found = [
        agree(image, y, forward, agreement=agreement, variance=variance)
        for y in (measured, other)
    ]
    rows = torch.nonzero((found[0] != found[1]).any(dim=3).flatten()).flatten() // 2
    assert (rows - (radius + 2)).abs().max() <= radius


@given(st.floats(0.02, 0.8), st.integers(0, 20))
def test_least_share_brings_both_slopes_within_one_percent(level, seed):
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal(20000)
    measured = torch.from_numpy(signal + level * rng.standard_normal(20000))
    again = torch.from_numpy(signal) / (1 + level**2)  # a denoiser that shrinks
    share = minimum_share(measured, again)
    again = again + share * (measured - again)
    slope, _ = np.polyfit(measured, again, 1)
    reverse, _ = np.polyfit(again, measured, 1)
    assert abs(slope - 1) < 0.01
    assert abs(reverse - 1) < 0.01


def test_least_share_is_nothing_where_slopes_are_right():
    _, measured = scene()
    assert minimum_share(measured, measured) == 0
    assert minimum_share(torch.ones(9), torch.ones(9)) == 0
