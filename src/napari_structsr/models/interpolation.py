"""Network interpolation: models whose weights lie between those of two others.

After Wang et al. 2018, ESRGAN: two networks of one architecture, of
which one was trained on from the other, give a sensible network at every point of the
line between their weights. That makes the balance of detail and risk one number.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from napari_structsr.errors import ModelError
from napari_structsr.models.card import ModelCard


def blend_cards(card: ModelCard, partner: ModelCard, sharpness: float) -> ModelCard:
    """Describe the model at `sharpness` on the line from `partner` to a model.

    Its calibration is that of the nearer end: what is predicted follows the contrast of
    the result itself, and the two ends differ little in what is left.

    Raises
    ------
    ModelError
        If the two are not of one architecture.
    """
    for entry in ("architecture", "options", "factor", "psf_sigma"):
        mine, other = getattr(card, entry), getattr(partner, entry)
        if mine != other:
            raise ModelError(
                f"{card.name} cannot be blended with {partner.name}: their {entry} "
                f"differ ({mine} and {other}); use sharpness 1"
            )
    return card.model_copy(
        update={
            "description": f"{sharpness:.0%} of the way from {partner.name} to "
            f"{card.name}.",
            "sharpness": sharpness,
            "calibration": (card if sharpness >= 0.5 else partner).calibration,
            "parents": [str(partner.sha256), str(card.sha256)],
        }
    )


def blend_weights(
    weights: Mapping[str, Tensor], partner: Mapping[str, Tensor], sharpness: float
) -> dict[str, Tensor]:
    """Return the weights on the line: those of the partner at 0, exactly.

    Raises
    ------
    ModelError
        If the two do not hold the same names and shapes.
    """
    if {name: value.shape for name, value in weights.items()} != {
        name: value.shape for name, value in partner.items()
    }:
        raise ModelError(
            "the weights of the two models that are to be blended do not belong to "
            "one network; restore the files from where they came"
        )
    return {
        # in float32: weights are stored in half precision and rounded once
        name: (1 - sharpness) * partner[name].float() + sharpness * value.float()
        for name, value in weights.items()
    }
