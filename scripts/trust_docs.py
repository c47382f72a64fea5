"""Measure what the trust map promises, and put the figures into the docs.

    python scripts/trust_docs.py DIR [MODEL-xFACTOR ...]

DIR holds one folder of images a source, none of which a shipped model or its
calibration has seen. The middle plane of each image is cut to its middle 512 x 512
pixels, measured as in each track of the benchmark, and upscaled; figures are means
over the planes of a source, then over sources. Sources that the calibration knows
stand first. Three planes of each source also say how well other maps rank the pixels of
sharp, x2-mild.

Tables are printed. If all four models were measured, they also replace what stands
between ``<!-- trust -->`` and ``<!-- /trust -->`` in docs/structure-error.md.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from torch.nn import functional as F

from napari_structsr.benchmark.tracks import TRACKS, Track, make_truth
from napari_structsr.core.intensity import fit_intensity
from napari_structsr.imaging.expected_error import (
    TrustInputs,
    expected_error,
    half_width,
)
from napari_structsr.imaging.forward import noise_variance
from napari_structsr.imaging.squirrel import fit_squirrel, squirrel_map
from napari_structsr.imaging.trust import (
    artefact_map,
    null_space_map,
    residual_map,
    spread_map,
)
from napari_structsr.io.formats.image_folders import ImageFile, find_images
from napari_structsr.models.generator import interpolate
from napari_structsr.models.model import SRModel
from napari_structsr.zoo.catalogue import load_model

PAGE = Path(__file__).parent.parent / "docs/structure-error.md"
PLACE = re.compile(r"(<!-- trust -->\n).*?(<!-- /trust -->)", re.S)
MODELS = ("sharp-x2", "faithful-x2", "sharp-x4", "faithful-x4")
SINGLE = ("sharp-x2", "x2-mild")  # where maps are compared one by one
SINGLE_PLANES = 3  # of a source; some maps run the model again
SIDE = 512  # true pixels
BLOCKS = (8, 16)  # true pixels along the side of means
AROUND = 2  # measured pixels to each side of the local standard deviation

Figures = dict[str, float]


def main(folder: Path, names: list[str]) -> None:
    """Measure models by name and write the tables."""
    measured = {
        (name, track.name): measure_sources(folder, name, track)
        for name in names
        for track in TRACKS.values()
        if name.endswith(f"x{track.factor}")
    }
    tables = [format_coverage(measured), format_ranks(measured)]
    if SINGLE in measured:
        tables.append(format_single_maps(measured[SINGLE]))
    text = "\n\n".join(tables) + "\n"
    print(text)
    if set(MODELS) <= set(names):
        page = PAGE.read_text(encoding="utf-8")
        page = PLACE.sub(lambda found: f"{found[1]}{text}{found[2]}", page)
        PAGE.write_text(page, encoding="utf-8")
        print("wrote", PAGE)


def measure_sources(folder: Path, name: str, track: Track) -> dict[str, Figures]:
    """Return the mean figures of each source."""
    model = load_model(name.split("-")[0], factor=track.factor)
    planes: dict[str, list[Figures]] = {}
    for image in find_images(folder):
        truth = cut_middle(image, track)
        if min(truth.shape) >= 4 * max(BLOCKS) and np.ptp(truth) > 0:
            before = planes.setdefault(image.source, [])
            single = (name, track.name) == SINGLE and len(before) < SINGLE_PLANES
            before.append(measure_plane(truth, track, model, single=single))
    known = model.card.calibration.sources if model.card.calibration else ()
    return {
        source if source in known else f"*{source}*": {
            key: float(np.mean([one[key] for one in found if key in one]))
            for key in found[0]
        }
        for source, found in sorted(
            planes.items(), key=lambda item: (item[0] not in known, item[0])
        )
    }


def cut_middle(image: ImageFile, track: Track) -> np.ndarray:
    """Return the middle of the middle plane, range 0..1."""
    planes = list(image.planes(1))
    plane = planes[len(planes) // 2][1]
    cut = []
    for size in plane.shape:
        start = max(size - SIDE, 0) // 2
        cut.append(slice(start, start + min(size, SIDE)))
    plane = plane[tuple(cut)]
    if plane.min() == plane.max():
        return np.zeros(plane.shape, np.float32)
    return make_truth(plane, track.factor)


def measure_plane(
    truth: np.ndarray, track: Track, model: SRModel, *, single: bool
) -> Figures:
    """Measure and upscale a plane, and compare expected errors with true ones."""
    pixels = track.measure(truth)
    intensity = fit_intensity([pixels])
    measured = torch.from_numpy(intensity.normalise(pixels))[None, None]
    inputs = upscale_plane(model, measured, noise_variance(measured, intensity))
    true = torch.from_numpy(intensity.normalise(truth))[None, None]
    error = (inputs.result - true).abs()
    calibration = model.card.calibration
    assert calibration is not None
    trust = expected_error(inputs, calibration)
    width = half_width(inputs, calibration)
    deviation = local_deviation(inputs.result, AROUND * track.factor)
    around = (F.avg_pool2d(F.pad(error, [2] * 4, "reflect"), 5, 1) * 25 - error) / 24
    found = {
        "coverage": float((error <= width).double().mean()),
        "size": float(trust.mean() / error.mean()),
        "trust": rank_pixels(trust, error),
        "deviation": rank_pixels(deviation, error),
        "neighbours": rank_pixels(around, error),
    }
    for side in BLOCKS:
        means = [F.avg_pool2d(map_, side) for map_ in (trust, deviation, error)]
        found[f"trust {side}"] = rank_pixels(means[0], means[2])
        found[f"deviation {side}"] = rank_pixels(means[1], means[2])
    if single:
        maps = {"trust": trust} | compute_other_maps(inputs, measured, model)
        found |= {
            f"`{key}`": rank_pixels(values, error) for key, values in maps.items()
        }
    return found


def compute_other_maps(
    inputs: TrustInputs, measured: torch.Tensor, model: SRModel
) -> dict[str, torch.Tensor]:
    """Compute the other maps without reference, all so that large means bad."""
    result, forward = inputs.result, model.forward_model
    base = interpolate(measured, inputs.factor, mode="bicubic")
    with torch.inference_mode():
        faithful = load_model("faithful", factor=inputs.factor)(measured)
        return {
            "spread": spread_map(model, measured),
            "null_space": null_space_map(result, forward),
            "squirrel": squirrel_map(result, base, fit_squirrel(result, base)),
            "artefact": -artefact_map(faithful, result),
            "residual": residual_map(result, measured, forward, inputs.variance),
        }


def upscale_plane(
    model: SRModel, measured: torch.Tensor, variance: torch.Tensor
) -> TrustInputs:
    """Upscale, and say how it was measured."""
    with torch.inference_mode():
        return TrustInputs(model(measured), variance)


def local_deviation(image: torch.Tensor, radius: int) -> torch.Tensor:
    """Return the standard deviation in square windows."""
    wide = F.pad(image.double(), [radius] * 4, "reflect")
    mean, square = (F.avg_pool2d(power, 2 * radius + 1, 1) for power in (wide, wide**2))
    return (square - mean**2).clamp_min(0).sqrt()


def rank_pixels(first: torch.Tensor, second: torch.Tensor) -> float:
    """Return Spearman's correlation of the pixels of two maps."""
    return float(spearmanr(first.flatten().numpy(), second.flatten().numpy())[0])


