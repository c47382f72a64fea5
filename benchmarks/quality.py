"""Compare models with the truth, source by source.

    python benchmarks/quality.py --data DIR --track x2-mild

DIR holds one folder a source, of PNG and TIFF images. Every plane is measured with
the fixed seed 0, upscaled through the engine, and compared as a whole. Prints a
Markdown table of PSNR / SSIM with bicubic in it. Behind them stands the agreement of
the results with the measurement, the worst of each source: by how much the slope of
the least-squares line through (input, result measured again) misses 1, the larger of
the two directions, and by how much its offset misses 0.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import skimage.color
import skimage.io
import torch

import napari_structsr as sr
from napari_structsr.benchmark.tracks import TRACKS, score, truth_of


def planes(path: Path, every: int) -> list[np.ndarray]:
    """Read the planes of a file; colour becomes luminance."""
    image = skimage.io.imread(path)
    if path.suffix.startswith(".tif"):
        return list(image[::every])
    if image.ndim == 3:
        return [skimage.color.rgb2gray(image[..., :3])]
    return [image]


def departure(
    model: sr.SRModel, measured: np.ndarray, result: np.ndarray
) -> tuple[float, float]:
    """Return how far slope and offset of the line miss 1 and 0."""
    again = model.forward_model(torch.from_numpy(result)[None, None])[0, 0].numpy()
    slope, offset = np.polyfit(measured.ravel(), again.ravel(), 1)
    reverse, _ = np.polyfit(again.ravel(), measured.ravel(), 1)
    return max(abs(slope - 1), abs(reverse - 1)), abs(offset)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--track", choices=sorted(TRACKS), default="x2-mild")
    parser.add_argument("--models", nargs="+", default=["bicubic", "faithful"])
    parser.add_argument("--agreement", nargs="+", default=["off"])
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--limit", type=int, help="files of a source, for a quick look")
    parser.add_argument("--every", type=int, default=12, help="planes of a stack")
    args = parser.parse_args()

    track = TRACKS[args.track]
    columns = [("bicubic", "off")] + [
        (name, agreement)
        for name in args.models
        if name != "bicubic"
        for agreement in args.agreement
    ]
    models = {n: sr.load_model(n, factor=track.factor) for n, _ in columns}
    rows: dict[str, list[list[list[float]]]] = {}
    for folder in sorted(path for path in args.data.iterdir() if path.is_dir()):
        for path in sorted(folder.iterdir())[: args.limit]:
            for plane in planes(path, args.every):
                truth = truth_of(plane, track.factor)
                measured = track.measure(truth)
                source = sr.open_source(measured)
                row = []
                for name, agrees in columns:
                    settings = sr.UpscaleSettings(
                        agreement=agrees, precision=args.precision
                    )
                    result = sr.result_of(
                        sr.upscale(
                            source, models[name], sr.MemorySink(), settings=settings
                        )
                    )
                    found = score(truth, result)
                    missed = departure(models[name], measured, result)
                    row.append([found.psnr, found.ssim, *missed])
                rows.setdefault(folder.name, []).append(row)

    heads = [name if agree == "off" else f"{name}, {agree}" for name, agree in columns]
    print(f"| {track.name} | images | " + " | ".join(heads) + " | gain |")
    print("|---|---|" + "---|" * (len(heads) + 1))
    tables = {name: np.array(values) for name, values in rows.items()}
    for name, table in tables.items():
        print(line(name, len(table), table))
    over = np.array([table.mean(axis=0) for table in tables.values()])
    worst = np.array([table.max(axis=0) for table in tables.values()])
    over[..., 2:] = worst[..., 2:]
    print(line("**mean over sources**", len(over), over))


def line(name: str, count: int, table: np.ndarray) -> str:
    """Write one row: mean scores and worst departures."""
    psnr, ssim = table[..., :2].mean(axis=0).T
    slope, offset = table[..., 2:].max(axis=0).T
    cells = [
        f"{p:.2f} / {s:.4f} ({m:.3f}, {o:.4f})"
        for p, s, m, o in zip(psnr, ssim, slope, offset, strict=True)
    ]
    gains = ", ".join(f"{value:+.2f} dB" for value in psnr[1:] - psnr[0])
    return f"| {name} | {count} | " + " | ".join(cells) + f" | {gains} |"


if __name__ == "__main__":
    main()
