"""What a tile costs beside its pixels, from a hundred thousand to ten million tiles.

    python benchmarks/scale.py --folder SCRATCH --tiles 10000000 --planes 10000

Plans, notes and resumes runs of more and more tiles without computing any pixel, and
upscales more and more small planes. Prints Markdown tables: microseconds and bytes of
memory a tile, and milliseconds a plane. Flat columns mean that a run ten times as large
takes ten times as long, and no more.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from napari_structsr.core.grid import TileGrid
from napari_structsr.engine.events import Cancel, Failed
from napari_structsr.engine.run_tiles import run_tiles
from napari_structsr.io.ome_zarr.journal import JOURNAL, FileSum, Journal
from napari_structsr.io.ome_zarr.writer import OmeZarrSink
from napari_structsr.upscaling.upscale import iter_upscale
from napari_structsr.zoo.catalogue import load_model

_BATCH = 1000  # tiles noted at once here, so that writing the file is no part of it
_SIDE = 64  # pixels along the side of a small plane
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
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    print("| tiles | plan | events | notes | resume | memory | journal |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for tiles in _grow(100_000, options.tiles):
        _print_row(tiles, _measure_tiles(tiles, options.folder / "notes"))
    print(
        "\nPlan, events, notes and resume in µs, memory and journal in bytes a tile.\n"
    )
    print("| planes | ms a plane |\n|--:|--:|")
    for planes in _grow(10, options.planes):
        seconds = _measure_planes(planes, options.folder / "planes.ome.zarr")
        print(f"| {planes:,} | {1000 * seconds / planes:.1f} |", flush=True)


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


if __name__ == "__main__":
    main()
