"""The second step: the one fine-tuning of its dock, and those of earlier sessions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_info
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QMessageBox, QPushButton

from napari_structsr.engine.events import Finished
from napari_structsr.errors import StructsrError
from napari_structsr.finetuning.runs import RunSummary, remove_run
from napari_structsr.gui.finetune.export_config import make_config, save_fine_tuning
from napari_structsr.gui.finetune.pairs_entry import PairEntry
from napari_structsr.gui.finetune.progress_view import ProgressView
from napari_structsr.gui.finetune.run import (
    FineTuningRun,
    list_fine_tunings,
    list_trainable_models,
    make_job,
    make_resumed_run,
    make_run,
)
from napari_structsr.gui.finetune.run_list import RunList
from napari_structsr.gui.finetune.train_form import TrainForm
from napari_structsr.gui.finetune.train_state import (
    Parent,
    TrainChoice,
    TrainState,
    resolve_training,
    suggest_model_name,
)
from napari_structsr.gui.settings import read_preferences
from napari_structsr.gui.widgets.controls import (
    enable,
    row,
    sentence,
    show_reasons,
    stack,
)
from napari_structsr.gui.widgets.model_signals import models_offered
from napari_structsr.gui.widgets.viewer_widget import ViewerWidget
from napari_structsr.zoo.user_models import check_name

if TYPE_CHECKING:
    from napari_structsr.finetuning.split import Split


class TrainPanel(ViewerWidget):
    """Trains a model."""

    started = Signal()
    """A fine-tuning has begun, or goes on."""
    finished = Signal(object, object)
    """`RunSummary` folder as a path, and the `Verdict`."""
    decided = Signal(object)
    """A finished `RunSummary` of an earlier session that is to be decided about."""
    parent_changed = Signal(object)
    """The `Parent` that is chosen."""

    def __init__(self) -> None:
        super().__init__()
        self._entries: Sequence[PairEntry] = ()
        self._split: Split | None = None
        self._split_obstacle: str | None = None
        self._preparing = False
        self._named = False  # whether the user has given a name
        self._parents = list_trainable_models()
        self._parent: Parent | None = None  # as it was told last
        self._hidden: set[Path] = set()  # finished, and shown in the third step
        self.run: FineTuningRun | None = None

        self.form = TrainForm()
        self.start_button = QPushButton("Start")
        self.pause_button = QPushButton("Pause")
        self.cancel_button = QPushButton("Cancel")
        self.save_button = QPushButton("Save as config…")
        self.reason = sentence()
        self.runs = RunList()
        self.progress = ProgressView()
        buttons = row(self.start_button, self.pause_button, self.cancel_button)
        stack(
            self,
            *(self.form, buttons, self.reason, self.save_button),
            *(self.runs, self.progress),
            margins=(4, 0, 4, 4),
        )
        self.form.changed.connect(self.refresh)
        self.form.named.connect(self._keep_name)
        self.start_button.clicked.connect(self.start)
        self.pause_button.clicked.connect(self._toggle_pause)
        self.cancel_button.clicked.connect(self.cancel)
        self.save_button.clicked.connect(self._ask_for_config)
        self.runs.resumed.connect(self._resume)
        self.runs.removed.connect(self._ask_remove)
        self.follow((models_offered.changed, self._refresh_parents))
        self.form.show_choice(TrainChoice())
        self._suggest_name()
        self.refresh()

    def release(self) -> None:
        """Stop, since nobody could pause or cancel any more; it can go on later."""
        super().release()
        if self.is_running and self.run is not None:
            self.run.job.cancel()

    @property
    def is_running(self) -> bool:
        """Whether a fine-tuning has not ended."""
        return self.run is not None and not self.run.job.has_ended

    def use_pairs(
        self,
        entries: Sequence[PairEntry],
        split: Split | None,
        *,
        obstacle: str | None,
        preparing: bool,
    ) -> None:
        """Take the pairs that were not refused, and their split.

        `obstacle` says why the split cannot be used; while `preparing`, pairs or split
        are still being made.
        """
        self._entries, self._split = list(entries), split
        self._split_obstacle, self._preparing = obstacle, preparing
        self.refresh()

    def state(self) -> TrainState:
        """Return what there is to show."""
        choice = self.form.choice()
        factor = next((one.pair.factor for one in self._entries if one.pair), None)
        name_obstacle = None
        if choice.name:  # a name that lacks is said after what matters more
            try:
                check_name(choice.name, factor or 2)
            except StructsrError as error:
                name_obstacle = str(error)
        return resolve_training(
            choice,
            parents=self._parents,
            pairs=len(self._entries),
            factor=factor,
            split_obstacle=self._split_obstacle
            or (None if self._split or not self._entries else "There is no split yet."),
            name_obstacle=name_obstacle,
            unfinished=[
                run.name for run in list_fine_tunings() if run.factor == factor
            ],
            preparing=self._preparing,
            running=self.is_running,
            paused=self.run is not None and self.run.is_paused,
        )

    def refresh(self) -> None:
        """Write the state into the widgets."""
        state = self.state()
        self.form.show_state(state, locked=self.is_running)
        parent = self.form.parent_choice
        enable(self.start_button, state.start, "Train the new model.")
        # that it runs is seen
        show_reasons(self.reason, None if self.is_running else state.start)
        self.pause_button.setText("Pause" if state.pauses else "Resume")
        purpose = "Hold on; the clock stands still." if state.pauses else "Go on."
        enable(self.pause_button, state.pause, purpose)
        enable(
            self.cancel_button,
            state.cancel,
            "Stop. What was reached is kept and can go on later; the parent stays as "
            "it is.",
        )
        enable(
            self.save_button,
            state.save,
            "Write a file that “structsr finetune” takes, on a cluster for example.",
        )
        # the running one has the buttons above, and its folder is locked
        hidden = set(self._hidden)
        if self.run is not None and self.is_running:
            hidden.add(self.run.folder)
        listed = [run for run in list_fine_tunings() if run.folder not in hidden]
        self.runs.show_runs(listed, busy=self.is_running)
        # which model is chosen may follow from the pairs, without any click
        if parent != self._parent:
            self._parent = parent
            self._suggest_name()
            self.parent_changed.emit(parent)

    def start(self) -> None:
        """Begin a fine-tuning, if that is possible."""
        parent = self.form.parent_choice
        if self.state().start is not None or self._split is None or parent is None:
            return
        device = read_preferences().device
        config = make_config(self.form.choice(), parent, device=device)
        pairs = [entry.pair for entry in self._entries if entry.pair is not None]
        self._follow(make_run(config, pairs, self._split))

    def cancel(self) -> None:
        """Stop; what was reached is kept."""
        if self.run is not None and self.is_running:
            # the worker looks at the wish to stop once a step
            self.progress.show_message("Stopping after this step…")
            self.run.job.cancel()
            self.cancel_button.setEnabled(False)

    def forget(self, folder: Path) -> None:
        """Let a finished fine-tuning be listed again, or no longer hide it."""
        self._hidden.discard(folder)
        self.refresh()

    def _follow(self, run: FineTuningRun) -> None:
        self.run = run
        self._hidden.discard(run.folder)
        self.progress.follow(run)
        run.paused.connect(self.refresh)
        run.job.finished.connect(self._finish)
        # what is kept has taken the name that was suggested
        run.job.ended.connect(self._refresh_parents)
        run.job.start()
        self.started.emit()
        self.refresh()

    def _toggle_pause(self) -> None:
        if self.run is not None:
            self.run.set_paused(not self.run.is_paused)

    def _resume(self, run: RunSummary) -> None:
        if run.state == "finished":
            self._hidden.add(run.folder)
            self.refresh()
            self.decided.emit(run)
        elif not self.is_running:
            self._follow(make_resumed_run(run))

    def _ask_remove(self, run: RunSummary) -> None:
        answer = QMessageBox.question(
            self,
            "Remove fine-tuning",
            f"Remove the fine-tuning {run.name} with its {run.step} steps? The parent "
            "and your models stay.",
        )
        if answer == QMessageBox.StandardButton.Yes:
            self.remove(run)

    def remove(self, run: RunSummary) -> None:
        """Remove a fine-tuning from the disk."""
        try:
            remove_run(run.folder)
        except StructsrError as error:
            self.progress.show_message(str(error))
        self.refresh()

    def _ask_for_config(self) -> None:
        name = f"{self.form.choice().name or 'fine-tuning'}.json"
        path, _ = QFileDialog.getSaveFileName(
            self, "Save as config", name, "JSON (*.json)"
        )
        if path:
            self.save_config(Path(path).with_suffix(".json"))

    def save_config(self, path: Path) -> None:
        """Write the fine-tuning as a file, in the background."""
        parent = self.form.parent_choice
        if parent is None:
            return
        # another machine has other devices; and pairs may change while it is written
        config = make_config(self.form.choice(), parent, device="auto")
        entries, split = list(self._entries), self._split
        job = make_job(
            f"Saving {path.name}",
            lambda: save_fine_tuning(path, config, entries, split),
        )
        text = f"Saved. Run it by: structsr finetune {path}"
        job.finished.connect(lambda event: show_info(text))
        job.start()

    def _finish(self, event: Finished) -> None:
        # the third step shows it: it need not be listed a second time
        if self.run is not None:
            self._hidden.add(self.run.folder)
            self.finished.emit(self.run.folder, event.record)

    def _keep_name(self) -> None:
        self._named = True

    def _suggest_name(self) -> None:
        if self._named:  # a name that the user has typed stays
            return
        parent = self.form.parent_choice
        base = "faithful" if parent is None else parent.name.removeprefix("my-")
        taken = {run.name for run in list_fine_tunings()}
        taken |= {one.name for one in self._parents}
        self.form.name.setText(suggest_model_name(base, taken))

    def _refresh_parents(self) -> None:
        self._parents = list_trainable_models()
        self._suggest_name()
        self.refresh()
