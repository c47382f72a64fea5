"""`structsr models`: the models that ship, and those of the user."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from napari_structsr.cli.terminal import out


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
