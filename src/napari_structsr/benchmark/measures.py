"""What is measured of each result, and how values are averaged.

A `Reference` holds what is known of one plane: truth, measurement, and the tasks
that the truth calls for. It is made once, and every method's result is scored on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
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

# measured pixels, from which on less than a tenth of a wave of 0.375 cycles per
# measured pixel is left
_WIDE_BLUR = 0.9
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
    "power_filled": Measure(
        "power filled",
        3,
        "power over that of the truth, in the octave that sharpening fills: the upper "
        f"half of that band, or the one below from a width of {_WIDE_BLUR:g} measured "
        "pixels on, whose blur leaves nothing in the upper half",
        "geometric",
    ),
    "correlation_filled": Measure(
        "corr. filled", 3, "correlation with the truth in that octave"
    ),
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
        self._plane = truth
        self._truth = _to_tensor(truth)
        self._base = interpolate(_to_tensor(measured), track.factor, mode="bicubic")
        self._noise = (
            _DEVIATIONS
            * (self._truth.clamp_min(0) / track.photons + track.read_noise**2).sqrt()
        )

    @cached_property
    def _part(self) -> tuple[slice, slice]:
        # tasks cost seconds on a whole plane, and flat parts hold nothing to find
        return find_busiest_window(self._plane, 512)

    @cached_property
    def objects(self) -> ObjectTask | None:
        """The task of finding objects again, if the truth calls for it."""
        return ObjectTask.of(self._plane[self._part])

    @cached_property
    def lines(self) -> LineTask | None:
        """The task of tracing lines again, if the truth calls for it."""
        return LineTask.of(self._plane[self._part])

    def score(
        self, result: Float32Array, keys: Collection[str] | None = None
    ) -> dict[str, float | None]:
        """Return measures by their keys in `MEASURES`; None where one does not apply.

        Parameters
        ----------
        result
            Shape of the truth.
        keys
            What is wanted; None means all.
        """
        x, z = _to_tensor(result), self._truth
        s = self.track.factor
        octave = (0.25 if self.track.psf_sigma >= _WIDE_BLUR else 0.5) / s
        # what is computed together stands together
        groups: dict[tuple[str, ...], Callable[[], Iterable[float | Tensor | None]]] = {
            ("psnr",): lambda: [
                # equal images would have an infinite ratio
                -10 * math.log10(max(float(((x - z).double() ** 2).mean()), 1e-12))
            ],
            ("ssim",): lambda: [ssim(x, z)],
            ("ms_ssim",): lambda: [ms_ssim(x, z)],
            ("micro_ssim",): lambda: [micro_ssim(x, z)],
            ("gradient_error",): lambda: [gradient_error(x, z)],
            # 0.5 / s cycles per pixel is the finest wave that measured pixels can hold
            ("power_in", "correlation_in"): lambda: _compare(x, z, 0.25 / s, 0.5 / s),
            ("power_filled", "correlation_filled"): lambda: _compare(
                x, z, octave / 2, octave
            ),
            ("power_beyond", "correlation_beyond"): lambda: _compare(
                x, z, 0.5 / s, 0.5
            ),
            ("resolution",): lambda: [ring_correlation(x, z).resolution()],
            ("improvement", "omission", "hallucination"): lambda: self._classify(x),
            ("slope",): lambda: [intensity_slope(x, z)],
            ("objects", "lines", "structure"): lambda: self._find_again(result),
            ("agreement_slope", "agreement_offset"): lambda: self._measure_agreement(x),
        }
        wanted = set(MEASURES if keys is None else keys)
        found = {
            key: None if value is None else float(value)
            for names, compute in groups.items()
            if wanted & set(names)
            for key, value in zip(names, compute(), strict=True)
        }
        return {key: value for key, value in found.items() if key in wanted}

    def _classify(self, result: Tensor) -> list[Tensor]:
        shares = change_shares(
            change_map(result, self._truth, self._base, noise=self._noise)
        )
        classes = (Change.IMPROVEMENT, Change.OMISSION, Change.HALLUCINATION)
        return [shares[one] for one in classes]

    def _find_again(self, result: Float32Array) -> list[float | None]:
        """Score objects, lines, and the mean of those that there are."""
        part = result[self._part]
        objects = self.objects.score(part) if self.objects else None
        lines = self.lines.score(part) if self.lines else None
        tasks = [score for score in (objects, lines) if score is not None]
        return [objects, lines, sum(tasks) / len(tasks) if tasks else None]

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


def _compare(
    result: Tensor, truth: Tensor, lowest: float, highest: float
) -> tuple[Tensor, Tensor]:
    """Return power over that of the truth, and correlation, in a band."""
    band = compare_band(result, truth, lowest=lowest, highest=highest)
    return band.power, band.correlation


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
