"""The noise of a normalised image, from the statistics of its channel."""

from __future__ import annotations

from torch import Tensor

from napari_structsr.core.intensity import Intensity

__all__ = ["noise_variance"]


def noise_variance(measured: Tensor, intensity: Intensity) -> Tensor:
    """Return the variance of the noise of each pixel, in normalised units.

    Parameters
    ----------
    measured
        Normalised by `intensity`, any shape.
    intensity
        Range and noise of the channel.

    Returns
    -------
    Tensor
        Shape of `measured`: shot noise that grows with the signal, above the floor.
    """
    signal = measured.clamp_min(0) * (intensity.noise_gain / intensity.span)
    return signal + intensity.noise_floor / intensity.span**2