def format_coverage(measured: dict[tuple[str, str], dict[str, Figures]]) -> str:
    """Say which share of pixels lies within intervals of 90%."""
    sources = list(next(iter(measured.values())))
    lines = [
        f"| 90% intervals hold | {' | '.join(sources)} |",
        "|---" * (len(sources) + 1) + "|",
    ]
    for (name, track), found in measured.items():
        cells = (
            f"{found[source]['coverage']:.0%}" if source in found else ""
            for source in sources
        )
        lines.append(f"| {name.split('-')[0]}, {track} | {' | '.join(cells)} |")
    return "\n".join(lines)


def format_ranks(measured: dict[tuple[str, str], dict[str, Figures]]) -> str:
    """Say how well the maps rank pixels and blocks."""
    sides = [f"{side} x {side}" for side in BLOCKS]
    lines = [
        "| `trust` / local standard deviation | single pixels | "
        f"{' | '.join(sides)} | true error of the 24 neighbours |",
        "|---" * (len(sides) + 3) + "|",
    ]
    for (name, track), found in measured.items():
        mean = {
            key: np.mean([one[key] for one in found.values()])
            for key in next(iter(found.values()))
        }
        cells = [
            f"{mean[f'trust{end}']:.2f} / {mean[f'deviation{end}']:.2f}"
            for end in ("", *(f" {side}" for side in BLOCKS))
        ]
        lines.append(
            f"| {name.split('-')[0]}, {track} | {' | '.join(cells)} | "
            f"{mean['neighbours']:.2f} |"
        )
    return "\n".join(lines)


def format_single_maps(found: dict[str, Figures]) -> str:
    """Say how well each map by itself ranks single pixels."""
    keys = [key for key in next(iter(found.values())) if key.startswith("`")]
    means = [np.mean([one[key] for one in found.values()]) for key in keys]
    return (
        f"| map by itself | {' | '.join(keys)} |\n"
        f"{'|---' * (len(keys) + 1)}|\n"
        f"| sharp, {SINGLE[1]} | {' | '.join(f'{mean:.2f}' for mean in means)} |"
    )


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), sys.argv[2:] or list(MODELS))
