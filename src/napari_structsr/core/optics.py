"""What follows from the optics of a microscope, as formulas."""

from __future__ import annotations

__all__ = ["compute_widefield_sigma"]


def compute_widefield_sigma(
    *, wavelength: float, aperture: float, pixel_size: float
) -> float:
    """Return the width of a widefield microscope's point-spread function in pixels.

    Parameters
    ----------
    wavelength, pixel_size
        Of the emitted light and of a measured pixel, in one unit.
    aperture
        Numerical aperture.

    References
    ----------
    B. Zhang, J. Zerubia, J.-C. Olivo-Marin, "Gaussian approximations of fluorescence
    microscope point-spread function models", Appl. Opt. 46, 2007.
    """
    return 0.225 * wavelength / aperture / pixel_size
