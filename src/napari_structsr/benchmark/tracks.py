"""The conditions of the comparison: how truth is measured, and how results are scored.

Truth is scaled to 0..1 by the extremes of its own plane; every method gets the same
measured pixels, and its result is compared as it is, without refitting gain or
offset, so that intensity errors count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_structsr.core.types import Array, Float32Array
from napari_structsr.imaging.forward import ForwardModel

# those of Wang et al. 2004; scikit-image has a square window by default
SSIM_OPTIONS = {
    "data_range": 1,
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
}


@dataclass(frozen=True)
class Track:
    """One way of measuring the truth.

    Parameters
    ----------
    name, factor
        Name in tables; truth pixels along the side of a measured pixel.
    photons
        Photons per measured pixel at value 1.
    read_noise
        Camera noise, as a share of the full range.
    psf_sigma
        Point-spread width in measured pixels.
    """

    name: str
    factor: int
    photons: float
    read_noise: float
    psf_sigma: float = 0.4

    @property
    def forward_model(self) -> ForwardModel:
        """What is done to the truth, without noise."""
        return ForwardModel(self.factor, self.psf_sigma)

    def measure(self, truth: Float32Array, *, seed: int = 0) -> Float32Array:
        """Measure a plane of values in 0..1 whose sides `factor` divides."""
        # the same noise for all methods, and in every run
        generator = torch.Generator().manual_seed(seed)
        image = torch.from_numpy(np.ascontiguousarray(truth))[None, None]
        measured = self.forward_model.measure(
            image, photons=self.photons, read_noise=self.read_noise, generator=generator
        )
        pixels: Float32Array = measured[0, 0].numpy()
        return pixels


TRACKS = {
    track.name: track
    for track in (
        Track("x2-mild", 2, 4000, 0.003),
        Track("x2-noisy", 2, 400, 0.01),
        Track("x4-mild", 4, 4000, 0.003),
        Track("x4-noisy", 4, 400, 0.01),
    )
}


@dataclass(frozen=True)
class Score:
    """PSNR in dB of a range of 1, and mean SSIM (Wang et al. 2004)."""

    psnr: float
    ssim: float


def make_truth(plane: Array, factor: int) -> Float32Array:
    """Cut a plane to multiples of `factor` and scale it to 0..1."""
    height, width = (size // factor * factor for size in plane.shape)
    values = plane[:height, :width].astype(np.float64)
    # by its extremes: nothing is clipped, and a range of 1 is meant literally
    low, high = values.min(), values.max()
    scaled: Float32Array = ((values - low) / (high - low)).astype("f4")
    return scaled


def score(truth: Float32Array, result: Float32Array) -> Score:
    """Compare a result with the truth, both of one shape and in 0..1."""
    return Score(
        psnr=float(peak_signal_noise_ratio(truth, result, data_range=1)),
        ssim=float(structural_similarity(truth, result, **SSIM_OPTIONS)),
    )
