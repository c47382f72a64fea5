"""Correlation along an axis, by sums and by products of matrices."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d

from napari_structsr.imaging.filters import (
    convolve_axis,
    correlate_axis,
    gaussian_kernel,
    separable_filter,
    symmetric_pad,
)


# planes on either side of the size from which products are taken
@pytest.mark.parametrize("shape", [(1, 2, 40, 50), (2, 1, 301, 257), (1, 1, 40, 4001)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_separable_filters_equal_those_of_scipy(shape, dtype):
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    # uneven: turned weights would be seen
    weights = [0.1, 0.0, 0.3, -0.2, 0.5, 0.2, 0.0, 0.4, 0.05]
    found = separable_filter(image, weights).numpy()
    wanted = image.double().numpy()
    for axis in (-2, -1):
        wanted = correlate1d(wanted, weights, axis=axis, mode="mirror")
    atol = 1e-12 if dtype == torch.float64 else 1e-5
    np.testing.assert_allclose(found, wanted, atol=atol)


@pytest.mark.parametrize("dim", [-2, -1])
def test_parts_of_an_image_are_filtered_as_the_whole(dim):
    image = torch.rand(1, 1, 400, 300, generator=torch.Generator().manual_seed(0))
    weights = gaussian_kernel(1.5, 5).tolist()
    whole = correlate_axis(image, dim, weights)
    # a turned view, and pieces of a size that is summed
    turned = correlate_axis(image.mT.contiguous().mT, dim, weights)
    torch.testing.assert_close(turned, whole, rtol=0, atol=1e-6)
    piece = correlate_axis(image[..., 60:130, 40:150], dim, weights)
    inside = whole[..., 60 : 60 + piece.shape[-2], 40 : 40 + piece.shape[-1]]
    torch.testing.assert_close(piece, inside, rtol=0, atol=1e-6)


def test_gradients_reach_large_images():
    image = torch.rand(1, 1, 300, 260, dtype=torch.float64, requires_grad=True)
    kernel = gaussian_kernel(1.5, 5)
    found = convolve_axis(image, -1, kernel, stride=1)
    direct = correlate_axis(image, -1, kernel.tolist())
    torch.testing.assert_close(found, direct)
    weight = torch.rand_like(found)
    one, other = (
        torch.autograd.grad((each * weight).sum(), image)[0] for each in (found, direct)
    )
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("dim", [-2, -1])
@pytest.mark.parametrize("shape", [(2, 3, 33, 40), (1, 1, 11, 12)])
def test_strides_equal_those_of_conv2d(dim, shape):
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0)).double()
    kernel = np.array([0.1, 0.3, -0.2, 0.5, 0.2, 0.4])
    found = convolve_axis(image, dim, kernel, stride=3)
    # with gradients it goes through conv2d
    wanted = convolve_axis(image.requires_grad_(), dim, kernel, stride=3).detach()
    torch.testing.assert_close(found, wanted)
    back = convolve_axis(wanted, dim, kernel, stride=3, transposed=True)
    spread = convolve_axis(
        wanted.requires_grad_(), dim, kernel, stride=3, transposed=True
    )
    torch.testing.assert_close(back, spread.detach())
    assert back.shape[dim] <= image.shape[dim]


@pytest.mark.parametrize("dim", [-2, -1])
@pytest.mark.parametrize("pad", [0, 3, 5, 12])
def test_symmetric_pad_is_that_of_numpy(dim, pad):
    """Also by more pixels than there are."""
    image = np.random.default_rng(0).random((2, 1, 5, 5))
    around = [(0, 0)] * 4
    around[dim] = (pad, pad)
    found = symmetric_pad(torch.from_numpy(image), dim, pad)
    np.testing.assert_array_equal(found, np.pad(image, around, mode="symmetric"))
