"""What was run before: which image, by what, where to, how long, how it ended."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from napari_structsr.gui.settings import keep, read_kept
from napari_structsr.gui.upscale.running.places import open_folder
from napari_structsr.gui.viewer.plain_text import keep_plain
from napari_structsr.gui.widgets.controls import Section
from napari_structsr.gui.widgets.time_left import describe_seconds

_NAME = "upscale runs"
_MOST = 50  # the newest are kept
_HIGH = 120  # screen pixels of the list


@dataclass(frozen=True)
class PastRun:
    """One run.

    Parameters
    ----------
    image, model
        What was upscaled, and by what, for people.
    place
        Path of the result; "" for one in memory.
    state
        "finished", "cancelled" or "failed".
    seconds
        How long it took.
    when
        When it ended, as ISO 8601.
    """

    image: str
    model: str
    place: str
    state: str
    seconds: float
    when: str

    def describe(self) -> str:
        """Return two lines: image and model, then how, when and where it ended."""
        day = self.when[5:16].replace("T", " ")
        took = describe_seconds(self.seconds)
        where = Path(self.place).name if self.place else "in memory"
        return f"{self.image} {self.model}\n{self.state} {day}, {took}, {where}"


def read_runs() -> list[PastRun]:
    """Return the runs that were noted, the newest first."""
    kept = read_kept(_NAME)
    names = {field.name: field.type for field in fields(PastRun)}
    found = []
    for entry in kept if isinstance(kept, list) else []:
        # a file of a user, or of another version
        if isinstance(entry, dict) and entry.keys() == names.keys():
            seconds = entry["seconds"]
            words = [value for key, value in entry.items() if key != "seconds"]
            if type(seconds) in (int, float) and all(isinstance(w, str) for w in words):
                found.append(PastRun(**entry))
    return found


def note_run(image: str, model: str, place: str, state: str, seconds: float) -> None:
    """Note a run that has ended; the oldest are forgotten."""
    when = datetime.now().astimezone().isoformat(timespec="seconds")
    run = PastRun(image, model, place, state, round(seconds, 1), when)
    keep(_NAME, [asdict(one) for one in (run, *read_runs())[:_MOST]])


class HistoryList(Section):
    """The runs before, folded until somebody looks."""

    def __init__(self) -> None:
        runs = QListWidget()
        super().__init__("Runs before", runs)
        self.list = runs
        self.list.setAccessibleName("Runs before")
        self.list.setMaximumHeight(_HIGH)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.heading.setToolTip("What was run, by what, where to, and how it ended.")
        self.open(False)
        self.heading.toggled.connect(self._fill)
        self.list.itemActivated.connect(self._open)

    def update_list(self) -> None:
        """Show what has been noted, if the list is seen."""
        if self.heading.isChecked():
            self._fill(True)

    def _fill(self, is_open: bool) -> None:
        if not is_open:
            return
        self.list.clear()
        for run in read_runs():
            item = QListWidgetItem(run.describe())
            tip = f"{run.describe()}\n{run.place}".strip()
            if run.place:
                tip += "\nDouble-click opens its folder."
            item.setToolTip(keep_plain(tip))
            item.setData(Qt.ItemDataRole.UserRole, run.place)
            self.list.addItem(item)
        if not self.list.count():
            self.list.addItem("Nothing was run yet.")

    def _open(self, item: QListWidgetItem) -> None:
        if place := item.data(Qt.ItemDataRole.UserRole):
            open_folder(Path(place))
