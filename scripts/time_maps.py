"""Time the maps of structure error on one plane, beside SSIM of scikit-image.

    python scripts/time_maps.py [2048]

The plane is square and of float32. Each time is the best of three. How many threads
there are is set as ever: OMP_NUM_THREADS=1 python scripts/time_maps.py.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from skimage.data import camera
from skimage.metrics import structural_similarity

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

NOISE = 0.02
REPEATS = 3


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


def make_planes(side: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return a result, its truth and what interpolation leaves, (1, 1, side, side)."""
    picture = camera()
    count = -(-side // len(picture))
    tiled = np.tile(picture, (count, count))[:side, :side] / np.float32(255)
    truth = torch.from_numpy(tiled)[None, None]
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    return smooth(truth, 0.7) + NOISE * noise, truth, smooth(truth, 1.5)


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
