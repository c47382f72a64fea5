"""The maps of one block, each computed when it is asked for.

It owns in which unit each map compares; how far a map looks stands in `plan`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_structsr.core.error_map import MAPS
from napari_structsr.core.grid import Slices
from napari_structsr.core.intensity import Intensity
from napari_structsr.core.types import Array
from napari_structsr.engine.device import Device
from napari_structsr.imaging.expected_error import (
    TrustInputs,
    expected_error,
    half_width,
)
from napari_structsr.imaging.filters import fill_missing
from napari_structsr.imaging.forward import noise_variance
from napari_structsr.imaging.local_resolution import resolution_map
from napari_structsr.imaging.orientation import direction_difference_maps
from napari_structsr.imaging.squirrel import squirrel_map
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
from napari_structsr.inspection.setup import Setup
from napari_structsr.models.generator import interpolate
from napari_structsr.models.model import SRModel

# of the noise, within which nothing is classed: the mean distance of a region lies at
# 0.8 of them by chance, and hardly ever beyond
_CHANGE_DEVIATIONS = 1
_INTERVAL = 0.9  # share of pixels that it holds
CHANGE_RADIUS = 2
"""Measured pixels to each side over which the classes of change judge a region."""


@dataclass(frozen=True)
class Pixels:
    """What was read for a tile, each of shape (1, rows, columns)."""

    # the source lies on a coarser grid than the others and the maps
    result: Array
    reference: Array | None
    source: Array | None

    def crop(self, coarse: Slices, factor: int) -> Pixels:
        """Return a part, rows and columns counted from the first of the source."""
        rows, columns = (slice(s.start * factor, s.stop * factor) for s in coarse)
        reference, source = self.reference, self.source
        return Pixels(
            self.result[:, rows, columns],
            None if reference is None else reference[:, rows, columns],
            None if source is None else source[:, *coarse],
        )


class MapBlock:
    """The maps of one block of a plane, and the images they are computed from."""

    def __init__(self, setup: Setup, pixels: Pixels, plane: tuple[int, ...]) -> None:
        self._pixels = pixels
        channel = setup.find_channel(plane)
        self._scaling = setup.scalings[channel]
        self._models = setup.models
        self._device, self._companion = setup.device, setup.companion
        # moments and spectra are float64, which Apple's GPUs lack
        self._where = "cpu" if setup.device.kind == "mps" else setup.device.kind
        self._forward_model = setup.forward_models[channel]
        self._described = setup.images[channel] if setup.images else ()
        self._own = setup.models.own
        if setup.told_models:
            self._own = setup.told_models[channel]
        self._other = setup.models.artefact
        if setup.told_companions:
            self._other = setup.told_companions[channel]
        self._fit = setup.squirrel_fit(plane) if setup.squirrel_fit else None

    def find_holes(self, key: str) -> npt.NDArray[np.bool_] | None:
        """Return where an image that a map compares is no number; None if nowhere."""
        entry, holes = MAPS[key], self._holes
        names = ["result"]
        names += ["reference"] if entry.needs_reference else []
        names += ["source"] if "source" in entry.needs else []
        # images are filled before they are compared: holes are cut out afterwards
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

    def compute(self, key: str) -> Tensor:
        """Return a map in its unit, shape (1, 1, rows, columns)."""
        values: Tensor = getattr(self, f"_{key}")()  # a method for each key of `MAPS`
        if MAPS[key].unit.startswith("intensity"):
            scaling = self._scaling
            reference = MAPS[key].needs_reference
            values = values * (scaling.truth if reference else scaling.measured).span
        return values

    # images that several maps need are computed once; in units of the reference

    @cached_property
    def _compared(self) -> Tensor:
        fitted = (self._pixels.result - self._scaling.offset) / self._scaling.gain
        return self._normalise(fitted, self._scaling.truth)

    @cached_property
    def _truth(self) -> Tensor:
        assert self._pixels.reference is not None
        return self._normalise(self._pixels.reference, self._scaling.truth)

    @cached_property
    def _directions(self) -> tuple[Tensor, Tensor]:
        noise = self._reference_noise
        return direction_difference_maps(self._compared, self._truth, noise=noise)

    # in units of the source

    @cached_property
    def _image(self) -> Tensor:
        return self._normalise(self._pixels.result, self._scaling.measured)

    @cached_property
    def _measured(self) -> Tensor:
        assert self._pixels.source is not None
        return self._normalise(self._pixels.source, self._scaling.measured)

    @cached_property
    def _variance(self) -> Tensor:
        return noise_variance(self._measured, self._scaling.measured)

    @cached_property
    def _base(self) -> Tensor:
        return interpolate(self._measured, self._forward_model.factor, mode="bicubic")

    @property
    def _trust_inputs(self) -> TrustInputs:
        return TrustInputs(self._image, self._variance, self._described)

    def _run_model(
        self, model: SRModel | None, measured: Tensor, *, device: Device
    ) -> Tensor:
        assert model is not None
        found = device.run(model, measured.to(device.kind))
        return found.to(self._where)

    def _normalise(self, pixels: Array, intensity: Intensity) -> Tensor:
        """Normalise pixels and fill holes, shape (1, 1, rows, columns)."""
        known = np.isfinite(pixels)
        whole = bool(known.all())
        values = pixels if whole else np.where(known, pixels, intensity.low)
        image = torch.from_numpy(intensity.normalise(values))[:, None]
        if not whole:
            image = fill_missing(image, torch.from_numpy(known)[:, None])
        return image.to(self._where)

    # maps with a reference

    def _error(self) -> Tensor:
        return (self._compared - self._truth).abs()

    def _ssim(self) -> Tensor:
        return ssim_map(self._compared, self._truth)

    def _gradient(self) -> Tensor:
        return gradient_difference_map(self._compared, self._truth)

    def _gradient_similarity(self) -> Tensor:
        return gradient_similarity_map(self._compared, self._truth)

    def _coherence(self) -> Tensor:
        return self._directions[0]

    def _orientation(self) -> Tensor:
        return self._directions[1]

    def _resolution(self) -> Tensor:
        return resolution_map(self._compared, self._truth)

    def _change(self) -> Tensor:
        scaling, factor = self._scaling, self._forward_model.factor
        assert self._pixels.source is not None
        measured = self._normalise(
            (self._pixels.source - scaling.offset) / scaling.gain, scaling.truth
        )
        base = interpolate(measured, factor, mode="bicubic")
        share = scaling.measured.span / (scaling.truth.span * scaling.gain)
        deviation = self._variance.sqrt() * (_CHANGE_DEVIATIONS * share)
        noise = deviation.repeat_interleave(factor, -2).repeat_interleave(factor, -1)
        return change_map(
            self._compared,
            self._truth,
            base,
            noise=noise,
            radius=CHANGE_RADIUS * factor,
        )

    @property
    def _reference_noise(self) -> float:
        truth = self._scaling.truth
        return math.sqrt(truth.noise_floor) / truth.span

    # maps without

    def _residual(self) -> Tensor:
        forward = self._forward_model
        return residual_map(self._image, self._measured, forward, self._variance)

    def _squirrel(self) -> Tensor:
        assert self._fit is not None
        return squirrel_map(self._image, self._base, self._fit)

    def _artefact(self) -> Tensor:
        other = self._run_model(self._other, self._measured, device=self._companion)
        return artefact_map(other, self._image)

    def _spread(self) -> Tensor:
        run = partial(self._run_model, self._own, device=self._device)
        return spread_map(run, self._measured)

    def _null_space(self) -> Tensor:
        return null_space_map(self._image, self._forward_model)

    def _trust(self) -> Tensor:
        assert self._models.calibration is not None
        return expected_error(self._trust_inputs, self._models.calibration)

    def _interval(self) -> Tensor:
        assert self._models.calibration is not None
        return half_width(self._trust_inputs, self._models.calibration, level=_INTERVAL)
