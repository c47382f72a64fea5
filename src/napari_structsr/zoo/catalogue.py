"""The catalogue of models, and loading one by name or path.

Listing reads cards alone and imports no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_structsr.errors import ModelError
from napari_structsr.io.foreign_weights import FOREIGN_ENDINGS, read_foreign
from napari_structsr.io.weights import read_weights
from napari_structsr.models.card import ModelCard
from napari_structsr.zoo.exchange.load import (
    is_exchanged,
    load_exchanged_model,
    read_exchanged_card,
)
from napari_structsr.zoo.foreign import (
    is_foreign,
    load_foreign_model,
    make_foreign_card,
)
from napari_structsr.zoo.shipped import (
    WEIGHTS,
    list_shipped,
    list_shipped_names,
    read_model_card,
)
from napari_structsr.zoo.user_models import find_user_folder, read_user_cards

if TYPE_CHECKING:
    from napari_structsr.models.model import SRModel


def list_models(*, purpose: Literal["use", "comparison"] = "use") -> list[ModelCard]:
    """Return the cards of the models, those that ship before the user's own.

    Interpolation stands last.

    Parameters
    ----------
    purpose
        "use" for what is offered to users, "comparison" for the methods of others
        that are there to compare with.
    """
    return [card for card in _list_all() if card.purpose == purpose]


def _list_all() -> list[ModelCard]:
    shipped = list_shipped()
    networks = [card for card in shipped if card.sha256]  # interpolation has none
    return networks + read_user_cards() + shipped[len(networks) :]


def find_card(name: str, *, factor: int | None, sharpness: float = 1.0) -> ModelCard:
    """Return the card of a model.

    Parameters
    ----------
    name, factor, sharpness
        As for `load_model`.

    Raises
    ------
    ModelError
        If the model is unknown or does not offer the factor or the sharpness.
    """
    return _set_sharpness(_find_trained_card(name, factor), sharpness)


def _find_trained_card(name: str, factor: int | None) -> ModelCard:
    path = Path(name)
    if is_path(name):
        if is_exchanged(path):
            card = read_exchanged_card(path)
        elif is_foreign(path):
            card = make_foreign_card(read_foreign(path), path)
        else:
            card = read_model_card(path)
        return _choose_factor(name, [card], factor)
    cards = [card for card in _list_all() if card.name == name]
    if not cards:
        names = ", ".join(dict.fromkeys(card.name for card in list_models()))
        raise ModelError(
            f"there is no model named {name!r}; choose one of {names}, "
            "or give the path of a .safetensors, .pth, .onnx or .zip file"
        )
    return _choose_factor(name, cards, factor)


def load_model(
    name: str = "faithful", *, factor: int | None = 2, sharpness: float = 1.0
) -> SRModel:
    """Load a model and check it against its card.

    Parameters
    ----------
    name
        Name of a model that ships or of the user; path of a .safetensors file with
        its card beside it; path of a .pth, .pt, .ckpt or .safetensors file of
        somebody else, of any architecture that spandrel knows; or path of an .onnx
        file or a bioimage.io package, a .zip or a folder, that upscales.
    factor
        Upscaling factor along y and x; None takes the one of the file, or the first
        that is offered.
    sharpness
        For models whose card names another to blend with, as `sharp` does with
        `faithful`: 0 is the other model, 1 the model itself, and between them are
        the weights between theirs.

    Raises
    ------
    ModelError
        If the model is unknown, does not offer the factor or the sharpness, or is
        damaged.
    """
    from napari_structsr.models.model import SRModel

    path = Path(name)
    if is_path(name) and is_exchanged(path):
        model = load_exchanged_model(path)
        _set_sharpness(_choose_factor(name, [model.card], factor), sharpness)
        return model
    # read once: such a file may hold hundreds of megabytes
    if is_path(name) and is_foreign(path):
        found = read_foreign(path)
        _set_sharpness(
            _choose_factor(name, [make_foreign_card(found, path)], factor), sharpness
        )
        return load_foreign_model(found, path)
    plain = _find_trained_card(name, factor)
    card = _set_sharpness(plain, sharpness)
    if card.architecture in ("bicubic", "bilinear"):
        return SRModel(card)
    weights = read_weights(_find_weights(name, card), sha256=card.sha256)
    if plain.blend_with and sharpness < 1:
        from napari_structsr.models.interpolation import blend_weights

        partner = _find_trained_card(plain.blend_with, plain.factor)
        file = _find_weights(partner.name, partner)
        other = read_weights(file, sha256=partner.sha256)
        weights = blend_weights(weights, other, sharpness)
    origin = str(path.absolute()) if is_path(name) else name
    return SRModel(card, weights, origin=origin)


def find_partner(name: str) -> str | None:
    """Return the name of the model with which another one can be blended."""
    cards = (card for card in _list_all() if card.name == name)
    return next((card.blend_with for card in cards), None)


def _set_sharpness(card: ModelCard, sharpness: float) -> ModelCard:
    if not 0 <= sharpness <= 1:
        raise ModelError(
            f"the sharpness {sharpness} lies outside 0..1; 0 is the faithful end, "
            "1 the sharp one"
        )
    if card.blend_with is None:
        if sharpness == 1:
            return card
        # the remedy names models that do offer it
        able = dict.fromkeys(one.name for one in list_models() if one.blend_with)
        raise ModelError(
            f"model {card.name!r} has no sharpness to choose, {sharpness} was asked "
            f"for; leave it out{', or choose ' + ' or '.join(able) if able else ''}"
        )
    if sharpness == 1:
        return card.model_copy(update={"sharpness": 1.0})
    from napari_structsr.models.interpolation import blend_cards

    return blend_cards(
        card, _find_trained_card(card.blend_with, card.factor), sharpness
    )


def _choose_factor(name: str, cards: list[ModelCard], factor: int | None) -> ModelCard:
    for card in cards:
        if factor is None or card.factor == factor:
            return card
    offered = ", ".join(str(card.factor) for card in cards)
    raise ModelError(
        f"model {name!r} does not offer the factor {factor}; it offers {offered}"
    )


def _find_weights(name: str, card: ModelCard) -> Path:
    if is_path(name):
        return Path(name)
    folder = WEIGHTS if name in list_shipped_names() else find_user_folder()
    return folder / f"{name}-x{card.factor}.safetensors"


def is_path(name: str) -> bool:
    """Tell the path of a file from the name of a model."""
    endings = (".safetensors", ".json", ".onnx", ".zip", *FOREIGN_ENDINGS)
    return name.lower().endswith(endings) or "/" in name or "\\" in name
