import numpy as np
import torch
from skimage.restoration import richardson_lucy

from napari_structsr.benchmark.classical.richardson_lucy import (
    deconvolve,
    interpolate_and_deconvolve,
)
from napari_structsr.benchmark.tracks import TRACKS
from napari_structsr.imaging.filters import separable_filter

BLUR = [0.05, 0.2, 0.5, 0.2, 0.05]


def test_iterations_equal_those_of_scikit_image(truth):
    image = separable_filter(torch.from_numpy(truth)[None, None].double(), BLUR)
    for iterations in (1, 7):
        found = deconvolve(image, BLUR, noise=0, iterations=iterations)[0, 0].numpy()
        expected = richardson_lucy(
            image[0, 0].numpy(),
            np.outer(BLUR, BLUR),
            num_iter=iterations,
            clip=False,
        )
        inside = np.s_[30:-30, 30:-30]  # borders are mirrored here and dark there
        np.testing.assert_allclose(found[inside], expected[inside], atol=1e-9)


def test_it_undoes_blur_and_stops_at_the_noise(truth):
    exact = torch.from_numpy(truth)[None, None]
    image = separable_filter(exact, BLUR)
    sharp = deconvolve(image, BLUR, noise=0)
    assert (sharp - exact).square().mean() < 0.3 * (image - exact).square().mean()
    early = deconvolve(image, BLUR, noise=0.001)
    missed = [
        float((separable_filter(found, BLUR) - image).square().mean().sqrt())
        for found in (early, sharp)
    ]
    assert missed[1] < 0.0001 < missed[0] <= 0.001


def test_result_lies_on_the_grid_of_the_truth(truth):
    for name in ("x2-mild", "x4-mild"):
        track = TRACKS[name]
        result = interpolate_and_deconvolve(track.measure(truth), track)
        assert result.shape == truth.shape
        errors = {
            shift: np.abs(np.roll(result, shift, axis=1) - truth)[8:-8, 8:-8].mean()
            for shift in (-1, 0, 1)
        }
        assert min(errors, key=errors.get) == 0
        assert result.dtype == np.float32
