"""Draw the gallery of the documentation: one image of each modality, and its map.

    python scripts/gallery.py           # images of scikit-image and drawn ones
    python scripts/gallery.py DATA --out OUT

DATA holds one folder for each source, as for `structsr benchmark --data`; the gallery
of such images goes to OUT, and not into the repository, which holds no image of others.
Each image is taken as the truth, measured at half its resolution, and upscaled.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import matplotlib
import numpy as np

import napari_structsr as sr
from napari_structsr.benchmark.images import list_built_in_images
from napari_structsr.benchmark.tracks import TRACKS, make_truth
from napari_structsr.core.types import Array
from napari_structsr.io.formats.image_folders import ImageFile, find_images

DOCS = Path(__file__).parent.parent / "docs"
TRACK = TRACKS["x2-mild"]
SIDE = 96  # measured pixels that are shown
PAGE = """# Gallery

One image of each kind. Each is taken as the truth, measured at half its resolution with
some noise, and upscaled ×2. All panels of a row have the grey limits of the truth. The
last one is the map of local SSIM of `faithful` against the truth: bright is wrong.

The images are those of scikit-image, and drawn ones; `python scripts/gallery.py` makes
this page. With a folder of images, `python scripts/gallery.py DATA --out OUT`, it makes
one of your own. The [benchmarks](benchmarks.md) show public images of further sources.
"""


def main() -> None:
    """Draw the figures and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--out", type=Path, default=DOCS)
    given = parser.parse_args()
    if given.data and given.out == DOCS:
        parser.error("--out says where a gallery of other images goes")
    images = (
        find_images(given.data, limit=1)
        if given.data
        else list_built_in_images(limit=1)
    )
    (given.out / "images").mkdir(parents=True, exist_ok=True)
    parts = [PAGE]
    for image in images:
        name = re.sub(r"\W+", "-", image.source)
        figure = f"images/gallery-{name}.png"
        scores = draw_row(image, given.out / figure)
        words = image.source[0].upper() + image.source[1:].replace("_", " ")
        parts.append(f"## {words}\n\n![{words}: {scores}]({figure})\n\n{scores}\n")
    page = given.out / "gallery.md"
    page.write_text("\n".join(parts), encoding="utf-8")
    print("wrote", page)


def draw_row(image: ImageFile, path: Path) -> str:
    """Draw one image by each method, and its map; return the scores in words."""
    truth = make_truth(cut_busiest(next(image.planes(1))[1]), TRACK.factor)
    measured = TRACK.measure(truth)
    results = {
        model: sr.upscale(measured, model=model, dtype="float32", progress=False)
        for model in ("bicubic", "faithful", "sharp")
    }
    found = {
        model: sr.inspect(result, truth, maps=["ssim"], progress=False)
        for model, result in results.items()
    }
    panels = {"measured": measured, **results, "truth": truth}
    draw_panels(panels, np.asarray(found["faithful"].maps["ssim"]), path)
    return " · ".join(
        f"{model} {compute_psnr(result, truth):.1f} dB"
        for model, result in results.items()
    )


def draw_panels(panels: dict[str, Array], ssim: Array, path: Path) -> None:
    """Draw panels side by side, and the map behind them."""
    matplotlib.use("agg")
    from matplotlib import pyplot

    truth = panels["truth"]
    limits = {"vmin": float(truth.min()), "vmax": float(np.percentile(truth, 99.8))}
    figure, axes = pyplot.subplots(
        1, len(panels) + 1, figsize=(15, 2.9), layout="constrained"
    )
    for (title, panel), place in zip(panels.items(), axes, strict=False):
        place.imshow(panel, cmap="gray", interpolation="nearest", **limits)
        place.set_title(title)
    axes[-1].imshow(ssim, cmap="inferno_r", vmin=0, vmax=1, interpolation="nearest")
    axes[-1].set_title("SSIM of faithful")
    for place in axes:
        place.axis("off")
    figure.savefig(path, dpi=80, pil_kwargs={"optimize": True})
    pyplot.close(figure)


def cut_busiest(image: Array) -> Array:
    """Return the square part of an image that holds most gradient."""
    side = min(SIDE * TRACK.factor, *image.shape)
    step = max(1, side // 4)
    rows = range(0, image.shape[0] - side + 1, step)
    columns = range(0, image.shape[1] - side + 1, step)
    values = image.astype(np.float32)
    slope = np.hypot(*np.gradient(values))
    row, column = max(
        ((row, column) for row in rows for column in columns),
        key=lambda at: slope[at[0] : at[0] + side, at[1] : at[1] + side].sum(),
    )
    return image[row : row + side, column : column + side]


def compute_psnr(result: Array, truth: Array) -> float:
    """Return the peak signal-to-noise ratio in dB, of a range of 1."""
    return float(-10 * np.log10(np.mean((result - truth) ** 2)))


if __name__ == "__main__":
    main()
