"""`structsr models` and `structsr export`: models, and files of them for others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from napari_structsr.cli.terminal import exit_on_error, out, split_words
from napari_structsr.errors import SettingsError


def models(
    as_json: Annotated[
        bool, typer.Option("--json", help="As JSON, for other programs.")
    ] = False,
) -> None:
    """List the models that ship, and those that you have made."""
    from napari_structsr.zoo.catalogue import list_models

    cards = list_models()
    if as_json:
        # a calibration is a network of its own, and no description
        plain = [
            card.model_dump(mode="json", exclude={"calibration"}) for card in cards
        ]
        # in ASCII: no byte of a card can act on a terminal
        out.print_json(json.dumps(plain), ensure_ascii=True)
        return
    table = Table("model", "factor", "description", "licence", "weights")
    for card in cards:
        # the first digits tell versions apart; interpolation has no weights
        digest = card.sha256[:12] if card.sha256 else "-"
        table.add_row(
            card.name, str(card.factor), card.description, card.licence, digest
        )
    out.print(table)


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Name, or .safetensors file.")
    ],
    output: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="name.zip or folder, name.onnx, name.pt"),
    ],
    to: Annotated[str, typer.Option(help="bioimageio, onnx or torchscript.")],
    factor: Annotated[
        int | None, typer.Option(help="Which, of a model with several.")
    ] = None,
    sharpness: Annotated[
        float, typer.Option(help="Of sharp: 0 is faithful, 1 is sharp.")
    ] = 1.0,
    psf_sigma: Annotated[
        float | None,
        typer.Option(help="Told once and for all: blur to undo, in measured pixels."),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(help="Told once and for all: noise at half the range, of it."),
    ] = None,
    photons: Annotated[
        float | None,
        typer.Option(help="In place of --noise: photons at the full range."),
    ] = None,
    author: Annotated[
        str | None, typer.Option(help="Names for bioimageio, by comma.")
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(help="SPDX identifier, such as CC-BY-4.0, for bioimageio."),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace what is at OUT.")] = False,
) -> None:
    """Export a model to bioimage.io, ONNX or TorchScript."""
    with exit_on_error():
        from napari_structsr.zoo.catalogue import find_card, load_model

        # an unknown name is refused before torch is imported, which takes seconds
        find_card(model, factor=factor, sharpness=sharpness)
        from napari_structsr.zoo.exchange.export_network import export_network
        from napari_structsr.zoo.exchange.wish import ExportWish

        wish = ExportWish(
            psf_sigma=psf_sigma,
            noise=_find_noise(noise, photons),
            authors=split_words(author) or (),
            licence=licence,
        )
        # the word is checked there
        kind: Any = to
        path = export_network(
            load_model(model, factor=factor, sharpness=sharpness),
            output,
            to=kind,
            wish=wish,
            overwrite=overwrite,
        )
        out.print(f"wrote {path}", soft_wrap=True)


def _find_noise(noise: float | None, photons: float | None) -> float | None:
    if noise is not None and photons is not None:
        raise SettingsError("--noise and --photons say the same; give one of them")
    for option, value in (("--noise", noise), ("--photons", photons)):
        # also refuses what is no number
        if value is not None and not 0 < value < float("inf"):
            raise SettingsError(f"{option} {value:g} is no amount; give one above 0")
    if photons is None:
        return noise
    from napari_structsr.models.conditional_generator import noise_level

    return noise_level(1 / photons, 0.0)
