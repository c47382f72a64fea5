"""Filters that undo a known blur as well as a linear filter can."""

import math

import pytest
import torch

from napari_structsr.models.wiener_filters import make_wiener_filters

SIGMA, NOISE, SIZE = 1.1, 0.02, 256


def transfer(sigma):
    place = torch.fft.fftfreq(SIZE)
    square = place[:, None] ** 2 + place[None] ** 2
    return square, torch.exp(-2 * (math.pi * sigma) ** 2 * square)


@pytest.fixture(scope="module")
def images():
    """Return an image with the spectrum of most images, and its measurement."""
    torch.manual_seed(0)
    square, seen = transfer(SIGMA)
    square[0, 0] = math.inf
    waves = torch.fft.fft2(torch.randn(SIZE, SIZE)) * (1e-3 / square).sqrt()
    truth = torch.fft.ifft2(waves).real
    measured = torch.fft.ifft2(waves * seen).real + NOISE * torch.randn(SIZE, SIZE)
    return truth, measured


def restore(measured, *, sigma=SIGMA, noise=NOISE):
    taps = make_wiener_filters(
        torch.tensor([sigma]), torch.tensor([noise]), factor=1, count=1
    )
    wide = torch.nn.functional.pad(measured[None, None], (7, 7, 7, 7), mode="circular")
    return measured + torch.nn.functional.conv2d(wide, taps.transpose(0, 1))[0, 0]


def error_of(found, truth):
    return float(((found - truth) ** 2).mean())


def test_the_error_is_the_least_that_theory_allows(images):
    truth, measured = images
    square, seen = transfer(SIGMA)
    square[0, 0] = math.inf
    power = 1e-3 / square
    least = (power * NOISE**2 / (seen**2 * power + NOISE**2)).mean()
    found = error_of(restore(measured), truth)
    assert found == pytest.approx(float(least), rel=0.1)
    assert found < 0.8 * error_of(measured, truth)


@pytest.mark.parametrize(
    "wrong", [{"sigma": 0.85}, {"sigma": 1.35}, {"noise": 0.005}, {"noise": 0.08}]
)
def test_wrong_optics_are_worse(images, wrong):
    truth, measured = images
    assert error_of(restore(measured, **wrong), truth) > error_of(
        restore(measured), truth
    )


def test_a_level_stays():
    taps = make_wiener_filters(
        torch.tensor([0.3, 2.0]), torch.tensor([0.005, 0.1]), factor=2, count=3
    )
    assert taps.shape == (2, 3, 15, 15)
    assert taps.sum(dim=(-2, -1)).abs().max() < 1e-5
