"""Peak memory of `structsr upscale` on stacks of growing length.

    python benchmarks/memory.py --folder SCRATCH --model bicubic --planes 16 64

Writes 16-bit OME-Zarr stacks of 2048 x 2048 pixels into SCRATCH, upscales each in a
process of its own, and prints a Markdown table. The stacks are made from an image of
scikit-image and are removed afterwards.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from skimage.data import cell

from napari_structsr.core.axes import Axes, ImageSpec
from napari_structsr.io.ome_zarr.image_writer import write_image


class Cells:
    """Planes of cells under changing noise, made when they are read."""

    chunks = (512, 512)
    origin = "cells"
    options: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, planes: int, side: int) -> None:
        axes = Axes.of("zyx", (planes, side, side))
        self.spec = ImageSpec("cells", axes, np.dtype("uint16"))
        tile = cell().astype(np.float32) * 150
        self._field = np.pad(
            tile, [(0, max(0, side - n)) for n in tile.shape], mode="wrap"
        )[:side, :side]

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> np.ndarray:
        """Return one rectangle, shape (1, rows, columns)."""
        rng = np.random.default_rng([plane[0], rows.start, columns.start])
        pixels = self._field[rows, columns]
        return rng.poisson(pixels).astype(np.uint16)[None]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--model", default="bicubic")
    parser.add_argument("--planes", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--options", nargs="*", default=[])
    args = parser.parse_args()

    print("| model | stack | in | out | peak memory | seconds |")
    print("|---|---|---|---|---|---|")
    for planes in args.planes:
        stack, result = args.folder / "stack.ome.zarr", args.folder / "out.ome.zarr"
        try:
            cells = Cells(planes, args.side)
            write_image(cells, stack, overwrite=True)
            words = ["upscale", str(stack), str(result), "--model", args.model]
            words += [f"--{option}" for option in args.options]
            begin = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, "-m", "napari_structsr.cli", *words],
                stdout=subprocess.DEVNULL,
            )
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - begin
            if status:
                raise SystemExit(f"structsr ended with {status}")
        finally:
            shutil.rmtree(stack, ignore_errors=True)
            shutil.rmtree(result, ignore_errors=True)
        size = cells.spec.nbytes
        unit = 1 if sys.platform == "darwin" else 1024
        print(
            f"| {args.model} | {planes} x {args.side} x {args.side} "
            f"| {size / 1e9:.2f} GB | {4 * size / 1e9:.2f} GB "
            f"| {usage.ru_maxrss * unit / 2**30:.2f} GiB | {seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
