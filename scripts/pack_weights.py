"""Pack trained weights with their card, as they ship.

python scripts/pack_weights.py WEIGHTS --factor 2 --recipe "..." --training "..."
"""

from __future__ import annotations

import argparse
from pathlib import Path

from safetensors.torch import load_file

from napari_structsr.io.bundle import write_bundle
from napari_structsr.models.card import DataSource, ModelCard

FOLDER = Path(__file__).parent.parent / "src/napari_structsr/models/weights"
NASA = "NASA, pretrained-microscopy-models"
DATA = [
    DataSource(name="nasa_ebc", licence="MIT", attribution=NASA),
    DataSource(name="nasa_am_metallography", licence="MIT", attribution=NASA),
    DataSource(
        name="bbbc038_dsb2018",
        licence="CC0-1.0",
        attribution="BBBC038v1, Broad Bioimage Benchmark Collection, "
        "Caicedo et al. 2019",
    ),
    DataSource(
        name="neubias_training",
        licence="CC-BY-4.0",
        attribution="NEUBIAS training resources",
    ),
    DataSource(
        name="isl", licence="Apache-2.0", attribution="Christiansen et al. 2018"
    ),
    DataSource(
        name="cellprofiler_examples", licence="CC0-1.0", attribution="CellProfiler"
    ),
]


def main() -> None:
    """Write faithful-xN.safetensors and its card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--factor", type=int, required=True)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--training", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--blocks", type=int, default=8)
    args = parser.parse_args()

    card = ModelCard(
        name="faithful",
        description="Residual generator trained on pixel differences alone; "
        "sharpens what was measured and invents least.",
        architecture="residual-generator",
        options={"width": args.width, "blocks": args.blocks},
        factor=args.factor,
        psf_sigma=0.4,
        training=args.training,
        data=DATA,
        recipe=args.recipe,
        seed=args.seed,
    )
    path = FOLDER / f"faithful-x{args.factor}"
    write_bundle(path, card.model_dump(exclude={"sha256"}), load_file(args.weights))


if __name__ == "__main__":
    main()
