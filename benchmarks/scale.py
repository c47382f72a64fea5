"""What a tile costs beside its pixels, from a hundred thousand to ten million tiles.

    python benchmarks/scale.py --folder SCRATCH --tiles 10000000 --planes 10000
    python benchmarks/scale.py --folder SCRATCH --sparse 1 8 64

Plans, notes and resumes runs of more and more tiles without computing any pixel, and
upscales more and more small planes. Prints Markdown tables: microseconds and bytes of
memory a tile, and milliseconds a plane. Flat columns mean that a run ten times as large
takes ten times as long, and no more.

With `--sparse` images of so many GB, of which few chunks hold anything, are upscaled
by `bicubic`, about as many tiles of each and as one part of many, as if a queue shared
the work: what is planned, measured and kept in memory is that of the whole image.
Prints seconds until the first tile, milliseconds a tile from then on, and the peak of
memory.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import torch
import zarr

from napari_structsr.core.axes import ImageSpec
from napari_structsr.core.grid import TileGrid
from napari_structsr.core.part import RunPart
from napari_structsr.engine.device import choose_device
from napari_structsr.engine.events import Cancel, Failed, Progressed
from napari_structsr.engine.run_tiles import run_tiles
from napari_structsr.io.ome_zarr.chunk_files import FileSum
from napari_structsr.io.ome_zarr.journal import JOURNAL, Journal
from napari_structsr.io.ome_zarr.writer import OmeZarrSink
from napari_structsr.upscaling.upscale import iter_upscale
from napari_structsr.zoo.catalogue import load_model

_BATCH = 1000  # tiles noted at once here, so that writing the file is no part of it
_SIDE = 64  # pixels along the side of a small plane
_PLANE = 2048  # pixels along the side of a plane of a sparse image
_WRITTEN = 96  # tiles of it that are computed
_EVENTS = 10_000  # tiles whose events are counted; threads and events do not add up


class _NoPixels:
    """Computes nothing: what is left is the engine."""

    def __init__(self, grid: TileGrid) -> None:
        self.grid = grid

    def read(self, tile: object) -> None: ...

    def compute(self, tile: object, pixels: None) -> None: ...

    def take_warning(self) -> None: ...


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--folder", type=Path, required=True, help="For what it writes."
    )
    parser.add_argument("--tiles", type=int, default=1_000_000, help="At most.")
    parser.add_argument("--planes", type=int, default=1000, help="At most.")
    parser.add_argument("--sparse", type=int, nargs="+", metavar="GB")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.sparse:
        _print_sparse(options.sparse, options.folder)
        return
    print("| tiles | plan | events | notes | resume | memory | journal |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for tiles in _grow(100_000, options.tiles):
        _print_row(tiles, _measure_tiles(tiles, options.folder / "notes"))
    print(
        "\nPlan, events, notes and resume in µs, memory and journal in bytes a tile.\n"
    )
    place = options.folder / "planes.ome.zarr"
    _measure_planes(1, place)
    alone = _measure_planes(1, place)
    print(f"Of one plane alone: {1000 * alone:.0f} ms.\n")
    print("| planes | ms a further plane | of it network |\n|--:|--:|--:|")
    for planes in _grow(10, options.planes):
        each = (_measure_planes(planes, place) - alone) / (planes - 1)
        network = _measure_network(min(planes, 1000))
        print(f"| {planes:,} | {1000 * each:.1f} | {1000 * network:.1f} |", flush=True)


def _grow(first: int, last: int) -> Iterator[int]:
    while first <= last:
        yield first
        first *= 10


def _print_row(tiles: int, figures: list[float]) -> None:
    cells = [f"{tiles:,}", *(f"{figure:.1f}" for figure in figures[:4])]
    cells += [f"{figure:.0f}" for figure in figures[4:]]
    print("| " + " | ".join(cells) + " |", flush=True)


def _measure_tiles(tiles: int, folder: Path) -> list[float]:
    """Return microseconds and bytes a tile of a run without pixels."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    side = 1000
    grid = TileGrid((tiles // 100,), (10 * side, 10 * side), 1, (side, side), 0)
    assert len(grid) == tiles
    figures = []
    begun = time.process_time()
    done = frozenset((-1,))
    left = [index for index in range(len(grid)) if index not in done]
    for index in left[:: max(1, tiles // _EVENTS)]:
        grid[index]
    figures.append((time.process_time() - begun) / tiles)
    part = left[:: max(1, tiles // _EVENTS)]
    begun = time.process_time()
    run = run_tiles(
        _NoPixels(grid),
        part,
        write=lambda tile, result: None,
        writers=[],
        cancel=Cancel(),
        doing="nothing",
    )
    assert sum(1 for _ in run) == len(part)
    figures.append((time.process_time() - begun) / len(part))
    del left
    before = psutil.Process().memory_info().rss
    begun = time.process_time()
    journal = Journal(folder)
    for first in range(0, tiles, _BATCH):
        journal.take_over({(0, n): _note(n) for n in range(first, first + _BATCH)})
    figures.append((time.process_time() - begun) / tiles)
    journal.close()
    memory = (psutil.Process().memory_info().rss - before) / tiles
    del journal
    begun = time.process_time()
    again = Journal(folder)
    assert len(again.finished(0)) == tiles
    figures.append((time.process_time() - begun) / tiles)
    again.close()
    size = (folder / JOURNAL).stat().st_size / tiles
    return [*(1e6 * figure for figure in figures), memory, size]


def _note(number: int) -> tuple[FileSum, ...]:
    name = f"c/{number // 100}/{number // 10 % 10}/{number % 10}"
    return (FileSum(name, 1_500_000 + number % 999, f"{number % 2**32:08x}"),)


def _measure_planes(planes: int, path: Path) -> float:
    """Return seconds of upscaling small planes with a model that costs nothing."""
    shutil.rmtree(path, ignore_errors=True)
    chance = np.random.default_rng(0)
    pixels = chance.integers(0, 4000, (planes, _SIDE, _SIDE)).astype(np.uint16)
    model = load_model("bicubic", factor=2)
    begun = time.process_time()
    for event in iter_upscale(pixels, model, OmeZarrSink(path)):
        assert not isinstance(event, Failed), event.error
    return time.process_time() - begun


def _measure_network(planes: int) -> float:
    """Return seconds of the network alone for a small plane."""
    model = load_model("bicubic", factor=2)
    device, _ = choose_device("cpu", "auto", model)
    image = torch.rand(1, 1, _SIDE, _SIDE)
    begun = time.process_time()
    for _ in range(planes):
        device.run(model, image)
    return (time.process_time() - begun) / planes


class _UncheckedSink(OmeZarrSink):
    """Asks for no free space: all but a part of the result stays unwritten."""

    def count_bytes(self, spec: ImageSpec) -> int:
        return 0


def _print_sparse(sizes: list[int], folder: Path) -> None:
    print("| GB | planes | tiles | first tile s | CPU ms a tile | peak MiB |")
    print("|--:|--:|--:|--:|--:|--:|")
    for size in sizes:
        # a process for each: the peak of one is that of all before it
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            figures = pool.submit(_measure_sparse, size, folder / "sparse").result()
        planes, tiles, first, each, peak = figures
        print(
            f"| {size} | {planes:,.0f} | {tiles:,.0f} | {first:.1f} | {each:.1f} "
            f"| {peak:.0f} |",
            flush=True,
        )


def _measure_sparse(size: int, folder: Path) -> list[float]:
    """Return figures of a part of an image of so many GB."""
    shutil.rmtree(folder, ignore_errors=True)
    planes = size * 10**9 // (2 * _PLANE**2)
    shape = (planes, _PLANE, _PLANE)
    image = zarr.create_array(
        folder / "in.zarr", shape=shape, chunks=(1, 512, 512), dtype="u2"
    )
    # as if measured: an image that is empty where it is sampled would be constant
    chance = np.random.default_rng(0)
    filled = chance.poisson(200, shape[1:]).astype("u2")
    for index in np.linspace(0, planes - 1, 4, dtype=int):
        image[int(index)] = filled
    parts = max(1, round(4 * planes / _WRITTEN))
    sink = _UncheckedSink(folder / "out.ome.zarr", part=RunPart(1, parts))
    model = load_model("bicubic", factor=2)
    begun, first, done = time.process_time(), 0.0, 0
    for event in iter_upscale(image, model, sink):
        assert not isinstance(event, Failed), event.error
        if isinstance(event, Progressed) and event.doing == "upscaling":
            done = event.done
            first = first or time.process_time()
    each = (time.process_time() - first) / (done - 1)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    shutil.rmtree(folder)
    return [planes, done, first - begun, 1000 * each, peak]


if __name__ == "__main__":
    main()
