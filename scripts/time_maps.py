"""Time the maps of structure error on one plane, beside SSIM of scikit-image.

    python scripts/time_maps.py [2048]

The plane is square and of float32. Then all default maps of a view of 1024 x 1024
pixels are timed as an inspection computes them, once its models are loaded. Each time
is the best of three. How many threads there are is set as ever:
OMP_NUM_THREADS=1 python scripts/time_maps.py.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from skimage.data import camera
from skimage.metrics import structural_similarity

import napari_structsr as sr
from napari_structsr.engine.provenance import find_record
from napari_structsr.imaging.decorrelation import decorrelation_resolution
from napari_structsr.imaging.filters import smooth
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.imaging.local_resolution import resolution_map
from napari_structsr.imaging.orientation import (
    coherence_difference_map,
    orientation_difference_map,
)
from napari_structsr.imaging.spectrum import ring_correlation
from napari_structsr.imaging.squirrel import fit_squirrel, squirrel_map
from napari_structsr.imaging.ssim import micro_ssim, ms_ssim, ssim_map
from napari_structsr.imaging.structure import (
    change_map,
    gradient_difference_map,
    gradient_similarity_map,
)
from napari_structsr.imaging.trust import artefact_map, null_space_map, residual_map
from napari_structsr.inspection.map_block import MapBlock, Pixels
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.inspection.setup import Setup, prepare
from napari_structsr.io.open import open_source

NOISE = 0.02
REPEATS = 3
VIEW = 1024


def main(side: int) -> None:
    """Print one line for each map."""
    result, truth, base = make_planes(side)
    forward_model = ForwardModel(2)
    measured = forward_model(truth)
    variance = torch.full_like(measured, NOISE**2)
    arrays = result[0, 0].numpy(), truth[0, 0].numpy()
    print(f"{side} x {side} pixels, {torch.get_num_threads()} threads, seconds")

    def map_with_skimage() -> object:
        """Map SSIM as `ssim_map` does."""
        return structural_similarity(
            *arrays,
            data_range=1.0,
            full=True,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )

    theirs = time_map("SSIM of scikit-image", map_with_skimage)
    ours = time_map("ssim_map", lambda: ssim_map(result, truth))
    print(f"{'':26} {theirs / ours:8.1f} times as fast")
    for function in (
        gradient_difference_map,
        gradient_similarity_map,
        coherence_difference_map,
        orientation_difference_map,
        resolution_map,
        artefact_map,
        ms_ssim,
        micro_ssim,
        ring_correlation,
    ):
        time_map(function.__name__, lambda function=function: function(result, truth))
    time_map("change_map", lambda: change_map(result, truth, base, noise=NOISE))
    time_map("decorrelation_resolution", lambda: decorrelation_resolution(result))
    time_map(
        "residual_map", lambda: residual_map(result, measured, forward_model, variance)
    )
    time_map("null_space_map", lambda: null_space_map(result, forward_model))
    fit = fit_squirrel(result, base)
    time_map("fit_squirrel", lambda: fit_squirrel(result, base))
    time_map("squirrel_map", lambda: squirrel_map(result, base, fit))
    print(f"default maps of a view of {VIEW} x {VIEW} pixels, with")
    time_view()


def make_planes(side: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return a result, its truth and what interpolation leaves, (1, 1, side, side)."""
    picture = camera()
    count = -(-side // len(picture))
    tiled = np.tile(picture, (count, count))[:side, :side] / np.float32(255)
    truth = torch.from_numpy(tiled)[None, None]
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    return smooth(truth, 0.7) + NOISE * noise, truth, smooth(truth, 1.5)


def time_view() -> None:
    """Print one line for the default maps of a result, with and without a reference."""
    _, truth, _ = make_planes(VIEW)
    pixels = np.rint(1000 * truth[0, 0].numpy()).astype(np.uint16)
    measured = ForwardModel(2)(truth)[0, 0].numpy()
    coarse = np.rint(1000 * measured).astype(np.uint16)
    with tempfile.TemporaryDirectory() as folder:
        path = sr.upscale(
            coarse,
            Path(folder) / "result.ome.tif",
            model="sharp",
            progress=False,
        )
        result, source, reference = map(open_source, (path, coarse, pixels))
        plane = slice(0, VIEW), slice(0, VIEW)
        half = slice(0, VIEW // 2), slice(0, VIEW // 2)
        for name, compared in (("source", None), ("source and reference", reference)):
            setup = prepare(
                result,
                compared,
                source,
                record=find_record(result),
                settings=InspectSettings(),
                watch=False,
            )
            found = Pixels(
                result.read((), *plane),
                None if compared is None else compared.read((), *plane),
                source.read((), *half),
            )

            def compute(setup: Setup = setup, found: Pixels = found) -> None:
                with torch.inference_mode():
                    block = MapBlock(setup, found, ())
                    for key in setup.keys:
                        block.compute(key)

            time_map(name, compute)


def time_map(name: str, compute: Callable[[], object]) -> float:
    """Print and return the best time."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        compute()
        times.append(time.perf_counter() - start)
    print(f"{name:26} {min(times):8.3f}", flush=True)
    return min(times)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 2048)
