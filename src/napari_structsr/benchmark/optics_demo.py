"""The demonstration of both wishes: finer pixels with the same optics, or sharper ones.

A cell is drawn and seen through the Airy pattern of an objective by a camera whose
pixels are as fine as Nyquist asks, as most images of microscopes are. It is written as
OME-TIFF that says aperture, wavelengths and pixel size, and upscaled from there. Two
truths exist: the cell as the same optics would show it on finer pixels, and the cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_structsr.benchmark.classical.richardson_lucy import (
    interpolate_and_deconvolve,
)
from napari_structsr.benchmark.figures import draw_if_possible, make_figure
from napari_structsr.benchmark.measures import find_busiest_window
from napari_structsr.benchmark.phantoms import draw_filaments, draw_nuclei
from napari_structsr.benchmark.tracks import Track, score
from napari_structsr.core.optics import Optics
from napari_structsr.core.types import Array, Float32Array
from napari_structsr.engine.events import result_of
from napari_structsr.io.ome_zarr.writer import OmeZarrSink
from napari_structsr.io.open import open_source
from napari_structsr.upscaling.settings import UpscaleSettings
from napari_structsr.upscaling.upscale import iter_upscale
from napari_structsr.zoo.catalogue import list_models, load_model

_FULL_RANGE = 40000  # grey values at full light
_SIDE = 512  # pixels of the truth
_PIXEL = 0.1  # micrometres of a measured pixel: a quarter of wavelength over aperture
_APERTURE = 1.2
_WAVELENGTHS = {"Hoechst": 0.461, "Alexa 488": 0.525}  # micrometres
_PHOTONS, _READ_NOISE = 2000.0, 0.003
_SHOWN = 128  # pixels of the truth in the figure
_UNDONE = ", optics undone"
_WANTED = ("conditional", "sharp-conditional")  # faithful and sharp, told the optics


@dataclass(frozen=True)
class WidefieldSample:
    """A drawn cell, and what an objective and a camera made of it.

    Parameters
    ----------
    tracks
        How each channel is measured.
    scene
        The cell, shape (channels, H, W) in 0..1.
    seen
        The same as the optics show it on pixels of the truth, without noise.
    measured
        Counts of a 16-bit camera, shape (channels, H / 2, W / 2).
    """

    tracks: tuple[Track, ...]
    scene: Float32Array
    seen: Float32Array
    measured: Array


def make_widefield_sample() -> WidefieldSample:
    """Draw a cell of two stains and measure it."""
    tracks = tuple(
        Track(
            name,
            2,
            _PHOTONS,
            _READ_NOISE,
            Optics(_APERTURE, wavelength).psf_sigma(_PIXEL),
            "airy",
        )
        for name, wavelength in _WAVELENGTHS.items()
    )
    scene = np.stack([draw_nuclei(side=_SIDE), draw_filaments(side=_SIDE)])
    seen, measured = [], []
    for number, (track, plane) in enumerate(zip(tracks, scene, strict=True)):
        # the same objective over finer pixels, and light without end
        finer = replace(
            track, factor=1, psf_sigma=2 * track.psf_sigma, photons=1e9, read_noise=0
        )
        seen.append(finer.measure(plane))
        measured.append(track.measure(plane, seed=number))
    counts = np.clip(np.stack(measured) * _FULL_RANGE, 0, 65535).round()
    return WidefieldSample(tracks, scene, np.stack(seen), counts.astype(np.uint16))


def write_widefield_sample(sample: WidefieldSample, path: Path) -> None:
    """Write what was measured as OME-TIFF that names the optics."""
    count, height, width = sample.measured.shape
    channels = "".join(
        f'<Channel ID="Channel:0:{number}" Name="{name}" SamplesPerPixel="1" '
        f'AcquisitionMode="WideField" EmissionWavelength="{1000 * wavelength:g}" '
        'EmissionWavelengthUnit="nm"/>'
        for number, (name, wavelength) in enumerate(_WAVELENGTHS.items())
    )
    description = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Instrument ID="Instrument:0"><Objective ID="Objective:0" '
        f'LensNA="{_APERTURE}"/></Instrument><Image ID="Image:0" Name="drawn cell">'
        '<ObjectiveSettings ID="Objective:0"/><Pixels ID="Pixels:0" '
        f'DimensionOrder="XYCZT" Type="uint16" SizeX="{width}" SizeY="{height}" '
        f'SizeC="{count}" SizeZ="1" SizeT="1" PhysicalSizeX="{_PIXEL}" '
        f'PhysicalSizeY="{_PIXEL}">{channels}<TiffData/></Pixels></Image></OME>'
    )
    tifffile.imwrite(
        path, sample.measured, description=description.encode(), metadata=None
    )


def run_optics_demo(folder: Path, *, device: str = "auto") -> Iterator[Any]:
    """Upscale the drawn cell by both wishes; yield what to print.

    Parameters
    ----------
    folder
        Receives widefield.ome.tif, a store for each result, and optics.png where
        matplotlib is there.
    device
        As in `UpscaleSettings`.
    """
    from rich.table import Table

    sample = make_widefield_sample()
    path = folder / "widefield.ome.tif"
    write_widefield_sample(sample, path)
    yield f"drawn cell, with its optics: {path}"
    told = [card.name for card in list_models() if card.factor == 2 and card.psf_range]
    runs = [(name, False) for name in ("bicubic", "faithful", "sharp", *told)]
    runs += [(name, True) for name in told]
    results: dict[str, Float32Array] = {}
    for name, undo in runs:
        label = name + _UNDONE if undo else name
        store = folder / f"widefield-{name}{'-undone' if undo else ''}.ome.zarr"
        events = iter_upscale(
            open_source(path),
            load_model(name, factor=2),
            OmeZarrSink(store, overwrite=True),
            settings=UpscaleSettings(device=device, undo_optics=undo),
        )
        done = open_source(result_of(events))
        rows, columns = (slice(0, size) for size in done.spec.axes.plane)
        planes = [done.read((c,), rows, columns)[0] for c in range(len(sample.scene))]
        results[label] = (np.stack(planes) / _FULL_RANGE).astype(np.float32)
        yield f"{label}: {store}"
    results["Richardson-Lucy" + _UNDONE] = np.stack(
        [
            interpolate_and_deconvolve(
                (plane / _FULL_RANGE).astype(np.float32),
                replace(track, shape="gaussian"),
            )
            for plane, track in zip(sample.measured, sample.tracks, strict=True)
        ]
    )
    draw = partial(_draw, sample=sample, results=results)
    yield draw_if_possible(folder / "optics.png", draw)
    for name in _WANTED:
        if name not in told:
            yield f"not among the models here, and so not shown: {name}"
    table = Table(
        "method", "same optics, finer pixels", "the cell itself", title="PSNR in dB, x2"
    )
    for label, result in results.items():
        table.add_row(
            label,
            *(
                f"{_average_psnr(truth, result):.2f}"
                for truth in (sample.seen, sample.scene)
            ),
        )
    yield table


def _average_psnr(truth: Float32Array, result: Float32Array) -> float:
    pairs = zip(truth, result, strict=True)
    return float(np.mean([score(t, r).psnr for t, r in pairs]))


def _draw(
    path: Path, sample: WidefieldSample, results: dict[str, Float32Array]
) -> None:
    """Draw the busiest part: above finer pixels, below the optics undone."""
    part = find_busiest_window(sample.scene.sum(axis=0), _SHOWN)
    coarse = tuple(slice(along.start // 2, along.stop // 2) for along in part)
    measured = sample.measured / _FULL_RANGE
    undone = [label for label in results if label.endswith(_UNDONE)]
    blocks: list[dict[str, Array]] = [
        {
            "measured": measured[:, *coarse],
            **{k: v[:, *part] for k, v in results.items() if k not in undone},
            "truth, same optics": sample.seen[:, *part],
        },
        {
            "measured": measured[:, *coarse],
            **{label: results[label][:, *part] for label in undone},
            "truth, the cell itself": sample.scene[:, *part],
        },
    ]
    columns = max(len(block) for block in blocks)
    figure = make_figure(2.1 * columns, 9.4, dpi=110)
    grid = figure.subplots(2 * len(blocks), columns)
    for place in grid.flat:
        place.set_axis_off()
    for number, block in enumerate(blocks):
        for column, (label, planes) in enumerate(block.items()):
            for channel, plane in enumerate(planes):
                place = grid[2 * number + channel, column]
                # of the cell, or differences of brightness would not show
                white = np.percentile(sample.scene[channel][part], 99.5)
                place.imshow(
                    plane, cmap="gray", vmin=0, vmax=white, interpolation="nearest"
                )
                if not channel:
                    place.set_title(label.replace(", ", ",\n"), fontsize=9)
    figure.savefig(path)
