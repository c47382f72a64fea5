"""How wide the blur of a microscope is: by formula, or as it was found."""

from __future__ import annotations

import math
from dataclasses import dataclass

# A width 25% too large costs 0.5 to 1.1 dB, one 25% too small 0.3 to 0.6, and formulas
# know nothing of aberrations, so that the smaller side is the safer one.
_CAUTION = 0.9


@dataclass(frozen=True)
class Optics:
    """Objective and light with which a channel was taken.

    Parameters
    ----------
    aperture
        Numerical aperture.
    wavelength
        Of the light that is detected, in micrometres.
    confocal
        Whether a pinhole kept out-of-focus light away.
    """

    aperture: float
    wavelength: float
    confocal: bool = False

    def psf_sigma(self, pixel_size: float) -> float:
        """Return the width of the point-spread function in measured pixels.

        Parameters
        ----------
        pixel_size
            Micrometres between measured pixels.

        Notes
        -----
        Of a confocal microscope the width for a closed pinhole is returned, the product
        of two wide-field functions: the narrowest that there can be. Undoing less blur
        than there was leaves an image soft, undoing more invents structure.
        """
        sigma = compute_widefield_sigma(
            wavelength=self.wavelength, aperture=self.aperture, pixel_size=pixel_size
        )
        return sigma / math.sqrt(2) if self.confocal else sigma

    def cautious_sigma(self, pixel_size: float) -> float:
        """Return the width that is undone: a tenth less than that of `psf_sigma`."""
        return _CAUTION * self.psf_sigma(pixel_size)


def read_optics(
    aperture: float | None, wavelength: float | None, *, confocal: bool = False
) -> Optics | None:
    """Return the optics that a file names; None where it does not, or absurdly.

    Every reader hands its numbers to this function, and the result to a `Channel`.

    Parameters
    ----------
    aperture
        Numerical aperture; 0 and None stand for unknown.
    wavelength
        Of the detected light in micrometres; 0 and None stand for unknown.
    confocal
        Whether the file says so.
    """
    aperture, wavelength = aperture or 0.0, wavelength or 0.0
    # nothing in use has an aperture of 2 or more
    if not 0 < aperture < 2 or not 0 < wavelength < math.inf:
        return None
    return Optics(aperture, wavelength, confocal)


@dataclass(frozen=True)
class FoundWidth:
    """A width of the point-spread function that was measured, in measured pixels.

    Parameters
    ----------
    sigma
        The likeliest standard deviation of the Gaussian.
    low, high
        Range that holds the truth nine times in ten.
    origin
        Where it was measured, for people.
    """

    sigma: float
    low: float
    high: float
    origin: str

    def describe(self, pixel_size: float | None = None) -> str:
        """Return width and range in words, also in micrometres where they are known."""
        words = (
            f"{self.sigma:.2f} pixels, 9 times in 10 {self.low:.2f} to {self.high:.2f}"
        )
        if pixel_size is not None:
            words += f" ({self.sigma * pixel_size:.3g} µm)"
        return f"{self.origin}: {words}"


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
