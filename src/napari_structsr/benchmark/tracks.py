"""The conditions of the comparison: how truth is measured, and how results are scored.

Truth is scaled to 0..1 by the extremes of its own plane; every method gets the same
measured pixels, and its result is compared as it is, without refitting gain or
offset, so that intensity errors count.

Tracks have names of parts, as ``x2-gaussian-1.0-400``: factor, shape of the
point-spread function, its width in measured pixels, photons. The first parts name all
tracks that begin with them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_structsr.core.types import Array, Float32Array, Float64Array
from napari_structsr.errors import SettingsError
from napari_structsr.imaging.filters import gaussian_kernel
from napari_structsr.imaging.forward import ForwardModel, add_noise
from napari_structsr.imaging.optical_transfer import (
    airy_transfer,
    gaussian_transfer,
    measure_through,
)

# those of Wang et al. 2004; scikit-image has a square window by default
SSIM_OPTIONS = {
    "data_range": 1,
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
}

SIGMAS = (0.4, 0.7, 1.0, 1.4)
"""Widths of the point-spread function in measured pixels."""

LIGHT = {4000: 0.003, 400: 0.01, 60: 0.01}
"""Photons at full light, and camera noise as a share of full light."""

# longer over shorter axis of the point-spread function
_AXES = {"elliptic": 1.2, "astigmatic": 1.44}
_ANGLE = 0.5  # of the longer axis, in radians, so that it lies along no axis
_SHAPES = ("gaussian", "airy", *_AXES)
_PERIOD = 256  # pixels, farther than any blur here reaches


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
        Point-spread width in measured pixels; of what is no round Gaussian, that of
        the Gaussian nearest to it.
    shape
        "gaussian", "airy", "elliptic" (axes 1.2 to 1), "astigmatic" (1.44 to 1), or
        "sampled", the Gaussian at the centres of truth pixels, which is what the
        forward model of the networks is.
    """

    name: str
    factor: int
    photons: float
    read_noise: float
    psf_sigma: float = 0.4
    shape: str = "sampled"

    @property
    def group(self) -> str | None:
        """Name of the tracks that differ in width and light alone, or None."""
        return None if self.shape == "sampled" else f"x{self.factor}-{self.shape}"

    @property
    def forward_model(self) -> ForwardModel:
        """What is done to the truth, without noise; nearly so for other shapes."""
        return ForwardModel(self.factor, self.psf_sigma)

    @property
    def kernel(self) -> Float64Array:
        """Weights of the Gaussian along one axis of the truth."""
        width = self.psf_sigma * self.factor
        if self.shape == "sampled":
            return gaussian_kernel(width)
        # by its transfer function: sampled below a pixel it would be too narrow
        frequency = np.fft.rfftfreq(_PERIOD)
        ring = np.fft.irfft(np.exp(-2 * (math.pi * width * frequency) ** 2), _PERIOD)
        radius = math.ceil(4 * width) + 1
        weights = ring[np.arange(-radius, radius + 1)]
        kernel: Float64Array = weights / weights.sum()
        return kernel

    def measure(self, truth: Float32Array, *, seed: int = 0) -> Float32Array:
        """Measure a plane of values in 0..1 whose sides `factor` divides."""
        # the same noise for all methods, and in every run
        generator = torch.Generator().manual_seed(seed)
        image = torch.from_numpy(np.ascontiguousarray(truth))[None, None]
        if self.shape == "sampled":
            clean = self.forward_model(image)
        else:
            clean = self._blur_and_integrate(truth)
        measured = add_noise(
            clean.clamp_min(0),
            photons=self.photons,
            read_noise=self.read_noise,
            generator=generator,
        )
        pixels: Float32Array = measured[0, 0].numpy()
        return pixels

    def _blur_and_integrate(self, truth: Float32Array) -> torch.Tensor:
        """Measure by the transfer function, the border mirrored."""
        margin = math.ceil(6 * self.psf_sigma) + 4
        pad = margin * self.factor
        image = torch.from_numpy(np.pad(truth, pad, mode="symmetric"))[None, None]
        size = image.shape[-2], image.shape[-1]
        sigma = torch.tensor([self.psf_sigma])
        if self.shape == "airy":
            transfer = airy_transfer(size, self.factor, sigma)
        else:
            # the longer axis over the geometric mean of both
            stretch = torch.tensor([math.sqrt(_AXES.get(self.shape, 1.0))])
            angle = torch.tensor([_ANGLE])
            transfer = gaussian_transfer(
                size, self.factor, sigma, ellipticity=stretch, angle=angle
            )
        clean = measure_through(transfer, image, self.factor)
        return clean[..., margin:-margin, margin:-margin]


_NAMED = (
    Track("x2-mild", 2, 4000, 0.003),
    Track("x2-noisy", 2, 400, 0.01),
    Track("x4-mild", 4, 4000, 0.003),
    Track("x4-noisy", 4, 400, 0.01),
)
_GRIDS = (
    Track(f"x{factor}-{shape}-{sigma}-{photons}", factor, photons, noise, sigma, shape)
    for factor in (1, 2, 4)
    for shape in _SHAPES
    for photons, noise in LIGHT.items()
    for sigma in SIGMAS
)
TRACKS = {track.name: track for track in (*_NAMED, *_GRIDS)}


def find_tracks(names: Sequence[str] | None) -> list[Track]:
    """Return tracks by their names, or by the first parts of their names.

    Parameters
    ----------
    names
        As "x2-mild", "x2-gaussian" or "x2-gaussian-1.0"; None takes those without a
        group: x2-mild, x2-noisy, x4-mild and x4-noisy.

    Raises
    ------
    SettingsError
        If no track has such a name.
    """
    if names is None:
        return list(_NAMED)
    found: dict[str, Track] = {}
    for name in names:
        matching = {
            track.name: track
            for track in TRACKS.values()
            if track.name == name or track.name.startswith(f"{name}-")
        }
        if not matching:
            groups = dict.fromkeys(
                track.group or track.name for track in TRACKS.values()
            )
            raise SettingsError(
                f"there is no track named {name!r}; choose among {', '.join(groups)}"
            )
        found |= matching
    return list(found.values())


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
