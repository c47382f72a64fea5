"""Transfer functions against sampled point-spread functions and other people's code."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage, special

from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.imaging.optical_transfer import (
    airy_transfer,
    gaussian_transfer,
    measure_through,
)

SIZE = (96, 128)


def sigma(value):
    return torch.tensor([value])


def picture():
    return torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("factor", "width"), [(1, 1.4), (2, 0.7), (2, 1.0), (4, 1.0)])
def test_a_round_gaussian_is_the_forward_model(factor, width):
    """Where samples stand for the curve: from about 1.4 fine pixels on."""
    measured = measure_through(
        gaussian_transfer(SIZE, factor, sigma(width)), picture(), factor
    )
    expected = ForwardModel(factor, width)(picture())
    inner = (..., slice(8, -8), slice(8, -8))
    assert (measured[inner] - expected[inner]).abs().max() < 1e-3


def test_an_elliptic_gaussian_is_that_of_scipy():
    transfer = gaussian_transfer(
        SIZE,
        1,
        sigma(2.0),
        ellipticity=torch.tensor([1.2]),
        angle=torch.tensor([math.pi / 2]),  # the longer width along y
    )
    measured = measure_through(transfer, picture(), 1)[0, 0].numpy()
    expected = ndimage.gaussian_filter(
        picture()[0, 0].numpy(), (2.4, 2 / 1.2), mode="wrap", truncate=6
    )
    assert np.abs(measured - expected).max() < 1e-3


def test_an_airy_pattern_has_its_first_dark_ring_at_0_61_lambda_over_aperture():
    """Sigma is 0.225 lambda / NA, and the intensity is (2 J1(v) / v)²."""
    width = 4.0
    transfer = airy_transfer((256, 256), 1, sigma(width))
    spot = torch.fft.irfft2(transfer[0, 0], s=(256, 256)).numpy()
    radius = np.arange(1, 60)
    scaled = 2 * math.pi * radius * 0.225 / width
    expected = (2 * special.j1(scaled) / scaled) ** 2
    assert np.abs(spot[0, 1:60] / spot[0, 0] - expected).max() < 2e-3
    assert np.argmin(spot[0, :16]) == round(0.61 * width / 0.225)


def test_light_is_neither_lost_nor_made():
    for transfer in (gaussian_transfer, airy_transfer):
        measured = measure_through(transfer(SIZE, 2, sigma(1.3)), picture(), 2)
        assert measured.mean() == pytest.approx(float(picture().mean()), abs=1e-6)


def test_each_image_of_a_batch_has_its_own_optics():
    widths = torch.tensor([0.4, 1.0, 1.9])
    together = measure_through(
        airy_transfer(SIZE, 2, widths), picture().expand(3, -1, -1, -1), 2
    )
    for number in range(3):
        alone = measure_through(
            airy_transfer(SIZE, 2, widths[number : number + 1]), picture(), 2
        )
        assert torch.allclose(together[number : number + 1], alone, atol=1e-6)
