"""Pairs of fine images alone: the forward model measures them.

The unit is that of inference: 0 and 1 are the robust extremes of the measured image,
which blur makes duller than the true one.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from napari_structsr.core.intensity import Intensity, fit_intensity
from napari_structsr.engine.statistics import read_finite_samples
from napari_structsr.errors import TrainingError
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.io.source import Source
from napari_structsr.io.views import LuminanceView
from napari_structsr.pairs.checks import check_pixels, choose_plane, hash_content
from napari_structsr.pairs.geometry import SMALLEST, Region
from napari_structsr.pairs.image_pair import (
    ImagePair,
    Place,
    measure_channel,
)

_PHOTONS, _READ_NOISE = 4000.0, 0.003  # where nothing is known of the noise
_PSF_SIGMA = 0.4


def high_only_pair(
    high: Source,
    *,
    factor: int,
    region: Region | None = None,
    plane: tuple[int, ...] | None = None,
    psf_sigma: float | None = None,
    sample: Source | None = None,
    photons: float | None = None,
    read_noise: float | None = None,
    seed: int = 0,
    name: str | None = None,
) -> ImagePair:
    """Make a pair of a fine image alone: the forward model measures it.

    Parameters
    ----------
    high
        The true image. Colour is learnt from by luminance.
    factor
        1, 2 or 4.
    region
        First and last + 1 row, first and last + 1 column in `high`; all by default.
    plane
        Index of the plane along the looped axes of `high`; the first by default.
    psf_sigma
        Width of the point-spread function in measured pixels, see
        `core.optics.compute_widefield_sigma`; 0.4 by default.
    sample
        An image as the microscope takes it; its noise is taken.
    photons, read_noise
        Photons in a measured pixel at full light, and camera noise as a share of full
        light; they take the place of what `sample` says.
    seed
        Of the noise.
    name
        For tables; by default that of `high`.

    Raises
    ------
    TrainingError
        If the region is unfit to learn from.
    PixelError
        If an image holds no number at all.
    """
    if factor not in (1, 2, 4):
        raise TrainingError(f"a factor of {factor} is not offered; choose 1, 2 or 4")
    axes = high.spec.axes
    plane = choose_plane(high, plane)
    # in colour still, as the same file is hashed where it is opened again
    key = hash_content(high)
    notes = ["the measured image was computed from the true one"]
    if axes.samples > 1:
        high = LuminanceView(high)
        notes.append("the image is in colour; its luminance is learnt from")
    rows, columns = _cut_to_whole_pixels(axes.plane, region, factor)
    intensity = measure_channel(high, plane)
    pixels = high.read(plane, rows, columns)[0]
    note = check_pixels(pixels, "high", intensity)
    notes += [note] if note else []
    model = ForwardModel(factor, _PSF_SIGMA if psf_sigma is None else psf_sigma)
    gain, offset = _scale_to_measured(high, plane, intensity, model)
    truth = (gain * intensity.normalise(pixels) + offset).astype(np.float32)
    known = None if sample is None else measure_channel(sample, None).relative_noise
    light, dark = _PHOTONS, _READ_NOISE
    if known:
        # the slope of the variance is one over the photons at full light
        light, dark = 1 / max(known[0], 1e-6), math.sqrt(known[1])
    # what the user says takes the place of what is known
    light = light if photons is None else photons
    dark = dark if read_noise is None else read_noise
    if known is None and photons is None:
        notes.append(
            f"nothing is known of the noise: {light:.4g} photons at full light are "
            "assumed"
        )
    image = torch.from_numpy(truth)[None, None]
    measured = model(image).clamp_max(0) + model.measure(  # 0 need not be dark
        image,
        photons=light,
        read_noise=dark,
        generator=torch.Generator().manual_seed(seed),
    )
    rows, columns = (
        slice(part.start // factor, part.stop // factor) for part in (rows, columns)
    )
    return ImagePair(
        name=name or high.spec.name,
        measured=measured[0, 0].numpy(),
        truth=truth,
        factor=factor,
        where=Place.of((key, key), axes.downscale(factor), plane, (rows, columns)),
        psf_sigma=model.psf_sigma,
        noise=(1 / light, dark**2),
        gain=gain,
        offset=offset,
        notes=tuple(notes),
    )


def _cut_to_whole_pixels(
    size: tuple[int, int], region: Region | None, factor: int
) -> tuple[slice, slice]:
    """Return the part of a region that whole measured pixels cover."""
    wanted = region or (0, size[0], 0, size[1])
    # inwards, to the edges of measured pixels
    spans = [
        (-(-max(first, 0) // factor), min(last, whole) // factor)
        for first, last, whole in zip(wanted[::2], wanted[1::2], size, strict=True)
    ]
    sides = [max(0, stop - start) for start, stop in spans]
    if min(sides) < SMALLEST:
        raise TrainingError(
            f"the region has {sides[0] * factor} x {sides[1] * factor} pixels inside "
            f"the image, and at least {SMALLEST * factor} x {SMALLEST * factor} are "
            f"needed for the factor {factor}; draw a larger one"
        )
    rows, columns = (slice(start * factor, stop * factor) for start, stop in spans)
    return rows, columns


def _scale_to_measured(
    high: Source, plane: tuple[int, ...], intensity: Intensity, model: ForwardModel
) -> tuple[float, float]:
    """Return gain and offset that bring the *measured* image to 0..1."""
    blocks = []
    # samples of the whole image: the unit is that of inference, not of a region
    for block in read_finite_samples(high)[high.spec.axes.channel_of(plane)]:
        rows, columns = (
            size // model.factor * model.factor for size in block.shape[1:]
        )
        values = intensity.normalise(block[:1, :rows, :columns])
        if values.size:
            blocks.append(model(torch.from_numpy(values)[None])[0, 0].numpy())
    if not blocks:
        return 1.0, 0.0
    found = fit_intensity(blocks)
    return 1 / found.span, -found.low / found.span
