"""Folders of results, opened in the file manager of the system."""

from __future__ import annotations

from pathlib import Path

from napari.utils.notifications import show_warning
from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices

from napari_structsr.gui.viewer.plain_text import keep_plain


def find_folder(place: Path) -> Path:
    """Return the folder in which a result lies; a folder of results is one itself."""
    return place.parent if place.suffix or not place.is_dir() else place


def open_folder(place: Path) -> None:
    """Show the folder in which a result lies, or say that it is gone."""
    folder = find_folder(place)
    if not folder.is_dir():
        show_warning(keep_plain(f"The folder {folder} is gone."))
    elif not QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder))):
        show_warning(keep_plain(f"No program opens folders here; look at {folder}."))
