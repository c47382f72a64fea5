"""Hash what the commands make of small images, to compare two revisions.

A change that should leave every pixel and weight as it was prints the same table
before and after::

    python scripts/fingerprint_results.py > before.txt   # in the one environment
    python scripts/fingerprint_results.py > after.txt    # in the other
    diff before.txt after.txt

Chunks, TIFF pixels, scores and weights are hashed; records hold times and versions and
are left out.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import skimage.io
import tifffile
from skimage.color import rgb2gray
from skimage.data import cell, coins, immunohistochemistry


def main() -> None:
    """Run each command in a folder of its own, and print a hash for each result."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["STRUCTSR_MODELS"] = str(folder / "models")
        _write_images(folder)
        for title, words, result in _commands():
            run = subprocess.run(
                [sys.executable, "-m", "napari_structsr.cli", *words.split()],
                cwd=folder,
                capture_output=True,
                text=True,
            )
            if run.returncode:
                sys.exit(f"{title} failed:\n{run.stdout}{run.stderr}")
            print(f"{_digest(folder / result)}  {title}: {result}", flush=True)


def _write_images(folder: Path) -> None:
    """Write a 16-bit stack, a pair of images, and images to train on."""
    plane = cell()[100:420, 120:460].astype(np.uint16) * 200
    noise = np.random.default_rng(0).normal(0, 300, (2, 2, *plane.shape))
    stack = np.clip(np.stack([[plane, plane[::-1]]] * 2) + noise, 0, 65535)
    tifffile.imwrite(
        folder / "stack.ome.tif",
        stack.astype(np.uint16),
        metadata={"axes": "CZYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1},
    )
    truth = coins()[:256, :320]
    low = truth.reshape(128, 2, 160, 2).mean(axis=(1, 3)) * 15
    tifffile.imwrite(folder / "fine.tif", truth)
    tifffile.imwrite(folder / "coarse.tif", low.astype(np.uint16))
    (folder / "images" / "tissue").mkdir(parents=True)
    tissue = (rgb2gray(immunohistochemistry()) * 255).astype(np.uint8)
    for number in range(9):
        top, left = divmod(number, 3)
        part = tissue[160 * top : 160 * top + 150, 160 * left :][:, :140]
        skimage.io.imsave(folder / "images" / "tissue" / f"{number}.png", part)
    config = {
        "name": "mine",
        "parent": "faithful",
        "pairs": [{"low": "coarse.tif", "high": "fine.tif"}],
        "steps": 50,
        "batch": 4,
        "patch": 24,
        "device": "cpu",
        "precision": "float32",
        "out": "tuned",
    }
    (folder / "mine.json").write_text(json.dumps(config))


def _commands() -> list[tuple[str, str, str]]:
    """Return title, words and result of each command."""
    exact = "--device cpu --precision float32"
    megapixels = 50 * 16 * 48**2 / 1e6  # 50 steps of 16 patches
    runs = [
        (
            f"upscale {model} x{factor}",
            f"upscale stack.ome.tif {result} --model {model} --factor {factor} {exact}",
            result,
        )
        for model, factor, result in (
            ("faithful", 2, "faithful.ome.zarr"),
            ("faithful", 2, "faithful.ome.tif"),
            ("sharp", 4, "sharp.ome.zarr"),
            ("bicubic", 2, "bicubic.ome.zarr"),
            ("bicubic", 2, "bicubic.ome.tif"),
        )
    ]
    return [
        *runs,
        (
            "upscale within noise",
            "upscale stack.ome.tif agreed.ome.zarr --agreement noise --tile 96 "
            + exact,
            "agreed.ome.zarr",
        ),
        (
            "inspect without a reference",
            "inspect faithful.ome.zarr --out maps --device cpu",
            "maps",
        ),
        (
            "inspect against a reference",
            "inspect sharp.ome.zarr --reference sharp.ome.zarr --source stack.ome.tif "
            "--out maps-x4 --device cpu",
            "maps-x4",
        ),
        (
            "train 50 steps",
            f"train faithful-x2 --data images --out trained {exact} "
            f"--megapixels {megapixels}",
            "trained/faithful-x2.safetensors",
        ),
        ("finetune 50 steps", "finetune mine.json", "tuned/mine-x2.safetensors"),
    ]


def _digest(path: Path) -> str:
    """Hash pixels and numbers of a file, or of all files of a folder."""
    found = hashlib.sha256()
    if path.is_dir():
        for part in sorted(path.rglob("*")):
            relative = part.relative_to(path)
            if part.is_file() and part.suffix == ".csv":
                rows = list(csv.reader(part.read_text().splitlines()))
                found.update(f"{relative}{rows}".encode())
            elif part.is_file() and "c" in relative.parts:  # a chunk
                found.update(str(relative).encode() + part.read_bytes())
    elif path.name.endswith(".tif"):
        found.update(np.ascontiguousarray(tifffile.imread(path)).tobytes())
    else:
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


if __name__ == "__main__":
    main()
