"""Which share of true values lies within intervals of 90%, by source.

Run it from the root of the repository::

    python -m benchmarks.coverage --data DIR --train TRAIN --factor 2

Both folders hold one folder of images a source. The busiest part of a few images of
each source of DIR is measured at four widths of the point-spread function and three
numbers of photons, and upscaled by a conditional model that is told the width. Where
the source is none of TRAIN, intervals are those of the model's card. Of one that is,
they come from a network that was fitted without it, and a factor that it has no part
in. ``--write-card`` fits the calibration to TRAIN first, and writes it into the card of
the model, which ships.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

import napari_structsr
from napari_structsr.benchmark.measures import find_busiest_window
from napari_structsr.benchmark.settings import NOISY_TRUTH
from napari_structsr.benchmark.tracks import Track, find_tracks, make_truth
from napari_structsr.calibration.fit import calibrate
from napari_structsr.calibration.left_out_sources import (
    find_source_factor,
    fit_left_out,
    measure_coverage,
    predict_left_out,
)
from napari_structsr.calibration.samples import CalibrationPair, Samples, sample_pairs
from napari_structsr.cli.terminal import exit_on_error
from napari_structsr.core.types import Float32Array
from napari_structsr.imaging.expected_error import ErrorPredictor
from napari_structsr.io.formats.image_folders import find_images
from napari_structsr.models.calibration import TrustCalibration
from napari_structsr.models.model import SRModel
from napari_structsr.training.patch_sampler import load_planes
from napari_structsr.training.recipe import OpticsConfig, Recipe
from napari_structsr.training.varied_pairs import measure_varied_pairs
from napari_structsr.training.varied_truths import add_smaller_copies
from napari_structsr.zoo.catalogue import load_model

LEVEL = 0.9
SIDES = {1: 128, 2: 112, 4: 96}  # measured pixels along a part, by factor
DRAWS = 24  # parts of each source of the training images
PATCHES = 16  # of each part
WEIGHTS = Path(napari_structsr.__file__).parent / "models" / "weights"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def measure(
    data: Annotated[Path, typer.Option(help="Images to judge by.")],
    train: Annotated[Path, typer.Option(help="Images of the calibration.")],
    factor: Annotated[int, typer.Option(help="1, 2 or 4.")] = 2,
    model: Annotated[
        str, typer.Option(help="Conditional model: name or file.")
    ] = "conditional",
    planes: Annotated[int, typer.Option(help="Images of each source.")] = 2,
    write_card: Annotated[
        bool, typer.Option(help="Fit the calibration anew, and write it.")
    ] = False,
) -> None:
    """Measure the coverage, and print a table as Markdown."""
    with exit_on_error():
        torch.set_num_threads(1)
        network = load_model(model, factor=factor)
        samples = sample_training_images(train, network)
        left_out = fit_left_out(samples)
        calibration = network.card.calibration
        if write_card:
            conditions = describe_conditions(read_optics(network))
            calibration = calibrate(
                samples, network, left_out=left_out, conditions=conditions
            )
            write_calibration(network, calibration)
        assert calibration is not None
        intervals = find_intervals(samples, left_out)
        unseen = calibration.predictor, calibration.quantile(LEVEL)
        found: dict[str, dict[str, float]] = defaultdict(dict)
        parts = cut_parts(data, network.factor, planes)
        for track in find_tracks([f"x{factor}-gaussian"]):
            measured = sample_pairs(
                measure_parts(parts, track), network, patches=PATCHES
            )
            for source in np.unique(measured.source):
                mine = measured.select(measured.source == source)
                predictor, quantile = intervals.get(str(source), unseen)
                _, bound = predict_left_out(mine, {str(source): predictor})
                shares = measure_coverage(mine.errors / (bound * quantile), mine)
                found[str(source)][track.name] = shares[str(source)]
        print(write_table(found))


def sample_training_images(folder: Path, model: SRModel) -> Samples:
    """Measure parts of the training images in many ways, and collect errors."""
    config, smallest = read_optics(model), 48 * model.factor
    planes = load_planes(folder, smallest=smallest)
    sharp = [plane for plane in planes if plane.source not in config.oversampled]
    soft = [plane for plane in planes if plane.source in config.oversampled]
    planes = sharp + add_smaller_copies(soft, config, smallest=smallest)
    pairs = measure_varied_pairs(
        planes, config, factor=model.factor, side=SIDES[model.factor], draws=DRAWS
    )
    return sample_pairs(pairs, model, patches=PATCHES)


def read_optics(model: SRModel) -> OpticsConfig:
    """Return how the images that the model was trained on were measured."""
    return Recipe.model_validate_json(model.card.recipe).optics or OpticsConfig()


def describe_conditions(config: OpticsConfig) -> str:
    """Say how the truths were measured."""
    return (
        f"told point-spread sigma of {config.psf_sigma[0]:g} to "
        f"{config.psf_sigma[1]:g} measured pixels ({config.airy:.0%} Airy, "
        f"{config.elliptic:.0%} elliptic), {config.photons[0]:g} to "
        f"{config.photons[1]:g} photons, read noise {config.read_noise[0]:.2%} to "
        f"{config.read_noise[1]:.1%} of the range; sources left out in turn decided"
    )


def write_calibration(model: SRModel, calibration: TrustCalibration) -> None:
    """Write a calibration into the card of a model that ships."""
    path = WEIGHTS / f"{model.card.name}-x{model.factor}.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    card["calibration"] = calibration.model_dump(mode="json")
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def cut_parts(
    folder: Path, factor: int, planes: int
) -> list[tuple[str, str, Float32Array]]:
    """Return source, image and the busiest part of a few images of each source."""
    files = defaultdict(list)
    for image in find_images(folder):
        files[image.source].append(image)
    found = []
    for source, images in files.items():
        for image in images[:: max(1, -(-len(images) // planes))][:planes]:
            name, plane = next(iter(image.planes(every=1)))
            truth = make_truth(plane, factor)
            part = truth[find_busiest_window(truth, SIDES[factor] * factor)]
            found.append((source, name, make_truth(part, factor)))
    return found


def measure_parts(
    parts: list[tuple[str, str, Float32Array]], track: Track
) -> list[CalibrationPair]:
    """Measure the parts in one way."""
    return [
        CalibrationPair(
            track.measure(truth), truth, source, name, psf_sigma=track.psf_sigma
        )
        for source, name, truth in parts
    ]


def find_intervals(
    samples: Samples, left_out: dict[str, ErrorPredictor]
) -> dict[str, tuple[ErrorPredictor, float]]:
    """Return network and factor of each source that know nothing of it."""
    found = {}
    for source, predictor in left_out.items():
        others = samples.select(samples.source != source)
        _, bound = predict_left_out(others, left_out)
        factor = find_source_factor(others.errors / bound, others, level=LEVEL)
        found[source] = predictor, factor
    return found


def write_table(found: dict[str, dict[str, float]]) -> str:
    """Return Markdown: the mean of each source, and by width and by light."""
    tracks = find_tracks(list(next(iter(found.values()))))
    sigmas = list(dict.fromkeys(track.psf_sigma for track in tracks))
    lights = list(dict.fromkeys(track.photons for track in tracks))
    heading = [f"sigma {sigma:g}" for sigma in sigmas]
    heading += [f"{photons:g} photons" for photons in lights]
    lines = [
        f"| 90% intervals hold | mean | {' | '.join(heading)} |",
        "|---" * (len(heading) + 2) + "|",
    ]
    for source in sorted(found, key=lambda name: (name in NOISY_TRUTH, name)):
        groups = [list(found[source].values())]
        groups += [
            [found[source][t.name] for t in tracks if t.psf_sigma == sigma]
            for sigma in sigmas
        ]
        groups += [
            [found[source][t.name] for t in tracks if t.photons == photons]
            for photons in lights
        ]
        mark = " (noisy truth)" if source in NOISY_TRUTH else ""
        cells = [f"{np.mean(group):.0%}" for group in groups]
        lines.append(f"| {source}{mark} | {' | '.join(cells)} |")
    clean = {
        source: float(np.mean(list(values.values())))
        for source, values in found.items()
        if source not in NOISY_TRUTH
    }
    inside = sum(0.85 <= share <= 0.97 for share in clean.values())
    lines.append(
        f"\n{inside} of {len(clean)} sources whose truth is no noise lie within 85% to "
        f"97%; the least is {min(clean.values()):.1%}, the most "
        f"{max(clean.values()):.1%}."
    )
    return "\n".join(lines)


if __name__ == "__main__":
    app()
