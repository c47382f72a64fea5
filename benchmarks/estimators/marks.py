"""Beads, edges and filaments of known blur, and how well each tells it."""

from __future__ import annotations

import math

import numpy as np
import torch

from napari_structsr.errors import SettingsError
from napari_structsr.imaging.blur_width.marked import Shape, fit_width
from napari_structsr.imaging.forward import ForwardModel, add_noise

SIDE, FINE = 40, 10  # measured pixels, and finer ones along the side of each
PHOTONS, READ_NOISE = 400, 0.01
SIGMAS = (0.4, 0.7, 1.0, 1.4, 1.9)
SHAPES: tuple[Shape, ...] = ("bead", "edge", "filament")


def simulate(
    shape: Shape, sigma: float, *, seed: int, diameter: float = 0.3
) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of one object, and where a user would point.

    Edges and filaments run along arcs in any direction, beads lie between pixels; who
    points is up to 2 pixels or a quarter of a radian off.
    """
    rng = np.random.default_rng(seed)
    centre = SIDE / 2 + rng.uniform(-2, 2, 2)
    angle = rng.uniform(0, 2 * math.pi)
    normal = np.array([math.sin(angle), math.cos(angle)])
    y, x = (np.indices((SIDE * FINE,) * 2) + 0.5) / FINE - 0.5
    y, x = y - centre[0], x - centre[1]
    if shape == "bead":
        # a ball shines through its whole depth
        depth = np.clip((diameter / 2) ** 2 - y**2 - x**2, 0, None)
        truth = np.sqrt(depth)
        place = centre + rng.uniform(-2, 2, 2)
    else:
        # along an arc, as most edges of cells are
        radius = rng.uniform(20, 60)
        distance = radius - np.hypot(
            normal[0] * y + normal[1] * x - radius, normal[0] * x - normal[1] * y
        )
        if shape == "edge":
            truth = (distance > 0).astype(float)
        else:
            truth = (abs(distance) < 0.06).astype(float)
        tilt = angle + rng.uniform(-0.25, 0.25)
        along = 8 * np.array([math.sin(tilt), math.cos(tilt)])
        place = np.concatenate([centre - along, centre + along + rng.uniform(-1, 1, 2)])
    clean = ForwardModel(FINE, sigma)(torch.from_numpy(truth)[None, None])
    clean = 0.05 + 0.9 * clean / clean.max()
    generator = torch.Generator().manual_seed(seed)
    noisy = add_noise(
        clean.float(), photons=PHOTONS, read_noise=READ_NOISE, generator=generator
    )
    return noisy[0, 0].numpy(), place


def write_table(*, each: int) -> str:
    """Return error and stated error of the width by shape, as Markdown."""
    lines = [
        "| | sigma | error, root mean square | largest | stated | not measured |",
        "|---|---|---|---|---|---|",
    ]
    for shape in SHAPES:
        for sigma in SIGMAS:
            errors, stated = [], []
            for seed in range(each):
                image, place = simulate(shape, sigma, seed=seed)
                try:
                    found = fit_width(image, shape, place.tolist())
                except SettingsError:
                    continue
                errors.append(found.sigma / sigma - 1)
                stated.append(found.error / sigma)
            rms = float(np.sqrt(np.mean(np.square(errors))))
            lines.append(
                f"| {shape} | {sigma:g} | {rms:.1%} | {np.abs(errors).max():.0%} | "
                f"{np.mean(stated):.1%} | {each - len(errors)} of {each} |"
            )
    return "\n".join(lines)
