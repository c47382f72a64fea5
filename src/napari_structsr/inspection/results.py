"""What an inspection finds: maps, scores, and the places where a map is worst.

Plain values; they know nothing of how maps are computed.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_structsr.core.axes import ImageSpec
from napari_structsr.core.error_map import MAPS
from napari_structsr.core.record import Record
from napari_structsr.core.types import Array

if TYPE_CHECKING:
    from napari_structsr.inspection.matching import MatchedImages

WHOLE = "image"
"""Name of the region that is the whole plane."""

SCORES = {
    "psnr": "peak signal-to-noise ratio in dB, of the range of the reference",
    "psnr_bicubic": "the same of bicubic interpolation of the source",
    "ssim": "mean structural similarity, 5 pixels at the border left out",
    "ssim_bicubic": "the same of bicubic interpolation of the source",
    "ms_ssim": "multi-scale structural similarity",
    "micro_ssim": "structural similarity that gain and offset do not change",
    "nrmse": "root of the summed squared error over that of the squared reference",
    "gradient_error": "summed gradient differences over gradients of the reference",
    "gradient_error_bicubic": "the same of bicubic interpolation of the source",
    "frc_resolution": "period in pixels where the Fourier ring correlation is 1/7",
    "improvement": "share of pixels whose surroundings came nearer to the reference "
    "than bicubic",
    "omission": "share of pixels whose surroundings stay as with bicubic",
    "hallucination": "share of pixels whose surroundings are near neither",
    "supported": "share of pixels that agree with the measurement within 4 times its "
    "noise",
    "residual_rms": "root mean square of the residual, in noise units",
    "rse": "SQUIRREL: root mean square error after the fit, in units of the image",
    "rsp": "SQUIRREL: correlation after the fit, negative if inverted",
    "fitted_blur": "SQUIRREL: width of the fitted blur in pixels",
    "decorrelation_source": "resolution of the source by decorrelation, in pixels",
    "decorrelation_bicubic": "the same of bicubic interpolation",
    "decorrelation_result": "the same of the result; invented texture lowers it",
}
"""Scores of a plane by their key; means of the maps come after them."""


@dataclass(frozen=True)
class ScoreRow:
    """Scores of one region of one plane.

    Parameters
    ----------
    plane
        Index along t, c and z, as far as present.
    channel
        Name of the channel, or "".
    region
        Name of the region; `WHOLE` for the plane.
    pixels
        How many pixels count.
    values
        Scores by key: those of `SCORES`, and the mean of every other map by its own
        key. None where a score has no meaning.
    """

    plane: Mapping[str, int]
    channel: str
    region: str
    pixels: int
    values: Mapping[str, float | None]


@dataclass(frozen=True)
class ScoreTable:
    """All scores of an inspection, the whole of each plane before its regions."""

    rows: tuple[ScoreRow, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Scores that any row has, in order."""
        found = dict.fromkeys(key for row in self.rows for key in row.values)
        # scores as they are listed, then maps
        order = [*SCORES, *MAPS]
        return tuple(
            sorted(found, key=lambda k: (k not in order, [*order, k].index(k)))
        )

    @property
    def header(self) -> tuple[str, ...]:
        """Titles of the columns of `cells`."""
        axes = self.rows[0].plane if self.rows else {}
        return (*axes, "channel", "region", "pixels", *self.keys)

    def cells(self) -> list[tuple[Any, ...]]:
        """Return every row as plain values, None where there is none."""
        return [
            (
                *row.plane.values(),
                row.channel,
                row.region,
                row.pixels,
                *(row.values.get(key) for key in self.keys),
            )
            for row in self.rows
        ]

    def to_csv(self) -> str:
        """Return the table as CSV; missing values are empty."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.header)
        writer.writerows(
            [format(v, ".7g") if isinstance(v, float) else v for v in row]
            for row in self.cells()
        )
        return text.getvalue()

    def means(self, region: str = WHOLE) -> dict[str, float]:
        """Average each score over the planes."""
        found = {}
        for key in self.keys:
            # a score without meaning on a plane does not count
            values = [
                value
                for row in self.rows
                if row.region == region and (value := row.values.get(key)) is not None
            ]
            if values:
                found[key] = sum(values) / len(values)
        return found


@dataclass(frozen=True)
class WorstRegion:
    """A place where a map is worst.

    Parameters
    ----------
    map
        Key of the map.
    plane
        Index along t, c and z, as far as present.
    rows, columns
        First and one past the last pixel, in the pixels of the maps.
    value
        Mean of the map there; of `change` the share of hallucination.
    """

    map: str
    plane: Mapping[str, int]
    rows: tuple[int, int]
    columns: tuple[int, int]
    value: float


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Parameters
    ----------
    maps
        Array, or path of an OME-Zarr store, by key; axes t, c, z, y, x as far as
        present, the pixels of `spec`.
    spec
        The maps' grid: that of the result, or of the part that the reference covers.
    scores, worst
        Numbers, and the worst places of each map, worst first.
    notes
        What was decided and noticed, in sentences.
    alignment
        What was done to reference and result to compare them: "shift" of the
        reference in result pixels (y, x), "confidence", "gain" and "offset" of the
        result against the reference, and "range", the values taken as 0 and 1.
    record
        What was done.
    limits
        Values to show of each map from the best to the worst.
    folder
        Where everything was written, if anywhere.
    sentence
        What was found, in plain words, see `describe_findings`.
    cut
        Maps that have more places than were to be listed.
    doubts
        Sentences of `notes` that make a map doubtful, by its key.
    matched
        The images that were compared, for a report that is written later.
    """

    maps: Mapping[str, Array | Path]
    spec: ImageSpec
    scores: ScoreTable
    worst: tuple[WorstRegion, ...]
    notes: tuple[str, ...]
    alignment: Mapping[str, Any]
    record: Record
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    folder: Path | None = None
    sentence: str = ""
    cut: tuple[str, ...] = ()
    doubts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    matched: MatchedImages | None = field(default=None, repr=False, compare=False)
