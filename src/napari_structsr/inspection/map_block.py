"""The maps of one block, each computed when it is asked for.

What several maps need, such as the interpolated source or another run of a model, is
computed once. It owns in which unit each map compares; how far a map looks, and what is
read, is the affair of `map_tiles`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_structsr.core.error_map import MAPS
from napari_structsr.core.grid import Window
from napari_structsr.core.intensity import Intensity
from napari_structsr.engine.device import Device
from napari_structsr.imaging.expected_error import (
    TrustInputs,
    expected_error,
    half_width,
)
from napari_structsr.imaging.filters import fill_missing
from napari_structsr.imaging.forward import ForwardModel, noise_variance
from napari_structsr.imaging.local_resolution import resolution_map
from napari_structsr.imaging.orientation import (
    coherence_difference_map,
    orientation_difference_map,
)
from napari_structsr.imaging.squirrel import SquirrelFit, squirrel_map
from napari_structsr.imaging.ssim import ssim_map
from napari_structsr.imaging.structure import (
    change_map,
    gradient_difference_map,
    gradient_similarity_map,
)
from napari_structsr.imaging.trust import (
    artefact_map,
    null_space_map,
    residual_map,
    spread_map,
)
from napari_structsr.models.calibration import TrustCalibration
from napari_structsr.models.generator import interpolate
from napari_structsr.models.model import SRModel

__all__ = ["MapBlock", "Pixels", "ReferenceModels", "Scaling"]

_CHANGE_DEVIATIONS = 2
_INTERVAL = 0.9


@dataclass(frozen=True)
class ReferenceModels:
    """Models that are run again on the source.

    Parameters
    ----------
    own
        The one that made the result.
    faithful, sharp
        The one of the shipped pair of the same factor that the result is compared
        with: faithful, or sharp for a result of faithful.
    calibration
        How far the own model is usually off.
    """

    own: SRModel | None = None
    faithful: SRModel | None = None
    sharp: SRModel | None = None
    calibration: TrustCalibration | None = None

    @property
    def loaded(self) -> list[SRModel]:
        """All models that there are."""
        models = (self.own, self.faithful, self.sharp)
        return [model for model in models if model is not None]


@dataclass(frozen=True)
class Scaling:
    """From pixel values of one channel to numbers near 0..1.

    Parameters
    ----------
    truth
        Range of the reference; that of the source where there is none.
    measured
        Range and noise of the source.
    gain, offset
        Of the result against the reference: ``result = gain * reference + offset``.
    """

    truth: Intensity
    measured: Intensity
    gain: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Pixels:
    """What was read for a tile, each of shape (1, rows, columns).

    Parameters
    ----------
    result, reference
        On the grid of the maps.
    source
        On the coarser grid.
    """

    result: npt.NDArray[Any]
    reference: npt.NDArray[Any] | None
    source: npt.NDArray[Any] | None

    def part(self, window: Window, factor: int) -> Pixels:
        """Return the pixels of a window within the tile."""
        coarse = window.read
        rows, columns = (slice(s.start * factor, s.stop * factor) for s in coarse)
        reference, source = self.reference, self.source
        return Pixels(
            self.result[:, rows, columns],
            None if reference is None else reference[:, rows, columns],
            None if source is None else source[:, *coarse],
        )


class MapBlock:
    """The maps of one block, and the images they are computed from.

    Parameters
    ----------
    pixels
        What was read, with halo.
    scaling
        Units of its channel.
    companions
        Models to run again.
    device
        Where to compute.
    forward_model
        How the result is measured.
    fit
        SQUIRREL's fit of the plane, where that map is wanted.
    """

    def __init__(
        self,
        pixels: Pixels,
        scaling: Scaling,
        *,
        companions: ReferenceModels,
        device: Device,
        forward_model: ForwardModel,
        fit: SquirrelFit | None,
    ) -> None:
        self._pixels = pixels
        self._scaling = scaling
        self._companions = companions
        self._device = device
        # moments and spectra are float64, which Apple's GPUs lack
        self._where = "cpu" if device.kind == "mps" else device.kind
        self._forward_model = forward_model
        self._fit = fit

    def holes(self, key: str) -> npt.NDArray[np.bool_] | None:
        """Return where an image that a map compares is no number; None if nowhere."""
        entry, holes = MAPS[key], self._holes
        names = ["result"]
        names += ["reference"] if entry.needs_reference else []
        names += ["source"] if "source" in entry.needs else []
        found = [holes[name] for name in names if name in holes]
        return np.logical_or.reduce(found) if found else None

    @cached_property
    def _holes(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Where each image is no number, on the grid of the maps, as far as it is."""
        factor, found = self._forward_model.factor, {}
        for name in ("result", "reference", "source"):
            pixels = getattr(self._pixels, name)
            if pixels is None or (known := np.isfinite(pixels)).all():
                continue
            if name == "source":
                known = known.repeat(factor, axis=-2).repeat(factor, axis=-1)
            found[name] = ~known
        return found

    def computed(self, key: str) -> Tensor:
        """Return a map in its unit, shape (1, 1, rows, columns)."""
        values: Tensor = getattr(self, f"_{key}")()
        if MAPS[key].unit.startswith("intensity"):
            scaling = self._scaling
            reference = MAPS[key].needs_reference
            values = values * (scaling.truth if reference else scaling.measured).span
        return values

    # -- images, in units of the reference ----------------------------------------

    @cached_property
    def _compared(self) -> Tensor:
        """The result, as it is compared with the reference."""
        fitted = (self._pixels.result - self._scaling.offset) / self._scaling.gain
        return self._tensor(fitted, self._scaling.truth)

    @cached_property
    def _truth(self) -> Tensor:
        """The reference."""
        assert self._pixels.reference is not None
        return self._tensor(self._pixels.reference, self._scaling.truth)

    # -- images, in units of the source -------------------------------------------

    @cached_property
    def _image(self) -> Tensor:
        """The result."""
        return self._tensor(self._pixels.result, self._scaling.measured)

    @cached_property
    def _measured(self) -> Tensor:
        """The source."""
        assert self._pixels.source is not None
        return self._tensor(self._pixels.source, self._scaling.measured)

    @cached_property
    def _variance(self) -> Tensor:
        """The variance of its noise."""
        return noise_variance(self._measured, self._scaling.measured)

    @cached_property
    def _base(self) -> Tensor:
        """The interpolated source."""
        return interpolate(self._measured, self._forward_model.factor, mode="bicubic")

    @property
    def _trusted(self) -> TrustInputs:
        """What the expected error is predicted from."""
        return TrustInputs(self._image, self._variance)

    def _upscaled(self, model: SRModel | None, measured: Tensor) -> Tensor:
        """Run a model."""
        assert model is not None
        found = self._device.run(model, measured.to(self._device.kind))
        return found.to(self._where)

    def _tensor(self, pixels: npt.NDArray[Any], intensity: Intensity) -> Tensor:
        """Normalise pixels and fill holes, shape (1, 1, rows, columns)."""
        known = np.isfinite(pixels)
        whole = bool(known.all())
        values = pixels if whole else np.where(known, pixels, intensity.low)
        image = torch.from_numpy(intensity.normalise(values))[:, None]
        if not whole:
            image = fill_missing(image, torch.from_numpy(known)[:, None])
        return image.to(self._where)

    # -- maps with a reference ----------------------------------------------------

    def _error(self) -> Tensor:
        return (self._compared - self._truth).abs()

    def _ssim(self) -> Tensor:
        return ssim_map(self._compared, self._truth)

    def _gradient(self) -> Tensor:
        return gradient_difference_map(self._compared, self._truth)

    def _gradient_similarity(self) -> Tensor:
        return gradient_similarity_map(self._compared, self._truth)

    def _coherence(self) -> Tensor:
        return coherence_difference_map(self._compared, self._truth, noise=self._grain)

    def _orientation(self) -> Tensor:
        return orientation_difference_map(
            self._compared, self._truth, noise=self._grain
        )

    def _resolution(self) -> Tensor:
        return resolution_map(self._compared, self._truth)

    def _change(self) -> Tensor:
        scaling, factor = self._scaling, self._forward_model.factor
        assert self._pixels.source is not None
        measured = self._tensor(
            (self._pixels.source - scaling.offset) / scaling.gain, scaling.truth
        )
        base = interpolate(measured, factor, mode="bicubic")
        share = scaling.measured.span / (scaling.truth.span * scaling.gain)
        deviation = self._variance.sqrt() * (_CHANGE_DEVIATIONS * share)
        noise = deviation.repeat_interleave(factor, -2).repeat_interleave(factor, -1)
        return change_map(self._compared, self._truth, base, noise=noise)

    @property
    def _grain(self) -> float:
        """Standard deviation of the noise of the reference."""
        truth = self._scaling.truth
        return math.sqrt(truth.noise_floor) / truth.span

    # -- maps without -------------------------------------------------------------

    def _residual(self) -> Tensor:
        forward = self._forward_model
        return residual_map(self._image, self._measured, forward, self._variance)

    def _squirrel(self) -> Tensor:
        assert self._fit is not None
        return squirrel_map(self._image, self._base, self._fit)

    def _artefact(self) -> Tensor:
        other = self._companions.sharp or self._companions.faithful
        return artefact_map(self._upscaled(other, self._measured), self._image)

    def _spread(self) -> Tensor:
        return spread_map(partial(self._upscaled, self._companions.own), self._measured)

    def _null_space(self) -> Tensor:
        return null_space_map(self._image, self._forward_model)

    def _trust(self) -> Tensor:
        assert self._companions.calibration is not None
        return expected_error(self._trusted, self._companions.calibration)

    def _interval(self) -> Tensor:
        assert self._companions.calibration is not None
        return half_width(self._trusted, self._companions.calibration, level=_INTERVAL)
