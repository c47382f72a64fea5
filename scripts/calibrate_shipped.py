"""Calibrate the expected error of the models that ship, and write it into their cards.

Truths are the planes of the training images, as in a training; each is measured three
times: as in both tracks of the benchmark, and with a blur, noise and brightness drawn
from the ranges of the recipes. The benchmark's own images are never read.

    python scripts/calibrate_shipped.py FOLDER [MODEL-xFACTOR ...]
    python scripts/calibrate_shipped.py FOLDER --left-out [MODEL-xFACTOR ...]

The second writes nothing: it leaves out a quarter of the images of each source in turn,
calibrates on the others, and says which share of pixels lies within their intervals.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

import napari_structsr
from napari_structsr.benchmark.tracks import TRACKS
from napari_structsr.calibration.fit import calibrate
from napari_structsr.calibration.samples import (
    CalibrationPair,
    Samples,
    sample_pairs,
)
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.models.model import SRModel
from napari_structsr.training.patch_sampler import Plane, load_planes, split_planes
from napari_structsr.training.recipe import DataConfig
from napari_structsr.zoo.catalogue import load_model

MODELS = ("faithful-x2", "sharp-x2", "faithful-x4", "sharp-x4")
MOST_PLANES = 48  # of a source
LARGEST = 640  # true pixels along a side
PATCHES = 100  # of each pair
PARTS = 4  # that are left out in turn
WEIGHTS = Path(napari_structsr.__file__).parent / "models" / "weights"


def main(folder: Path, words: list[str]) -> None:
    """Calibrate models by name, or check how well that goes."""
    names = [word for word in words if not word.startswith("--")]
    for name in names or MODELS:
        model, factor = name.split("-x")
        if "--left-out" in words:
            check(folder, model, int(factor))
        else:
            calibrate_card(folder, model, int(factor))


def sample_images(folder: Path, model: SRModel) -> Samples:
    """Measure the training images and collect errors."""
    planes, _ = split_planes(load_planes(folder, smallest=48 * model.factor))
    pairs = measure_pairs(choose_planes(planes), model.factor)
    return sample_pairs(pairs, model, patches=PATCHES)


def check(folder: Path, name: str, factor: int) -> None:
    """Print the coverage of images that a calibration has not seen."""
    model = load_model(name, factor=factor)
    samples = sample_images(folder, model)
    part = np.zeros(len(samples), int)
    for source in np.unique(samples.source):
        mine = samples.source == source
        images = np.random.default_rng(0).permutation(np.unique(samples.image[mine]))
        number = dict(zip(images, np.arange(len(images)) % PARTS, strict=True))
        part[mine] = [number[image] for image in samples.image[mine]]
    inside = np.zeros(len(samples))
    for left in range(PARTS):
        out = np.flatnonzero(part == left)
        found = calibrate(samples.select(part != left), model)
        features = torch.from_numpy(samples.features[out])
        bound = found.predictor(features)[..., 1].exp().numpy() * found.quantile(0.9)
        inside[out] = (samples.errors[out] <= bound).mean(axis=1)
    weights = samples.weights(samples.image)
    shares = {
        source: np.average(inside, weights=weights * (samples.source == source))
        for source in np.unique(samples.source)
    }
    print(
        f"{name} x{factor}: {np.mean(list(shares.values())):.1%} in the mean; "
        + ", ".join(f"{source} {share:.1%}" for source, share in shares.items())
    )


def calibrate_card(folder: Path, name: str, factor: int) -> None:
    """Calibrate one model and write its card."""
    model = load_model(name, factor=factor)
    samples = sample_images(folder, model)
    calibration = calibrate(samples, model, conditions=describe_conditions(factor))
    path = WEIGHTS / f"{name}-x{factor}.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    card["calibration"] = calibration.model_dump(mode="json")
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    print(
        f"{name} x{factor}: {calibration.patches} of {len(samples)} patches, "
        f"scale {calibration.scale}, "
        + ", ".join(f"{one.level:.0%}: {one.factor}" for one in calibration.intervals)
    )


def choose_planes(planes: list[Plane]) -> list[Plane]:
    """Keep at most so many planes of each source, evenly spread."""
    kept = []
    for source in dict.fromkeys(plane.source for plane in planes):
        mine = [plane for plane in planes if plane.source == source]
        number = min(MOST_PLANES, len(mine))
        kept += [
            mine[i] for i in np.linspace(0, len(mine) - 1, number).round().astype(int)
        ]
    return kept


def measure_pairs(planes: list[Plane], factor: int) -> Iterator[CalibrationPair]:
    """Measure each plane three times."""
    random = np.random.default_rng(0)
    generator = torch.Generator().manual_seed(0)
    ranges = DataConfig()
    for plane in planes:
        truth = cut_middle(plane, factor)
        drawn = (
            math.exp(random.uniform(*np.log(ranges.photons))),
            math.exp(random.uniform(*np.log(ranges.read_noise))),
            random.uniform(*ranges.psf_sigma),
            random.uniform(*ranges.gain),
        )
        tracks = [
            (track.photons, track.read_noise, track.psf_sigma, 1.0)
            for track in TRACKS.values()
            if track.factor == factor
        ]
        for photons, read_noise, psf_sigma, gain in (*tracks, drawn):
            image = torch.from_numpy(truth * np.float32(gain))[None, None]
            measured = ForwardModel(factor, psf_sigma).measure(
                image, photons=photons, read_noise=read_noise, generator=generator
            )
            yield CalibrationPair(
                measured[0, 0].numpy(),
                image[0, 0].numpy(),
                source=plane.source,
                image=plane.image,
            )


def cut_middle(plane: Plane, factor: int) -> np.ndarray:
    """Cut the middle of a plane, range 0..1."""
    parts = []
    for size in plane.pixels.shape:
        kept = min(size, LARGEST) // factor * factor
        start = (size - kept) // 2
        parts.append(slice(start, start + kept))
    return plane.pixels[tuple(parts)].astype(np.float32) / 32767


def describe_conditions(factor: int) -> str:
    """Say how the truths were measured."""
    ranges = DataConfig()
    return (
        f"x{factor}; a third each: 4000 photons and read noise 0.3%, 400 photons and "
        "1%, both with a point-spread sigma of 0.4 measured pixels, and drawn from "
        f"sigma {ranges.psf_sigma[0]} to {ranges.psf_sigma[1]}, "
        f"{ranges.photons[0]:.0f} to {ranges.photons[1]:.0f} photons, read noise "
        f"{ranges.read_noise[0]:.1%} to {ranges.read_noise[1]:.1%} of the range, "
        f"brightness {ranges.gain[0]:.0%} to {ranges.gain[1]:.0%}"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
