"""Bicubic interpolation against torch's own."""

import pytest
import torch
from torch.nn import functional as F

from napari_structsr.imaging.bicubic import interpolate_bicubic
from napari_structsr.models.generator import interpolate


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
@pytest.mark.parametrize("shape", [(1, 1, 30, 41), (2, 3, 5, 1), (1, 1, 1, 1)])
def test_it_is_that_of_torch(factor, shape):
    image = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    expected = F.interpolate(image, scale_factor=factor, mode="bicubic")
    found = interpolate_bicubic(image, factor)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_a_part_is_what_it_is_in_the_whole():
    image = torch.rand(1, 1, 40, 60, generator=torch.Generator().manual_seed(1))
    whole = interpolate_bicubic(image, 2)
    part = interpolate_bicubic(image[..., 10:30, 20:50], 2)
    # to the last bit, two pixels from where the part was cut
    assert torch.equal(part[..., 4:-4, 4:-4], whole[..., 24:56, 44:96])


def test_gradients_pass():
    image = torch.rand(1, 1, 6, 6, requires_grad=True)
    interpolate(image, 2, mode="bicubic").sum().backward()
    torch.testing.assert_close(image.grad.sum(), torch.tensor(144.0))
