"""Models of others: a card made from what their file tells.

Such a file says nothing of blur, licence or training images.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_structsr.io.foreign_weights import FOREIGN_ENDINGS, ForeignModel
from napari_structsr.models.card import ModelCard

if TYPE_CHECKING:
    from napari_structsr.models.model import SRModel
    from napari_structsr.models.receptive_field import ReceptiveField

_PSF_SIGMA = 0.4  # measured pixels; that of the models here, since none is named
_measured: dict[str, ReceptiveField] = {}


def is_foreign(path: Path) -> bool:
    """Tell a file of somebody else's weights from a model that has a card."""
    ending = path.suffix.lower()
    # others write .safetensors too: a card beside it makes it a model of this kind
    bare = ending == ".safetensors" and not path.with_suffix(".json").exists()
    return ending in FOREIGN_ENDINGS or (bare and path.exists())


def make_foreign_card(found: ForeignModel, path: Path) -> ModelCard:
    """Describe a model by what its file tells."""
    colour = "RGB" if found.inputs == 3 else "grey"
    # equivariance is false unless a card claims it: most such networks have biases
    return ModelCard(
        name=path.name,
        description=f"{found.architecture} for {colour} images, trained elsewhere.",
        architecture="spandrel",
        factor=found.factor,
        psf_sigma=_PSF_SIGMA,
        intensity_equivariant=False,
        licence="unknown",
        sha256=found.sha256,
    )


def load_foreign_model(found: ForeignModel, path: Path) -> SRModel:
    """Make a model that the engine can run; takes some seconds for deep networks."""
    from napari_structsr.models.build import adapt_network
    from napari_structsr.models.model import SRModel
    from napari_structsr.models.receptive_field import measure_receptive_field

    network = adapt_network(found)
    # no file says how far its network sees; measuring takes seconds, so once for each
    if found.sha256 not in _measured:
        _measured[found.sha256] = measure_receptive_field(
            network, factor=found.factor, align=network.align
        )
    measured = _measured[found.sha256]
    card = make_foreign_card(found, path).model_copy(
        update={"radius": measured.radius, "seam": measured.seam}
    )
    return SRModel(
        card,
        network.state_dict(),
        origin=str(path.absolute()),
        network=network,
        low_precision=found.low_precision,
    )
