"""The comparison on pairs that were really measured: one area scanned twice.

Nobody knows the optics between two scans, and drift, gain and offset differ. So the
truth is laid on the measured image by the registration that users have, and gain and
offset of every result are fitted before it is scored. What a method is told as the
truth is the width that a fit of both scans finds, and the noise of the coarse one.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from napari_structsr.benchmark.markdown import format_table
from napari_structsr.benchmark.measures import Reference
from napari_structsr.benchmark.methods import list_default_methods, load_methods
from napari_structsr.benchmark.score_files import round_score, write_csv
from napari_structsr.benchmark.settings import BenchmarkSettings
from napari_structsr.benchmark.tracks import Track
from napari_structsr.core.axes import Axes, Axis, ImageSpec
from napari_structsr.core.types import Float32Array
from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Event,
    Finished,
    Progressed,
    Started,
    Warned,
)
from napari_structsr.errors import SourceError, TrainingError
from napari_structsr.io.arrays import ArraySource
from napari_structsr.pairs.image_pair import ImagePair
from napari_structsr.pairs.register_pair import field_pair
from napari_structsr.zoo.catalogue import load_model

_NAME = re.compile(r"(.+)_x(\d)__lr\.tiff?", re.IGNORECASE)
_MEASURES = ("psnr", "ssim", "correlation", "correlation_in")


@dataclass(frozen=True)
class PairScore:
    """What a method reached on one pair, gain and offset fitted.

    Parameters
    ----------
    pair, factor, method
        Where and what.
    width
        Width between both scans that a fit finds, in measured pixels.
    registered
        Whether the two were laid on each other; else their files were trusted.
    values
        PSNR in dB of the robust range of the truth, SSIM, correlation, and that in
        the upper half of the band that measured pixels can hold.
    """

    pair: str
    factor: int
    method: str
    width: float
    registered: bool
    values: dict[str, float]


@dataclass(frozen=True)
class PairPlan:
    """How many pairs there are."""

    pairs: int
    done: int = 0

    def __str__(self) -> str:
        return f"{self.pairs} pairs"


def find_pairs(folder: Path) -> list[tuple[Path, Path, int]]:
    """Return coarse and fine files and their factors, in a folder and below it.

    Raises
    ------
    SourceError
        If there is none.
    """
    found = []
    for low in sorted(folder.rglob("*__lr.tif*")):
        name = _NAME.fullmatch(low.name)
        high = low.with_name(low.name.replace("__lr.", "__hr."))
        if name and high.exists():
            found.append((low, high, int(name[2])))
    if not found:
        raise SourceError(
            f"{folder} holds no pairs; expected NAME_x2__lr.tif and NAME_x2__hr.tif, "
            "or x4, the second so many times as large along each side"
        )
    return found


def compare_pairs(
    folder: Path, out: Path, settings: BenchmarkSettings, cancel: Cancel
) -> Iterator[Event]:
    """Score methods on pairs and write paired.md and paired.csv; yield events."""
    files = find_pairs(folder)
    load = functools.cache(load_model)
    yield Started(len(files), PairPlan(len(files)))
    scores: list[PairScore] = []
    for done, (low, high, factor) in enumerate(files):
        if cancel:
            yield Cancelled(done)
            return
        name = low.name.partition("__lr.")[0]
        try:
            pair, registered = read_pair(low, high, factor)
        except TrainingError as error:
            yield Warned(f"{name} is left out: {error}")
        else:
            track = describe_pair(pair, name)
            names = settings.methods or list_default_methods(factor)
            for method in load_methods(names, track, settings=settings, load=load):
                values = score_pair(pair, method.run(pair.measured), track)
                scores.append(
                    PairScore(
                        name, factor, method.name, pair.psf_sigma, registered, values
                    )
                )
        yield Progressed(done + 1, len(files), name)
    if not scores:
        raise SourceError(f"no pair of {folder} could be scored; see the warnings")
    out.mkdir(parents=True, exist_ok=True)
    _write(scores, out)
    yield Finished(out, scores)


def read_pair(low: Path, high: Path, factor: int) -> tuple[ImagePair, bool]:
    """Read a pair, and lay the fine image on the coarse one.

    Returns
    -------
    tuple
        The pair, and whether it could be registered; else it lies as the files say:
        outer edges on each other.

    Raises
    ------
    TrainingError
        If the two have nothing in common.
    """
    fine, coarse = (tifffile.imread(path) for path in (high, low))
    plane = (Axis(axis, size) for axis, size in zip("yx", fine.shape, strict=True))
    axes = Axes(tuple(plane))
    true = ArraySource(
        fine, ImageSpec("high", axes, fine.dtype), names="yx", origin=str(high)
    )
    spec = ImageSpec("low", axes.downscale(factor), coarse.dtype)
    measured = ArraySource(coarse, spec, names="yx", origin=str(low))
    try:
        return field_pair(measured, true, factor=factor), True
    except TrainingError:
        # scans drift, so that no one shift fits all parts of a field
        return field_pair(measured, true, factor=factor, register=False), False


def describe_pair(pair: ImagePair, name: str) -> Track:
    """Return the conditions under which a pair was measured, as far as fits say."""
    shot, floor = pair.noise
    return Track(
        name,
        pair.factor,
        photons=1 / shot if shot else math.inf,
        read_noise=math.sqrt(floor),
        psf_sigma=pair.psf_sigma,
        shape="gaussian",
    )


def score_pair(pair: ImagePair, result: Float32Array, track: Track) -> dict[str, float]:
    """Fit gain and offset of a result to the truth, and score it."""
    low, high = np.percentile(pair.truth, (0.1, 99.9))
    truth = ((pair.truth - low) / (high - low)).astype(np.float32)
    gain, offset = np.polyfit(result.ravel().astype(float), truth.ravel(), 1)
    fitted = (gain * result + offset).astype(np.float32)
    keys = [key for key in _MEASURES if key != "correlation"]
    found = Reference(truth, pair.measured, track).score(fitted, keys)
    correlation = float(np.corrcoef(fitted.ravel(), truth.ravel())[0, 1])
    values = {**found, "correlation": correlation}
    return {key: values[key] or 0.0 for key in _MEASURES}


def _write(scores: list[PairScore], out: Path) -> None:
    rows = [
        (s.pair, s.factor, s.method, s.registered, round_score(s.width), key, number)
        for s in scores
        for key, value in s.values.items()
        if (number := round_score(value)) is not None
    ]
    head = ("pair", "factor", "method", "registered", "width", "measure", "value")
    write_csv(out / "paired.csv", head, rows)
    text = [
        "# Measured pairs",
        "Gain and offset of every result are fitted to the truth. Cells hold PSNR in "
        "dB, of the range from the 0.1 to the 99.9 percentile of the truth, and "
        "correlation. "
        "*Width* lies between both scans by a fit, in measured pixels; where it stands "
        "in brackets the scans drift against each other, so that no one place fits all "
        "parts, and they lie as their files say.",
    ]
    for factor in sorted({s.factor for s in scores}):
        there = [s for s in scores if s.factor == factor]
        names = list(dict.fromkeys(s.method for s in there))
        pairs = list(dict.fromkeys(s.pair for s in there))
        table = []
        for pair in pairs:
            found = {s.method: s for s in there if s.pair == pair}
            first = next(iter(found.values()))
            width = f"{first.width:.2f}" if first.registered else f"({first.width:.2f})"
            table.append([pair, width, *(_cell([found[name]]) for name in names)])
        mean = [_cell([s for s in there if s.method == name]) for name in names]
        table.append([f"**mean of {len(pairs)}**", "", *mean])
        text += [f"## x{factor}", format_table(["pair", "width", *names], table)]
    (out / "paired.md").write_text("\n\n".join(text) + "\n", encoding="utf-8")


def _cell(scores: list[PairScore]) -> str:
    psnr, correlation = (
        math.fsum(score.values[key] for score in scores) / len(scores)
        for key in ("psnr", "correlation")
    )
    return f"{psnr:.2f} / {correlation:.3f}"
