"""The models that ship with the package, and interpolation as models.

Reads cards alone and imports no torch.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal

from napari_structsr.io.weights import read_card
from napari_structsr.models.card import ModelCard

WEIGHTS = Path(str(resources.files("napari_structsr"))) / "models" / "weights"
_INTERPOLATIONS: tuple[Literal["bicubic", "bilinear"], ...] = ("bicubic", "bilinear")
_PSF_SIGMA = 0.4  # measured pixels; what the models here were trained to undo


# what ships does not change while the program runs; models of the user do
@cache
def list_shipped() -> list[ModelCard]:
    """Return the cards of all models that ship; interpolation stands last."""
    # by name, so that lists look the same everywhere; the careful model comes first,
    # since it is taken where nobody has chosen
    paths = sorted(
        WEIGHTS.glob("*.json"),
        key=lambda path: (not path.stem.startswith("faithful-x"), path.stem),
    )
    cards = [read_model_card(path) for path in paths]
    return cards + [
        ModelCard(
            name=mode,
            description=f"{mode.capitalize()} interpolation, the baseline.",
            architecture=mode,
            factor=factor,
            psf_sigma=_PSF_SIGMA,
        )
        for mode in _INTERPOLATIONS
        for factor in (2, 4)
    ]


def list_shipped_names() -> set[str]:
    """Return the names that no other model can take."""
    return {card.name for card in list_shipped()}


def read_model_card(path: Path) -> ModelCard:
    """Read and check the card that lies beside weights.

    Raises
    ------
    ModelError
        If the card is missing or damaged.
    """
    return ModelCard.parse(read_card(path), origin=path.stem)
