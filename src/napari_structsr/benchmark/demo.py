"""The demonstration: a real stack sharpened, beside the truth, in a minute.

The truth is a tissue section that ships inside scikit-image, its two stains
separated into channels. It is measured by the forward model, written as OME-Zarr,
upscaled by the engine as any user's stack, and compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_structsr.benchmark.figures import draw_if_possible, make_figure
from napari_structsr.benchmark.tracks import SSIM_OPTIONS, TRACKS, score
from napari_structsr.core.axes import Axes, Axis, Channel, ImageSpec
from napari_structsr.core.types import Array, Float32Array
from napari_structsr.engine.events import result_of
from napari_structsr.inspection.error_maps import iter_inspect
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.io.arrays import ArraySource
from napari_structsr.io.ome_zarr.image_writer import write_image
from napari_structsr.io.ome_zarr.writer import OmeZarrSink
from napari_structsr.io.open import open_source
from napari_structsr.upscaling.settings import UpscaleSettings
from napari_structsr.upscaling.upscale import iter_upscale
from napari_structsr.zoo.catalogue import load_model

_FULL_RANGE = 40000  # grey values at full light
_PIXEL = 0.25  # micrometres of a truth pixel, as of a 40x objective


def load_tissue_stack() -> tuple[Float32Array, tuple[Channel, ...]]:
    """Return two stains of a tissue section, shape (2, 512, 512) in 0..1.

    Haematoxylin marks nuclei, DAB the antibody against FHL2; colon, glands cut
    across. The image is ``skimage.data.immunohistochemistry``.
    """
    from skimage.color import rgb2hed
    from skimage.data import immunohistochemistry

    # haematoxylin and DAB; there is no eosin in this stain
    stains = np.moveaxis(rgb2hed(immunohistochemistry())[..., [0, 2]], -1, 0)
    low, high = np.percentile(stains, (0.1, 99.9), axis=(1, 2), keepdims=True)
    truth = np.clip((stains - low) / (high - low), 0, 1).astype(np.float32)
    return truth, (Channel("Haematoxylin", "00A0FF"), Channel("DAB", "FFA000"))


def run_demo(folder: Path, *, device: str = "auto", factor: int = 2) -> Iterator[Any]:
    """Upscale the tissue stack; yield what to print.

    Parameters
    ----------
    folder
        Receives measured.ome.zarr, a store for each method, comparison.png where
        matplotlib is there, and the maps of structure-error/; those of an earlier
        demonstration are replaced.
    device
        As in `UpscaleSettings`.
    factor
        2 or 4.
    """
    from rich.table import Table

    folder.mkdir(parents=True, exist_ok=True)
    truth, channels = load_tissue_stack()
    track = TRACKS[f"x{factor}-mild"]
    # another seed for each channel, or their noise would be the same
    measured = np.stack([track.measure(plane, seed=n) for n, plane in enumerate(truth)])
    pixels = np.clip(measured * _FULL_RANGE, 0, 65535).round().astype(np.uint16)
    plane = (
        Axis(name, size, scale=_PIXEL, unit="micrometer")
        for name, size in zip("yx", truth.shape[1:], strict=True)
    )
    axes = Axes((Axis("c", len(channels)), *plane))
    spec = ImageSpec("tissue", axes.downscale(factor), pixels.dtype, channels)
    stack = ArraySource(pixels, spec, names="cyx", origin="tissue")
    path = write_image(stack, folder / "measured.ome.zarr", overwrite=True)
    yield f"measured stack: {path}, {pixels.shape} {pixels.dtype}"

    results: dict[str, Float32Array] = {}
    table = Table("channel", "method", "PSNR (dB)", "SSIM", title=f"x{factor}")
    for name in ("bilinear", "bicubic", "faithful", "sharp"):
        # through files, as any stack of a user
        sink = OmeZarrSink(folder / f"{name}.ome.zarr", overwrite=True)
        events = iter_upscale(
            open_source(path),
            load_model(name, factor=factor),
            sink,
            settings=UpscaleSettings(device=device),
        )
        done = open_source(result_of(events))
        rows, columns = (slice(0, size) for size in done.spec.axes.plane)
        planes = [done.read((c,), rows, columns)[0] for c in range(len(channels))]
        results[name] = (np.stack(planes) / _FULL_RANGE).astype(np.float32)
        yield f"{name}: {sink.path}"
    scores = {
        name: [astuple(score(t, r)) for t, r in zip(truth, result, strict=True)]
        for name, result in results.items()
    }
    for number, channel in enumerate([*(one.name for one in channels), "mean"]):
        for name, found in scores.items():
            psnr, ssim = [*found, np.mean(found, axis=0)][number]
            table.add_row(channel, name, f"{psnr:.2f}", f"{ssim:.4f}")
    draw = partial(
        _draw_comparison,
        measured=pixels[0] / _FULL_RANGE,
        bicubic=results["bicubic"][0],
        result=results["faithful"][0],
        truth=truth[0],
    )
    yield draw_if_possible(folder / "comparison.png", draw)
    known = (truth * _FULL_RANGE).astype(np.float32)
    spec = ImageSpec("truth", axes, known.dtype, channels)
    events = iter_inspect(
        folder / "sharp.ome.zarr",
        ArraySource(known, spec, names="cyx", origin="truth"),
        out=folder / "structure-error",
        settings=InspectSettings(device=device),
        overwrite=True,
    )
    report = result_of(events).folder / "report.html"
    yield f"where not to believe sharp: {report}"
    yield table


def _draw_comparison(
    path: Path, measured: Array, bicubic: Array, result: Array, truth: Array
) -> None:
    """Draw input, bicubic, result, truth and the structure error of both results.

    The structure error is 1 - SSIM, local; both maps share one colour scale.
    """
    from skimage.metrics import structural_similarity

    side = 160  # truth pixels of the part that is shown
    top, left = 176, 300
    factor = truth.shape[0] // measured.shape[0]
    part = np.s_[top : top + side, left : left + side]
    coarse = np.s_[
        top // factor : (top + side) // factor, left // factor : (left + side) // factor
    ]
    errors = []
    for image in (bicubic, result):
        _, similarity = structural_similarity(truth, image, full=True, **SSIM_OPTIONS)
        errors.append(1 - similarity)
    figure = make_figure(11, 7.6, dpi=120)
    grid = figure.subplots(2, 3)
    shown = [
        (measured[coarse], "input"),
        (bicubic[part], _write_title("bicubic", truth, bicubic)),
        (result[part], _write_title("faithful", truth, result)),
        (truth[part], "truth"),
    ]
    for place, (image, title) in zip(grid.flat, shown, strict=False):
        place.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        place.set_title(title)
    for place, error, name in zip(
        grid[1, 1:], errors, ("bicubic", "faithful"), strict=True
    ):
        drawn = place.imshow(error[part], cmap="inferno", vmin=0, vmax=0.6)
        place.set_title(f"structure error of {name} (1 - SSIM)")
    figure.colorbar(drawn, ax=list(grid[1, 1:]), shrink=0.8)
    for place in grid.flat:
        place.set_axis_off()
    figure.savefig(path)


def _write_title(name: str, truth: Float32Array, image: Float32Array) -> str:
    found = score(truth, image)
    return f"{name}\nPSNR {found.psnr:.1f} dB, SSIM {found.ssim:.3f}"
