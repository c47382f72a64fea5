"""Widths of point-spread functions against microscopes that people have."""

import pytest

from napari_structsr.core.optics import Optics, compute_widefield_sigma


def test_sampled_as_nyquist_asks_a_wide_field_image_is_0_9_pixels_wide():
    pixel = 0.52 / (4 * 1.4)  # lambda / (4 NA)
    found = compute_widefield_sigma(wavelength=0.52, aperture=1.4, pixel_size=pixel)
    assert found == pytest.approx(0.9)
    assert Optics(1.4, 0.52).psf_sigma(pixel) == found


def test_a_pinhole_narrows_the_spot_and_never_widens_it():
    wide, confocal = Optics(1.4, 0.52), Optics(1.4, 0.52, confocal=True)
    assert confocal.psf_sigma(0.1) == pytest.approx(wide.psf_sigma(0.1) / 2**0.5)
