"""`structsr models`: the models that ship."""

from __future__ import annotations

from rich.table import Table

from napari_structsr.cli.terminal import out


def models() -> None:
    """List the models that ship."""
    from napari_structsr.zoo.catalogue import list_models

    table = Table("model", "factor", "description", "licence", "weights")
    for card in list_models():
        # the first digits tell versions apart; interpolation has no weights
        digest = card.sha256[:12] if card.sha256 else "-"
        table.add_row(
            card.name, str(card.factor), card.description, card.licence, digest
        )
    out.print(table)
