"""Say how well the blur and the noise are known from images alone.

Run it from the root of the repository::

    python -m benchmarks.estimators
    python -m benchmarks.estimators --data DIR

The first points at simulated beads, edges and filaments, seen by 400 photons. For the
second, parts of the images of each source are measured with random width and noise, by
Gaussians and Airy patterns. Printed is, by source, how far off the likeliest width is,
how wide the stated range is, how often it holds the truth, and how often the width that
would be undone is too large. `--fit` prints the numbers of the estimators instead; it
must never see the images that are reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.estimators.fit import fit_curves, fit_noise_range
from benchmarks.estimators.marks import write_table
from benchmarks.estimators.scenes import Scene, make_scenes, simulate_scenes
from napari_structsr.cli.terminal import exit_on_error
from napari_structsr.imaging.blur_width.evidence import gather_evidence
from napari_structsr.imaging.blur_width.from_image import describe, estimate_width
from napari_structsr.upscaling.measured_noise import LEVELS, measure_noise

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_LIGHT = 0.03  # noise, relative to the range, below which there is much light
_TOO_LARGE = 1.1  # told over true


@app.command()
def report(
    data: Annotated[
        Path | None, typer.Option(help="A folder of images for each source.")
    ] = None,
    factors: Annotated[str, typer.Option(help="True pixels a measured one.")] = "2,4",
    planes: Annotated[int, typer.Option(help="Images of each source.")] = 8,
    each: Annotated[int, typer.Option(help="Scenes of each image.")] = 8,
    fit: Annotated[bool, typer.Option(help="Fit the estimators to these.")] = False,
) -> None:
    """Print tables as Markdown, or the numbers of the estimators."""
    with exit_on_error():
        if data is None:
            print(write_table(each=planes * each))
            return
        scenes = (
            scene
            for factor in factors.split(",")
            for scene in make_scenes(data, factor=int(factor), planes=planes, each=each)
        )
        if fit:
            simulated = (
                scene
                for factor in factors.split(",")
                for scene in simulate_scenes(factor=int(factor), each=planes * each)
            )
            _print_fit(chain(scenes, simulated))
            return
        _print_report(scenes)


def _print_fit(scenes: Iterator[Scene]) -> None:
    features, sigma, found, noise, sources = [], [], [], [], []
    for scene in scenes:
        evidence = gather_evidence(scene.parts, scene.intensity)
        if evidence is None:
            continue
        features.append(describe(evidence))
        sigma.append(scene.sigma)
        found.append(evidence.noise)
        noise.append(scene.noise)
        sources.append(scene.source)
    curves = fit_curves(np.array(features), np.array(sigma), sources)
    levels = np.array(LEVELS)
    below, above = fit_noise_range(np.array(found), np.array(noise), sources, levels)
    for name, values in (curves | {"_BELOW": below, "_ABOVE": above}).items():
        print(f"{name} = {np.round(values, 3).tolist()}")


def _print_report(scenes: Iterator[Scene]) -> None:
    rows: dict[str, list[tuple[float, ...]]] = {}
    for scene in scenes:
        width = estimate_width(scene.parts, scene.intensity)
        noise = measure_noise(scene.intensity)
        rows.setdefault(scene.source, []).append(
            (
                scene.sigma,
                width.sigma,
                width.low,
                width.high,
                scene.noise,
                noise.level,
                noise.low,
                noise.high,
            )
        )
    print(
        "| source | scenes | width: error | range, high / low | holds the truth | "
        "undone too much | noise: error, decades | range | holds the truth |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    every = [np.array(values) for values in rows.values()]
    summary = [_summarise(values) for values in every]
    for source, numbers in zip(rows, summary, strict=True):
        print(_write_row(source, numbers))
    print(_write_row("**mean over sources**", np.mean(summary, axis=0)))
    for name, low, high in (
        ("much light (noise below 3%)", 0.0, _LIGHT),
        ("little light", _LIGHT, np.inf),
    ):
        kept = [v[(v[:, 4] >= low) & (v[:, 4] < high)] for v in every]
        numbers = np.mean([_summarise(v) for v in kept if len(v)], axis=0)
        print(_write_row(name, numbers))


def _summarise(values: np.ndarray) -> list[float]:
    sigma, width, low, high, noise, level, least, most = values.T
    return [
        len(values),
        float(np.exp(np.median(np.abs(np.log(width / sigma)))) - 1),
        float(np.exp(np.mean(np.log(high / low)))),
        float(((low <= sigma) & (sigma <= high)).mean()),
        float((low > _TOO_LARGE * sigma).mean()),
        float(np.median(np.abs(np.log10(level / noise)))),
        float(np.exp(np.mean(np.log(most / least)))),
        float(((least <= noise) & (noise <= most)).mean()),
    ]


def _write_row(name: str, numbers: list[float]) -> str:
    count, error, width, held, above, decades, spread, noise_held = numbers
    return (
        f"| {name} | {count:.0f} | {error:.0%} | {width:.1f} | {held:.0%} | "
        f"{above:.0%} | {decades:.3f} | {spread:.1f} | {noise_held:.0%} |"
    )


if __name__ == "__main__":
    app()
