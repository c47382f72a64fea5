"""The row of a form for the address of a cluster, and what one says of a run."""

from __future__ import annotations

from functools import partial

from qtpy.QtWidgets import QLineEdit

from napari_structsr.engine.events import Event, Noted
from napari_structsr.gui.viewer.cluster_run import Connected
from napari_structsr.gui.widgets.controls import complete_sentence
from napari_structsr.gui.widgets.progress_row import ProgressRow


def make_cluster_edit(files: str) -> QLineEdit:
    """Make the field for an address; `files` names what all workers must see."""
    edit = QLineEdit()
    edit.setAccessibleName("Cluster")
    edit.setPlaceholderText("none, or tcp://HOST:8786")
    edit.setToolTip(
        "Address of a dask scheduler whose workers do it; empty: this computer. "
        f"They must see {files} under the same path."
    )
    return edit


def follow_cluster(row: ProgressRow) -> None:
    """Show in the row of a run what the cluster says of it."""
    row.job.said.connect(partial(_tell, row))
    # what was waited for is there
    row.job.progressed.connect(lambda _: row.show_details(""))


def _tell(row: ProgressRow, event: Event) -> None:
    match event:
        case Connected(dashboard=str(address)):
            row.show_link("Dashboard of the cluster", address)
        case Noted(message):
            row.show_details(complete_sentence(message))
