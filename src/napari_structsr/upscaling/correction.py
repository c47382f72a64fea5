"""One block in normalised units: the model, then agreement with the measurement.

Within noise, the share of the residual that is corrected has a floor for each channel,
which is found on samples of the whole stack, so that all tiles share it. Models that
are told the noise have none.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from napari_structsr.core.intensity import Intensity
from napari_structsr.core.types import Array
from napari_structsr.engine.device import Device
from napari_structsr.engine.events import Cancel
from napari_structsr.imaging.agreement import Agreement, agree, minimum_share
from napari_structsr.imaging.forward import noise_variance
from napari_structsr.io.views import LUMINANCE
from napari_structsr.models.generator import interpolate
from napari_structsr.models.model import SRModel
from napari_structsr.upscaling.settings import Color

_MUCH = 0.5  # share of the noise that comes back, from which on it is told


def upscale_block(
    measured: Tensor,
    model: SRModel,
    device: Device,
    *,
    intensity: Intensity,
    agreement: Agreement,
    color: Color,
    least_share: float = 0.0,
) -> Tensor:
    """Upscale a block and let it agree with what was measured.

    Parameters
    ----------
    measured
        Normalised pixels on the device, shape (samples, 1, rows, columns).
    model, device
        What upscales, and where.
    intensity
        Range and noise of the channel.
    agreement, color
        As in `UpscaleSettings`.
    least_share
        Least share of the residual to correct within noise.

    Returns
    -------
    Tensor
        Shape (samples, 1, factor * rows, factor * columns), on the device.
    """
    return agree(
        _run_model(measured, model, device, color),
        measured,
        model.forward_model,
        agreement=agreement,
        variance=noise_variance(measured, intensity) if agreement == "noise" else None,
        minimum_share=least_share,
    )


def find_least_shares(
    samples: Sequence[Sequence[Array]],
    models: Sequence[SRModel],
    device: Device,
    *,
    intensities: Sequence[Intensity],
    color: Color,
    cancel: Cancel,
) -> tuple[float, ...]:
    """Find the least share of the residual to correct within noise, by channel.

    Parameters
    ----------
    samples
        Finite blocks of each channel, of shape (samples, rows, columns); they may
        differ in size.
    models, device, intensities, color
        As in `upscale_block`, models and intensities by channel.
    cancel
        Looked at before each block; what is returned after it has no meaning.
    """
    found = []
    for blocks, model, intensity in zip(samples, models, intensities, strict=True):
        pairs = []
        # a slope of 1 asks for the noise to come back: not of a model that is told to
        # remove it, and not amplified, where wide blur is undone
        told = model.was_told or model.forward_model.amplifies
        kept = not (intensity.constant or told)
        for block in blocks if kept else ():
            if cancel:
                break
            measured = torch.from_numpy(intensity.normalise(block))[:, None]
            measured = measured.to(device.kind)
            image = upscale_block(
                measured,
                model,
                device,
                intensity=intensity,
                agreement="noise",
                color=color,
            )
            again = model.forward_model(image)
            # samples may differ in size, and are compared pixel by pixel
            pairs.append(torch.stack([measured.flatten(), again.flatten()]).cpu())
        found.append(minimum_share(*torch.cat(pairs, dim=1)) if pairs else 0.0)
    return tuple(found)


def warn_of_noise(
    agreement: Agreement,
    models: Sequence[SRModel],
    least_shares: Sequence[float],
    names: Sequence[str],
) -> tuple[str, ...]:
    """Say of which channels agreement brings back much of the noise, and what to do.

    Parameters
    ----------
    agreement
        As in `UpscaleSettings`.
    models, least_shares, names
        By channel; shares only where agreement is within noise.
    """
    found = []
    if agreement == "exact":
        for model, name in zip(models, names, strict=True):
            if (forward := model.forward_model).amplifies:
                found.append(
                    f"exact agreement of {name} amplifies its noise "
                    f"{forward.noise_gain:.0f} times, since a blur of "
                    f"{forward.psf_sigma:.2f} pixels is undone; agreement within noise "
                    "does not"
                )
    if agreement == "noise":
        for share, name in zip(least_shares, names, strict=True):
            if share > _MUCH:
                found.append(
                    f"agreement within noise brings back {share:.0%} of the noise of "
                    f"{name}, so that its slope stays within 1%; agreement off has "
                    "less noise"
                )
    return tuple(found)


def _run_model(
    measured: Tensor, model: SRModel, device: Device, color: Color
) -> Tensor:
    """Upscale each sample, or the luminance alone; shape (samples, 1, h, w)."""
    opaque = len(measured) != 4  # the fourth sample is transparency
    colours = measured if opaque else measured[:3]
    if color == "luminance":
        # the eye sees detail in luminance: colours are interpolated
        base = interpolate(colours, model.factor, mode="bicubic")
        weights = measured.new_tensor(LUMINANCE).reshape(3, 1, 1, 1)
        luminance = (colours * weights).sum(0, keepdim=True)
        plain = interpolate(luminance, model.factor, mode="bicubic")
        image = base + device.run(model, luminance) - plain
    else:
        image = device.run(model, colours)
    if not opaque:  # transparency is no structure
        alpha = interpolate(measured[3:], model.factor, mode="bilinear")
        image = torch.cat([image, alpha])
    return image
