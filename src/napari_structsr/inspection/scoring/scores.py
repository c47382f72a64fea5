"""Scores of planes and of their regions, and the worst places of each map.

Sums run over whole planes, block by block, so that planes of any size fit into memory.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy  # its parts come when they are first used, and cost time
import torch
from torch import Tensor

from napari_structsr.core.types import Array, Float64Array
from napari_structsr.imaging.decorrelation import decorrelation_resolution
from napari_structsr.imaging.spectrum import ring_correlation
from napari_structsr.imaging.ssim import score_similarity, ssim_map
from napari_structsr.imaging.structure import Change, gradient_difference_map
from napari_structsr.inspection.matching import read_middle
from napari_structsr.inspection.results import WHOLE, ScoreRow, WorstRegion
from napari_structsr.inspection.scaling import Scaling, fill_with_mean
from napari_structsr.inspection.scoring.region_sums import (
    RegionSums,
    choose_regions,
    find_labels,
)
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.inspection.setup import Setup
from napari_structsr.inspection.worst_places import DEPARTURE, SquareMeans
from napari_structsr.models.generator import interpolate

# MS-SSIM, MicroSSIM and ring correlation are no sums over pixels: they are computed on
# blocks of about this many result pixels a side, and averaged by area
_BLOCK = 2048
_HALO = 6  # pixels around a block that SSIM and gradients look at
_REACH = 3  # source pixels that bicubic interpolation looks at
_BORDER = 5  # pixels that the mean of SSIM leaves out, as scikit-image
_SMALLEST = 16  # pixels along a side from which structure is scored
_DECORRELATED = 1024  # pixels of the part whose resolution is estimated
_HOLES = 0.01  # share of pixels without a number up to which structure is scored
_SAMPLED = 4  # each so many pixels along y and x show the range of a map
_QUANTILES = np.linspace(0.005, 0.995, 34)


@dataclass(frozen=True)
class PlaneScores:
    """What is found on one plane."""

    rows: tuple[ScoreRow, ...]  # of the plane, then of its regions
    worst: tuple[WorstRegion, ...]  # places of each map
    # quantiles of each map, to choose what to show
    samples: Mapping[str, list[float]] = field(default_factory=dict)
    # quantiles of each map in half places, to know what is usual
    usual: Mapping[str, list[float]] = field(default_factory=dict)


class Scorer:
    """Scores planes of an inspection whose maps are finished.

    The arrays of the maps come by key, indexed by plane, rows and columns. Regions are
    labels on their grid, of shape (rows, columns) or with the loops before them, and 0
    is none; `labels` are all of them, where `regions` are those of one plane.
    """

    def __init__(
        self,
        setup: Setup,
        maps: Mapping[str, Any],
        *,
        regions: Array | None,
        names: Mapping[int, str],
        settings: InspectSettings,
        labels: Array | None = None,
    ) -> None:
        self._setup = setup
        self._matched = setup.matched
        self._maps = maps
        self._regions = regions
        self._names = names
        self._settings = settings
        # labels may be any numbers, and are counted from 1 on here
        self._labels = find_labels(regions) if labels is None else labels

    @torch.inference_mode()
    def score_plane(self, plane: tuple[int, ...]) -> PlaneScores:
        """Score one plane."""
        axes = self._matched.result.spec.axes
        index = dict(zip([axis.name for axis in axes.loops], plane, strict=True))
        sums = RegionSums(len(self._labels))
        blocks: dict[str, list[tuple[float, int]]] = defaultdict(list)
        squares = SquareMeans(
            self._settings.place, axes.plane, factor=self._matched.factor
        )
        samples: dict[str, list[Float64Array]] = defaultdict(list)
        for rows, columns in self._cut_blocks():
            regions = self._number_regions(plane, rows, columns)
            for key, values in self._read_maps(plane, rows, columns):
                # quantiles choose what is shown: a sample of the pixels is enough
                thin = values[::_SAMPLED, ::_SAMPLED]
                samples[key].append(thin[np.isfinite(thin)])
                for name, part in _split_scores(key, values).items():
                    sums.add(name, part, regions)
                if key == "change":  # of its classes only invention counts as bad
                    values = (values == Change.HALLUCINATION) * 1.0
                squares.add(key, values, rows, columns)
            if self._matched.reference is not None:
                for name, value in self._score_reference(
                    plane, rows, columns, regions, sums
                ).items():
                    area = (rows.stop - rows.start) * (columns.stop - columns.start)
                    blocks[name].append((value, area))
        whole = {
            name: sum(v * area for v, area in found) / sum(area for _, area in found)
            for name, found in blocks.items()
        }
        return PlaneScores(
            tuple(self._build_rows(plane, sums, whole)),
            # one more than is listed, to know whether there are more
            tuple(squares.rank(self._settings.worst + 1, plane=index)),
            # a map without a number has no range
            {
                key: np.quantile(values, _QUANTILES).tolist() if values.size else []
                for key, found in samples.items()
                for values in [np.concatenate(found)]
            },
            squares.sample(),
        )

    def _read_maps(
        self, plane: tuple[int, ...], rows: slice, columns: slice
    ) -> Iterator[tuple[str, Float64Array]]:
        """Yield a block of each map by its key, while the next one is being read."""

        def read(store: Any) -> Float64Array:
            return np.asarray(store[(*plane, rows, columns)], np.float64)

        with ThreadPoolExecutor(1) as pool:
            reading = None
            for key, store in self._maps.items():
                following = key, pool.submit(read, store)
                if reading is not None:
                    yield reading[0], reading[1].result()
                reading = following
            if reading is not None:
                yield reading[0], reading[1].result()

    def _cut_blocks(self) -> Iterator[tuple[slice, slice]]:
        """Cut a plane into blocks of whole squares."""
        spans, square = [], self._settings.place
        for size in self._matched.result.spec.axes.plane:
            # equal blocks: a thin rest would have no structure to score
            count = max(1, round(size / _BLOCK))
            step = -(-size // (count * square)) * square
            spans.append([slice(n, min(n + step, size)) for n in range(0, size, step)])
        return itertools.product(*spans)

    def _number_regions(
        self, plane: tuple[int, ...], *part: slice
    ) -> npt.NDArray[np.int64] | None:
        """Return the number of the region of each pixel, from 1 on; 0 is none."""
        labels = choose_regions(self._regions, plane)
        if labels is None:
            return None
        labels = np.asarray(labels[part])
        numbers = np.searchsorted(self._labels, labels) + 1
        return np.where(labels == 0, 0, numbers)

    def _score_reference(
        self,
        plane: tuple[int, ...],
        rows: slice,
        columns: slice,
        regions: npt.NDArray[np.int64] | None,
        sums: RegionSums,
    ) -> dict[str, float]:
        """Add a block to the sums; return the scores that are averaged over blocks."""
        height, width = self._matched.result.spec.axes.plane
        read, keep = zip(_grow(rows, height), _grow(columns, width), strict=True)
        x, z, known = self._read_pair(plane, *read)
        # blocks are read with halo, so that only the border of the plane is left out
        inside = tuple(
            slice(max(_BORDER - part.start, 0), size - _BORDER - part.start)
            for part, size in zip(read, (height, width), strict=True)
        )
        # NRMSE divides by the reference in pixel values, which do not begin at 0
        intensity = self._scaling(plane).truth
        level = intensity.low / intensity.span
        whole = bool(known.all())

        def add(name: str, values: Float64Array) -> None:
            counted = values if whole else np.where(known, values, np.nan)
            sums.add(name, counted[keep], regions)

        similar, structure = _score_structure(x, z, known)
        compared = [("", x, similar)]
        # the interpolated source by the same measures, so that gain can be told
        if (u := self._read_bicubic(plane, *read)) is not None:
            compared.append(("_bicubic", u, ssim_map(u, z)))
        for end, image, similar in compared:
            values = np.full(known.shape, np.nan)
            values[inside] = similar[0, 0].double().numpy()[inside]
            add(f"ssim{end}", values)
            add(
                f"_wrong{end}", gradient_difference_map(image, z)[0, 0].double().numpy()
            )
            add(f"_squared{end}", (image - z)[0, 0].double().numpy() ** 2)
        there = gradient_difference_map(torch.zeros_like(z), z)
        add("_gradient", there[0, 0].double().numpy())
        add("_power", (z[0, 0].double().numpy() + level) ** 2)
        return structure

    def _read_bicubic(
        self, plane: tuple[int, ...], rows: slice, columns: slice
    ) -> Tensor | None:
        """Interpolate the source, in units of the reference; None if there is none.

        Shape (1, 1, rows, columns), of pixels of the result.
        """
        source, factor = self._matched.source, self._matched.factor
        if source is None:
            return None
        spans = [
            (max(part.start // factor - _REACH, 0), -(-part.stop // factor) + _REACH)
            for part in (rows, columns)
        ]
        sides = zip(spans, source.spec.axes.plane, strict=True)
        coarse = [slice(start, min(stop, size)) for (start, stop), size in sides]
        scaling = self._scaling(plane)
        pixels = fill_with_mean(source.read(plane, *coarse).astype(np.float64))
        measured = scaling.truth.normalise((pixels - scaling.offset) / scaling.gain)
        base = interpolate(torch.from_numpy(measured)[None], factor, mode="bicubic")
        top, left = (part.start * factor for part in coarse)
        return base[
            ...,
            rows.start - top : rows.stop - top,
            columns.start - left : columns.stop - left,
        ]

    def _read_pair(
        self, plane: tuple[int, ...], rows: slice, columns: slice
    ) -> tuple[Tensor, Tensor, npt.NDArray[np.bool_]]:
        """Read result and reference in units of the reference, and what is known."""
        assert self._matched.reference is not None
        scaling = self._scaling(plane)
        result = self._matched.result.read(plane, rows, columns)
        reference = self._matched.reference.read(plane, rows, columns)
        # a fitted gain is undone, as in the maps
        result = (result.astype(np.float64) - scaling.offset) / scaling.gain
        known = np.isfinite(result) & np.isfinite(reference)
        x, z = (
            torch.from_numpy(
                scaling.truth.normalise(np.where(known, image, scaling.truth.low))
            )[None]
            for image in (result, reference)
        )
        return x, z, known[0]

    def _scaling(self, plane: tuple[int, ...]) -> Scaling:
        return self._setup.scalings[self._setup.find_channel(plane)]

    def _build_rows(
        self, plane: tuple[int, ...], sums: RegionSums, whole: dict[str, float]
    ) -> Iterator[ScoreRow]:
        spec = self._matched.result.spec
        names = [axis.name for axis in spec.axes.loops]
        index = dict(zip(names, plane, strict=True))
        channel = self._setup.find_channel(plane)
        title = spec.channels[channel].name if channel < len(spec.channels) else ""
        pixels = math.prod(spec.axes.plane)
        values = {**sums.scores(None), **whole, **self._score_source(plane)}
        yield ScoreRow(index, title, WHOLE, pixels, values)
        if not len(self._labels):
            return
        boxes = scipy.ndimage.find_objects(
            self._number_regions(plane), len(self._labels)
        )
        for number, (label, box) in enumerate(
            zip(map(int, self._labels), boxes, strict=True), start=1
        ):
            if box is not None and (count := sums.pixels(number)):
                found = sums.scores(number) | self._score_box(plane, box)
                name = self._names.get(label, str(label))
                yield ScoreRow(index, title, name, count, found)

    def _score_box(
        self, plane: tuple[int, ...], box: tuple[slice, ...]
    ) -> dict[str, float]:
        """Score the rectangle around a region, where a region alone has no score."""
        if self._matched.reference is None:
            return {}
        sides = [part.stop - part.start for part in box]
        if min(sides) < _SMALLEST or max(sides) > 2 * _BLOCK:
            return {}
        return _score_structure(*self._read_pair(plane, box[0], box[1]))[1]

    def _score_source(self, plane: tuple[int, ...]) -> dict[str, float]:
        """Return scores of a plane that need no reference."""
        source, factor = self._matched.source, self._matched.factor
        if source is None:
            return {}
        pixels = read_middle(
            self._matched.result, source, factor, plane=plane, side=_DECORRELATED
        )
        if not all(np.isfinite(image).any() for image in pixels):
            return {}
        span = self._scaling(plane).measured.span
        found = {}
        if self._setup.squirrel_fit is not None:
            fit = self._setup.squirrel_fit(plane)
            found = {
                "rse": fit.rse * span,
                "rsp": math.copysign(fit.rsp, fit.gain),
                "fitted_blur": fit.sigma,
            }
        result, measured = (
            torch.from_numpy(fill_with_mean(image).astype(np.float32))[None]
            for image in pixels
        )
        base = interpolate(measured, factor, mode="bicubic")
        for name, image, share in (
            ("source", measured, factor),
            ("bicubic", base, 1),
            ("result", result, 1),
        ):
            period = float(decorrelation_resolution(image)) * share
            if math.isfinite(period):
                found[f"decorrelation_{name}"] = period
        return found


def _split_scores(key: str, values: Float64Array) -> dict[str, Float64Array]:
    """Return what is averaged of a map, by the key of the score."""
    if key == "change":
        kinds = (Change.IMPROVEMENT, Change.OMISSION, Change.HALLUCINATION)
        return {kind.name.lower(): (values == kind) * 1.0 for kind in kinds}
    if key == "ssim":  # has a score of its own, which leaves out the border
        return {}
    if key == "residual":
        supported = np.where(np.isfinite(values), values <= DEPARTURE, np.nan)
        return {key: values, "residual_rms": values**2, "supported": supported}
    return {key: values}


def _grow(part: slice, size: int) -> tuple[slice, slice]:
    """Grow a part by the halo; return what to read, and what of it to keep."""
    start, stop = max(part.start - _HALO, 0), min(part.stop + _HALO, size)
    return slice(start, stop), slice(part.start - start, part.stop - start)


def _score_structure(
    x: Tensor, z: Tensor, known: npt.NDArray[np.bool_]
) -> tuple[Tensor, dict[str, float]]:
    """Return the map of SSIM, and the scores that are no mean over pixels."""
    # holes were filled with the same value in both, and count as equal: allow few
    if min(z.shape[-2:]) < _SMALLEST or 1 - known.mean() > _HOLES:
        return ssim_map(x, z), {}
    similarity = score_similarity(x, z)
    found = {"ms_ssim": float(similarity.ms_ssim)}
    if float(z.max()) > float(z.min()):
        found["micro_ssim"] = float(similarity.micro_ssim)
        found["frc_resolution"] = float(ring_correlation(x, z).resolution())
    finite = {name: value for name, value in found.items() if math.isfinite(value)}
    return similarity.ssim, finite
