"""What is measured of each result, and how values are averaged.

A `Reference` holds what is known of one plane: truth, measurement, and the tasks
that the truth calls for. It is made once, and every method's result is scored on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from napari_structsr.benchmark.tasks import LineTask, ObjectTask
from napari_structsr.benchmark.tracks import Track
from napari_structsr.core.types import Float32Array
from napari_structsr.imaging.spectrum import compare_band, ring_correlation
from napari_structsr.imaging.ssim import micro_ssim, ms_ssim, ssim
from napari_structsr.imaging.structure import (
    Change,
    change_map,
    change_shares,
    gradient_error,
    intensity_slope,
)
from napari_structsr.models.generator import interpolate

_DEVIATIONS = 2  # of the noise of the measurement, within which nothing is classed


@dataclass(frozen=True)
class Measure:
    """A number of a table.

    Parameters
    ----------
    title
        Head of its column.
    digits
        Digits behind the point.
    meaning
        One line for the legend.
    average
        "mean", "geometric" for ratios, or "worst" (the largest).
    """

    title: str
    digits: int
    meaning: str
    average: Literal["mean", "geometric", "worst"] = "mean"

    def combine(self, values: Iterable[float | None]) -> float | None:
        """Average the values that there are; None if there are none."""
        known = [value for value in values if value is not None]
        if not known:
            return None
        if self.average == "worst":
            return max(known)
        if self.average == "geometric":
            # half and twice the power of the truth average to 1
            logs = [math.log(max(value, 1e-12)) for value in known]
            return math.exp(math.fsum(logs) / len(logs))
        return math.fsum(known) / len(known)

    def write(self, value: float | None) -> str:
        """Write a value."""
        return "-" if value is None else f"{value:.{self.digits}f}"


MEASURES = {
    "psnr": Measure("PSNR", 2, "peak signal-to-noise ratio in dB, of a range of 1"),
    "ssim": Measure("SSIM", 4, "structural similarity"),
    "ms_ssim": Measure("MS-SSIM", 4, "multi-scale structural similarity"),
    "micro_ssim": Measure(
        "MicroSSIM", 4, "structural similarity that gain and offset do not change"
    ),
    "gradient_error": Measure(
        "gradient error", 3, "differences of gradients over gradients of the truth"
    ),
    "power_in": Measure(
        "power in",
        3,
        "power over that of the truth, in the upper half of the band that the "
        "measured pixels can hold: sharpening",
        "geometric",
    ),
    "correlation_in": Measure("corr. in", 3, "correlation with the truth in that band"),
    "power_beyond": Measure(
        "power beyond",
        3,
        "power over that of the truth, beyond what the measured pixels can hold",
        "geometric",
    ),
    "correlation_beyond": Measure(
        "corr. beyond", 3, "correlation with the truth in that band"
    ),
    "resolution": Measure(
        "resolution", 2, "period in truth pixels where the ring correlation is 1/7"
    ),
    "improvement": Measure(
        "improved", 3, "share of pixels that came nearer to the truth than bicubic"
    ),
    "omission": Measure("omitted", 3, "share of pixels that stay as with bicubic"),
    "hallucination": Measure(
        "hallucinated",
        3,
        "share of pixels near neither; the rest lies within twice the noise",
    ),
    "slope": Measure(
        "slope", 3, "least-squares slope of the result over the truth, no refit"
    ),
    "objects": Measure("objects", 3, "F1 of nuclei, pores, ... found again"),
    "lines": Measure("lines", 3, "F1 of filaments, cracks, boundaries traced again"),
    "structure": Measure("structure", 3, "mean of objects and lines, where present"),
    "agreement_slope": Measure(
        "slope off", 3, "by how much the slope over the input misses 1", "worst"
    ),
    "agreement_offset": Measure(
        "offset off", 4, "by how much its offset misses 0", "worst"
    ),
}


class Reference:
    """One truth and its measurement, ready to score results.

    Parameters
    ----------
    truth
        Values in 0..1, shape (H, W).
    measured
        What `track` made of it, shape (H / factor, W / factor).
    track
        The conditions.

    Attributes
    ----------
    objects, lines
        The tasks that the truth calls for, or None. They are set on the 512 x 512
        pixels of the truth that hold most gradient.
    """

    def __init__(
        self, truth: Float32Array, measured: Float32Array, track: Track
    ) -> None:
        self.track = track
        self._measured = measured
        self._truth = _to_tensor(truth)
        self._base = interpolate(_to_tensor(measured), track.factor, mode="bicubic")
        self._noise = (
            _DEVIATIONS
            * (self._truth.clamp_min(0) / track.photons + track.read_noise**2).sqrt()
        )
        # tasks cost seconds on a whole plane, and flat parts hold nothing to find
        self._part = find_busiest_window(truth, 512)
        self.objects = ObjectTask.of(truth[self._part])
        self.lines = LineTask.of(truth[self._part])

    def score(self, result: Float32Array) -> dict[str, float | None]:
        """Return every measure by its key in `MEASURES`; None where none applies."""
        x, z = _to_tensor(result), self._truth
        s = self.track.factor
        # 0.5 / s cycles per pixel is the finest wave that measured pixels can hold
        within = compare_band(x, z, lowest=0.25 / s, highest=0.5 / s)
        beyond = compare_band(x, z, lowest=0.5 / s, highest=0.5)
        changes = change_shares(change_map(x, z, self._base, noise=self._noise))
        objects = self.objects.score(result[self._part]) if self.objects else None
        lines = self.lines.score(result[self._part]) if self.lines else None
        tasks = [score for score in (objects, lines) if score is not None]
        slope, offset = self._measure_agreement(x)
        return {
            # equal images would have an infinite ratio
            "psnr": -10 * math.log10(max(float(((x - z).double() ** 2).mean()), 1e-12)),
            "ssim": float(ssim(x, z)),
            "ms_ssim": float(ms_ssim(x, z)),
            "micro_ssim": float(micro_ssim(x, z)),
            "gradient_error": float(gradient_error(x, z)),
            "power_in": float(within.power),
            "correlation_in": float(within.correlation),
            "power_beyond": float(beyond.power),
            "correlation_beyond": float(beyond.correlation),
            "resolution": float(ring_correlation(x, z).resolution()),
            "improvement": float(changes[Change.IMPROVEMENT]),
            "omission": float(changes[Change.OMISSION]),
            "hallucination": float(changes[Change.HALLUCINATION]),
            "slope": float(intensity_slope(x, z)),
            "objects": objects,
            "lines": lines,
            "structure": sum(tasks) / len(tasks) if tasks else None,
            "agreement_slope": slope,
            "agreement_offset": offset,
        }

    def _measure_agreement(self, result: Tensor) -> tuple[float, float]:
        """Measure the result again and compare it with the input.

        The slope is that of the worse of the two directions.
        """
        again = self.track.forward_model(result)[0, 0].numpy().ravel()
        measured = self._measured.ravel()
        slope, offset = np.polyfit(measured.astype(float), again.astype(float), 1)
        # noise in the abscissa flattens a slope, so that either direction alone would
        # hide an excess
        reverse, _ = np.polyfit(again.astype(float), measured.astype(float), 1)
        return float(max(abs(slope - 1), abs(reverse - 1))), float(abs(offset))


def find_busiest_window(image: Float32Array, side: int) -> tuple[slice, slice]:
    """Return the window of at most `side` pixels that holds most gradient.

    Windows lie a quarter of their side apart.
    """
    energy = np.hypot(*np.gradient(image.astype(np.float64)))
    # a summed-area table: the sum over any window then takes four look-ups
    table = np.pad(energy.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    height, width = (min(side, size) for size in image.shape)
    step = max(1, side // 4)
    best = (-1.0, slice(0, height), slice(0, width))
    for top in range(0, image.shape[0] - height + 1, step):
        for left in range(0, image.shape[1] - width + 1, step):
            down, right = top + height, left + width
            held = (
                table[down, right]
                - table[top, right]
                - table[down, left]
                + table[top, left]
            )
            if held > best[0]:
                best = (float(held), slice(top, down), slice(left, right))
    return best[1], best[2]


def _to_tensor(plane: Float32Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(plane))[None, None]
