"""Compare a conditional model with classical methods, over blur and noise.

Run it from the root of the repository::

    python -m benchmarks.optics --data DIR --factor 2 --out optics-x2.csv

Every source gives the busiest part of a few planes. It is measured at four widths of
the point-spread function and three numbers of photons; every method gets the same
pixels, and its result is compared as it is. A CSV that is there already is read and not
computed again.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.optics.scenes import LIGHT, SIGMAS, Scene, find_parts, score_methods
from benchmarks.optics.tables import write_tables
from napari_structsr.cli.terminal import exit_on_error
from napari_structsr.zoo.catalogue import load_model

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def compare(
    data: Annotated[Path, typer.Option(help="A folder of images for each source.")],
    output: Annotated[Path, typer.Option("--out", help="CSV with every score.")],
    factor: Annotated[int, typer.Option(help="1, 2 or 4.")] = 2,
    model: Annotated[
        str, typer.Option(help="Conditional model: name or file.")
    ] = "conditional",
    default: Annotated[
        float, typer.Option(help="Width told for finer pixels with the same optics.")
    ] = 0.35,
    side: Annotated[int, typer.Option(help="Measured pixels of a part.")] = 96,
    planes: Annotated[int, typer.Option(help="Images of each source.")] = 2,
) -> None:
    """Compare, write the CSV, and print tables as Markdown."""
    with exit_on_error():
        if not output.exists():
            network = load_model(model, factor=factor)
            # faithful has no factor of 1
            faithful = load_model("faithful", factor=factor) if factor > 1 else None
            rows = []
            for source, name, truth in find_parts(
                data, factor=factor, side=side, planes=planes
            ):
                for sigma in SIGMAS:
                    for photons, read_noise in LIGHT.items():
                        scene = Scene(truth, factor, sigma, photons, read_noise)
                        about = {"source": source, "plane": name, "sigma": sigma}
                        rows += [
                            about | {"photons": photons, "method": method, "psnr": psnr}
                            for method, psnr in score_methods(
                                scene, network, faithful, default
                            ).items()
                        ]
            with output.open("w", newline="") as file:
                writer = csv.DictWriter(file, rows[0].keys())
                writer.writeheader()
                writer.writerows(rows)
        with output.open(newline="") as file:
            print(write_tables(list(csv.DictReader(file))))


if __name__ == "__main__":
    app()
