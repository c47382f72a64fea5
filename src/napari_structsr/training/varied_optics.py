"""Batches for generators that are told the optics: each image measured in its own way.

Widths from undersampled to oversampled images, noise from single photons to full wells,
and point-spread functions that are not all round Gaussians, since those of microscopes
are not either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_structsr.imaging.forward import add_noise
from napari_structsr.imaging.optical_transfer import (
    airy_transfer,
    gaussian_transfer,
    measure_through,
)
from napari_structsr.training.patch_sampler import ImageSampler, PatchBatch
from napari_structsr.training.recipe import OpticsConfig
from napari_structsr.training.varied_truths import vary_brightness

WIDE_MARGIN = 8
"""Measured pixels around a patch: 3 are too few where a blur is 2 pixels wide."""


@dataclass(frozen=True)
class DrawnOptics:
    """How the images of a batch are measured, each field of shape (N,).

    Parameters
    ----------
    sigma
        Width of the point-spread function in measured pixels.
    photons, read_noise, gain
        Photons in a measured pixel at full light, camera noise as a share of full
        light, and brightness.
    airy
        Whether the point-spread function is an Airy pattern.
    ellipticity, angle
        Ratio of the longer width to the geometric mean, and where it points.
    told_sigma, told_noise
        What the network is told of width and noise.
    """

    sigma: Tensor
    photons: Tensor
    read_noise: Tensor
    gain: Tensor
    airy: Tensor
    ellipticity: Tensor
    angle: Tensor
    told_sigma: Tensor
    told_noise: Tensor


def draw_optics(
    count: int, config: OpticsConfig, generator: torch.Generator
) -> DrawnOptics:
    """Draw how `count` images are measured, on the device of the generator."""

    def uniform(low: float = 0.0, high: float = 1.0) -> Tensor:
        values = torch.rand(count, generator=generator, device=generator.device)
        return low + (high - low) * values

    def log_uniform(low: float, high: float, power: float = 1.0) -> Tensor:
        return low * (high / low) ** (uniform() ** power)

    def jitter(spread: float) -> Tensor:
        values = torch.randn(count, generator=generator, device=generator.device)
        return (spread * values).exp()

    # Ranges that overlap: most images of microscopes lie in the two narrower ones.
    kind = uniform()
    narrow, usual, whole = (
        uniform(*span) for span in (config.narrow, config.usual, config.psf_sigma)
    )
    first = config.shares[0]
    second = first + config.shares[1]
    sigma = torch.where(kind < first, narrow, torch.where(kind < second, usual, whole))
    photons = log_uniform(*config.photons, config.towards_light)
    read_noise = log_uniform(*config.read_noise)
    shape = uniform()
    airy = shape < config.airy
    elliptic = ~airy & (shape < config.airy + config.elliptic)
    stretch = log_uniform(1.0, config.ellipticity)
    noise = (0.5 / photons + read_noise**2).sqrt()
    return DrawnOptics(
        sigma=sigma,
        photons=photons,
        read_noise=read_noise,
        gain=uniform(*config.gain),
        airy=airy,
        ellipticity=torch.where(elliptic, stretch, torch.ones_like(stretch)),
        angle=uniform(0.0, math.pi),
        # nobody knows them exactly, and a network that believes them so is brittle
        told_sigma=sigma * jitter(config.jitter_sigma),
        told_noise=noise * jitter(config.jitter_noise),
    )


def draw_varied_batch(
    sampler: ImageSampler,
    config: OpticsConfig,
    *,
    factor: int,
    patch: int,
    count: int,
    generator: torch.Generator,
) -> PatchBatch:
    """Draw patches, and measure each by its own optics."""
    size = (patch + 2 * WIDE_MARGIN) * factor
    truth = sampler.draw(count, size, generator)
    optics = draw_optics(count, config, generator)
    truth = vary_brightness(truth, config, generator)
    truth = truth * optics.gain[:, None, None, None]
    transfer = gaussian_transfer(
        (size, size),
        factor,
        optics.sigma,
        ellipticity=optics.ellipticity,
        angle=optics.angle,
    )
    airy = airy_transfer((size, size), factor, optics.sigma)
    transfer = torch.where(optics.airy[:, None, None, None], airy, transfer)
    clean = measure_through(transfer, truth, factor).clamp_min(0)
    photons, read_noise = (
        values[:, None, None, None] for values in (optics.photons, optics.read_noise)
    )
    measured = add_noise(
        clean, photons=photons, read_noise=read_noise, generator=generator
    )
    inner = slice(WIDE_MARGIN, -WIDE_MARGIN)
    outer = slice(WIDE_MARGIN * factor, -WIDE_MARGIN * factor)
    measured = measured[..., inner, inner].contiguous()
    return PatchBatch(
        measured=measured,
        truth=truth[..., outer, outer].contiguous(),
        variance=measured.clamp_min(0) / photons + read_noise**2,
        forward_model=None,
        optics=(optics.told_sigma, optics.told_noise),
    )
