"""Measure what a fine-tuning gains on another microscope, and what it forgets.

    python scripts/fine_tune_docs.py DATA --out OUT

DATA holds one folder of images a source, as `structsr benchmark --data` takes it. For
each of --sources a microscope is simulated that the parent does not know: wider blur
(0.9 measured pixels), more noise (1000 photons, 1% camera noise) and another contrast
(gamma 1.6). Four images train by a region of 256 x 256 true pixels each and validate by
another one, further away than the model can see. Two more things are scored: other
images of the source, measured alike, and images of all sources, as the parent was
trained for.

The tables are printed and written to OUT/fine-tuning.md, all numbers to
OUT/scores.csv, and the models lie beside them.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

import napari_structsr as sr
from napari_structsr.benchmark.measures import find_busiest_window
from napari_structsr.benchmark.tracks import TRACKS, Track, make_truth, score
from napari_structsr.core.axes import Axes, Axis
from napari_structsr.engine.events import Failed, Finished, Noted
from napari_structsr.finetuning.fine_tune import Scored
from napari_structsr.finetuning.split import Block, Split
from napari_structsr.finetuning.verdict import Verdict
from napari_structsr.imaging.structure import gradient_error
from napari_structsr.io.arrays import ArraySource, make_spec
from napari_structsr.io.formats.image_folders import find_images
from napari_structsr.io.source import Source
from napari_structsr.pairs.geometry import Region
from napari_structsr.pairs.image_pair import ImagePair

SOURCES = ("bbbc038_dsb2018", "nasa_ebc", "neubias_training")
GAMMA, PSF_SIGMA, PHOTONS, READ_NOISE = 1.6, 0.9, 1000, 0.01
TRAINING, OTHERS, KEPT = 4, 8, 4  # images of a source, at most
SIDE, LEAST = 256, 128  # true pixels along a region; along one for validation
VIEW = 384  # true pixels along the busiest part of an image, which is scored
MEASURES = ("PSNR", "SSIM", "structure error")

T = TypeVar("T")
Plane = npt.NDArray[np.float32]
Scores = dict[str, list[float]]
"""By method, as in `MEASURES`."""


@dataclass(frozen=True)
class Row:
    """What the methods make of images of one kind."""

    trained_on: str
    images: str
    source: str
    scores: Scores


def main() -> None:
    """Fine-tune on each source, and write the tables."""
    asked = read_arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    planes = read_planes(asked.data, asked.factor)
    track = Track("unknown", asked.factor, PHOTONS, READ_NOISE, PSF_SIGMA)
    mild = TRACKS[f"x{asked.factor}-mild"]
    models = {
        "bicubic": sr.load_model("bicubic", factor=asked.factor),
        "parent": sr.load_model(asked.parent, factor=asked.factor),
    }
    kept = {
        source: score_models(models, spread_evenly(found, KEPT), mild)
        for source, found in planes.items()
    }
    rows, notes = [], []
    for source in asked.sources:
        shifted = [plane**GAMMA for plane in planes[source]]
        begin = time.process_time()
        model, verdict, rest = tune(shifted, track, models["parent"], source, asked)
        minutes = (time.process_time() - begin) / 60
        notes.append(f"* {source}: {minutes:.1f} core minutes. {verdict.sentence}")
        held_out = {
            name: list(values.values()) for name, values in verdict.scores.items()
        }
        rows.append(Row(source, "held out", source, held_out))
        others = score_models(
            models | {"adapted": model}, spread_evenly(rest, OTHERS), track
        )
        rows.append(Row(source, "other specimens", source, others))
        for name, before in kept.items():
            after = score_models(
                {"adapted": model}, spread_evenly(planes[name], KEPT), mild
            )
            rows.append(Row(source, "own kind", name, before | after))
        write(asked.out, rows, notes)
    print((asked.out / "fine-tuning.md").read_text(encoding="utf-8"))


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sources", nargs="+", default=SOURCES)
    parser.add_argument("--parent", default="faithful")
    parser.add_argument("--factor", type=int, default=2, choices=(2, 4))
    parser.add_argument("--steps", type=int, default=850)
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--adversarial", default="auto")
    parser.add_argument(
        "--largest-loss", type=float, default=0.2, help="dB, see FineTuneConfig"
    )
    parser.add_argument(
        "--high-only", action="store_true", help="train on simulated partners"
    )
    return parser.parse_args()


def read_planes(folder: Path, factor: int) -> Mapping[str, list[Plane]]:
    """Return the planes of each source, in 0..1, the longer side across."""
    found = defaultdict(list)
    for image in find_images(folder):
        for _, plane in image.planes(every=4):
            if min(plane.shape) >= LEAST and plane.min() < plane.max():
                turned = plane.T if plane.shape[0] > plane.shape[1] else plane
                found[image.source].append(make_truth(turned, factor))
    return found


def tune(
    planes: Sequence[Plane],
    track: Track,
    parent: sr.SRModel,
    source: str,
    asked: argparse.Namespace,
) -> tuple[sr.SRModel, Verdict, list[Plane]]:
    """Fine-tune the parent on some planes; return the rest as well."""
    made = {
        number: make_pairs(plane, track, parent.radius, number, asked.high_only)
        for number, plane in enumerate(planes)
    }
    chosen = spread_evenly([number for number, two in made.items() if two], TRAINING)
    rest = [plane for number, plane in enumerate(planes) if number not in chosen]
    training, validation = (
        [made[number][side] for number in chosen] for side in (0, 1)
    )
    pairs = training + validation
    blocks = [
        Block(number, (0, pair.measured.shape[0]), (0, pair.measured.shape[1]))
        for number, pair in enumerate(pairs)
    ]
    split = Split(
        tuple(blocks[: len(training)]), tuple(blocks[len(training) :]), parent.radius
    )
    config = sr.FineTuneConfig(
        name=source,
        parent=asked.parent,
        factor=track.factor,
        steps=asked.steps,
        mode=asked.mode,
        adversarial=asked.adversarial,
        largest_loss=asked.largest_loss,
        device="cpu",
        out=str(asked.out / source),
    )
    finished = None
    for event in sr.iter_fine_tune(config, pairs, parent, split=split):
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Scored | Noted):
            print(source, event, flush=True)
        finished = event
    assert isinstance(finished, Finished)
    model = sr.load_model(str(finished.output), factor=track.factor)
    return model, finished.record, rest


def make_pairs(
    plane: Plane, track: Track, gap: int, seed: int, high_only: bool
) -> tuple[ImagePair, ...]:
    """Make a pair for training and one for validation; none of an unfit plane."""
    factor = track.factor
    low = open_plane(track.measure(plane, seed=seed), pixel=factor)
    high = open_plane(plane, pixel=1)
    try:
        pairs = [
            sr.field_pair(low, high, region=region, register=False)
            for region in choose_regions(plane, factor, gap)
        ]
    except sr.StructsrError:  # too small, or nothing but noise in the dark
        return ()
    if high_only and pairs:
        top, bottom, left, right = choose_regions(plane, factor, gap)[0]
        pairs[0] = sr.high_only_pair(
            high,
            factor=factor,
            region=(top * factor, bottom * factor, left * factor, right * factor),
            psf_sigma=pairs[0].psf_sigma,
            sample=low,
            seed=seed,
        )
    return tuple(pairs)


def open_plane(plane: Plane, *, pixel: int) -> Source:
    """Open a plane whose pixels are as large as `pixel` true ones, corner at 0."""
    axes = Axes(
        tuple(
            Axis(name, size, float(pixel), pixel / 2, "micrometer")
            for name, size in zip("yx", plane.shape, strict=True)
        )
    )
    spec = make_spec("image", axes, plane.dtype)
    return ArraySource(plane, spec, names="yx", origin="numpy array")


def choose_regions(plane: Plane, factor: int, gap: int) -> list[Region]:
    """Return a region for training and one for validation, in measured pixels.

    Each is the busiest place of a half; there are none if the plane is too small.
    """
    height, width = plane.shape
    gap = factor * (gap + 1)
    half = max(SIDE, (width - gap) // 2 // factor * factor)
    if height < SIDE or width < half + gap + LEAST:
        return []
    found: list[Region] = []
    for first, part in ((0, plane[:, :half]), (half + gap, plane[:, half + gap :])):
        rows, columns = find_busiest_window(part, SIDE)
        edges = rows.start, rows.stop, first + columns.start, first + columns.stop
        top, bottom, left, right = (edge // factor for edge in edges)
        found.append((top, bottom, left, right))
    return found


def score_models(
    models: Mapping[str, sr.SRModel], planes: Sequence[Plane], track: Track
) -> Scores:
    """Return the mean scores of models on planes as `track` measures them."""
    found: Scores = {}
    for name, model in models.items():
        scores = []
        for number, plane in enumerate(planes):
            truth = make_truth(plane[find_busiest_window(plane, VIEW)], track.factor)
            measured = sr.open_source(track.measure(truth, seed=number))
            # a model that is told the optics is told the truth of them
            told = track.psf_sigma if model.conditional else None
            result = sr.result_of(
                sr.iter_upscale(
                    measured,
                    model,
                    sr.MemorySink(),
                    settings=sr.UpscaleSettings(psf_sigma=told),
                )
            )
            seen = score(truth, result)
            one, other = (
                torch.from_numpy(image)[None, None] for image in (result, truth)
            )
            scores.append((seen.psnr, seen.ssim, float(gradient_error(one, other))))
        found[name] = np.mean(scores, axis=0).tolist() if scores else [np.nan] * 3
    return found


def spread_evenly(items: Sequence[T], count: int) -> list[T]:
    """Return at most `count` items, evenly spread."""
    count = min(count, len(items))
    return [
        items[round(n * (len(items) - 1) / max(1, count - 1))] for n in range(count)
    ]


def write(out: Path, rows: Sequence[Row], notes: Sequence[str]) -> None:
    """Write the tables and the numbers."""
    with (out / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["trained on", "images", "source", "method", *MEASURES])
        for row in rows:
            for method, values in row.scores.items():
                place = row.trained_on, row.images, row.source, method
                table.writerow([*place, *(f"{value:.4f}" for value in values)])
    kinds = ["held out", "other specimens", "own kind"]
    lines = ["Adapted against its parent, in brackets against bicubic.", ""]
    for kind in kinds:
        lines += [
            f"| {kind} | PSNR | SSIM | structure error |",
            "|---|---|---|---|",
        ]
        for source in dict.fromkeys(row.trained_on for row in rows):
            here = [r for r in rows if (r.trained_on, r.images) == (source, kind)]
            lines.append(format_gains(source, [row.scores for row in here]))
        lines.append("")
    lines += ["Own kind, source by source, PSNR:", ""]
    sources = list(dict.fromkeys(r.source for r in rows if r.images == "own kind"))
    lines += [
        f"| trained on | {' | '.join(sources)} |",
        "|---" * (len(sources) + 1) + "|",
    ]
    for source in dict.fromkeys(row.trained_on for row in rows):
        losses = [
            f"{r.scores['adapted'][0] - r.scores['parent'][0]:+.2f}"
            for r in rows
            if (r.trained_on, r.images) == (source, "own kind")
        ]
        lines.append(f"| {source} | {' | '.join(losses)} |")
    text = "\n".join([*lines, "", *notes]) + "\n"
    (out / "fine-tuning.md").write_text(text, encoding="utf-8")


def format_gains(source: str, scores: Sequence[Scores]) -> str:
    """Write the mean gains over some sources as a row of a table."""
    gains = {
        other: np.mean([np.subtract(s["adapted"], s[other]) for s in scores], axis=0)
        for other in ("parent", "bicubic")
    }
    cells = [
        f"{gains['parent'][n]:+.{digits}f} ({gains['bicubic'][n]:+.{digits}f})"
        for n, digits in enumerate((2, 4, 3))
    ]
    return f"| {source} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
