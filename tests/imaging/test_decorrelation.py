import math

import numpy as np
import pytest
import torch
from skimage.data import camera, coins

from napari_structsr.imaging.decorrelation import decorrelation_resolution
from napari_structsr.imaging.filters import smooth
from napari_structsr.imaging.spectrum import radial_frequency


def noise(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def cut(image, highest):
    """Keep the frequencies below `highest`, and bring the contrast to 1."""
    spectrum = torch.fft.rfft2(image)
    spectrum[..., radial_frequency(*image.shape[-2:]) >= highest] = 0
    kept = torch.fft.irfft2(spectrum, s=image.shape[-2:])
    return kept / kept.std()


@pytest.mark.parametrize("period", [2.2, 3, 4.5, 8, 12])
@pytest.mark.parametrize("shape", [(256, 256), (301, 200)])
@pytest.mark.parametrize("level", [0, 0.01, 0.2])
def test_the_end_of_detail_is_found_in_noise(period, shape, level):
    image = cut(noise((1, 1, *shape), 0), 1 / period)
    found = decorrelation_resolution(image + level * noise(image.shape, 1))
    assert float(found) == pytest.approx(period, rel=0.06)


@pytest.mark.parametrize("picture", [camera, coins])
@pytest.mark.parametrize("level", [0, 0.01])
def test_blur_coarsens_the_resolution(picture, level):
    exact = torch.from_numpy(picture() / 255).float()[None, None]
    blurred = [smooth(exact, sigma) for sigma in (1, 1.5, 2, 3, 4, 6)]
    images = torch.cat(blurred) + level * noise((6, *exact.shape[1:]), 0)
    found = decorrelation_resolution(images).numpy()
    assert (np.diff(found) > 0).all()
    # a Gaussian of sigma 4 leaves nothing finer than about three times its width
    assert 10 < found[4] < 20
    assert found[0] < 4.5


def test_noise_hides_fine_detail():
    exact = smooth(torch.from_numpy(camera() / 255).float()[None, None], 1.0)
    found = [
        float(decorrelation_resolution(exact + level * noise(exact.shape, 0)))
        for level in (0.003, 0.03, 0.1)
    ]
    assert found[0] < found[1] < found[2]


def test_scale_and_offset_do_not_matter():
    image = cut(noise((1, 1, 128, 160), 0), 0.2) + 0.05 * noise((1, 1, 128, 160), 1)
    found = float(decorrelation_resolution(image))
    for changed in (4000 * image + 20000, 0.02 * image + 5, -image):
        assert float(decorrelation_resolution(changed)) == pytest.approx(
            found, rel=0.02
        )


def test_an_image_without_a_peak_is_infinite_and_never_nan():
    for level in (0.0, 0.7, 65535.0):
        flat = torch.full((2, 1, 64, 80), level)
        assert decorrelation_resolution(flat).tolist() == [math.inf, math.inf]
    # noise to the finest pixel has no end
    assert torch.isinf(decorrelation_resolution(noise((20, 1, 64, 64), 0))).all()
    point = torch.zeros(1, 1, 32, 32)
    point[..., 16, 16] = 1
    assert not torch.isnan(decorrelation_resolution(point)).any()
    assert (decorrelation_resolution(point) >= 2).all()


def test_images_stand_for_themselves_and_texture_that_is_invented_counts():
    coarse = cut(noise((1, 1, 200, 200), 0), 0.1)
    invented = coarse + 0.2 * cut(noise((1, 1, 200, 200), 1), 0.35)
    both = decorrelation_resolution(torch.cat([coarse, invented]))
    assert both.shape == (2,)
    assert float(both[0]) == pytest.approx(10, rel=0.05)
    assert float(both[1]) == pytest.approx(1 / 0.35, rel=0.05)
