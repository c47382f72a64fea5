"""The commands as a group: what a shell hands over is shown as text alone."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

from napari_structsr.scripting.plain_console import make_printable


class PlainGroup(TyperGroup):
    """The commands; errors in their use quote the command line as it is."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            # a pattern of the shell hands over names of files, whoever made them
            if isinstance(message := getattr(error, "message", None), str):
                error.message = make_printable(message)  # type: ignore[attr-defined]
            raise
