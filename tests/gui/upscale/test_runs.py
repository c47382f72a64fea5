"""Before, during and after a run: time, progress, what can be done with the result."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from napari.settings import get_plugin_settings
from qtpy.QtGui import QDesktopServices
from scenes import beads, choose, noise

from napari_structsr.engine.events import Finished, Progressed
from napari_structsr.gui.settings import keep, read_kept
from napari_structsr.gui.upscale.dock import UpscaleDock
from napari_structsr.gui.upscale.running.history import note_run, read_runs
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.widgets.progress_row import ProgressRow
from napari_structsr.gui.widgets.time_left import TimeLeft, describe_seconds

TIMEOUT = 60_000


def run(dock, qtbot) -> None:
    dock.run_button.click()
    qtbot.waitUntil(
        lambda: bool(dock.jobs.rows) and not dock.jobs.is_busy, timeout=TIMEOUT
    )


def buttons(row) -> dict:
    found = [row._actions.itemAt(n).widget() for n in range(row._actions.count())]
    return {button.text(): button for button in found}


def write_to(dock, folder: Path) -> None:
    choose(dock.form.output, "zarr")
    dock.form.folder.value = folder


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """Return the folders that the file manager was asked to show."""
    shown: list[str] = []

    def show(url) -> bool:
        shown.append(url.toLocalFile())
        return True

    monkeypatch.setattr(QDesktopServices, "openUrl", show)
    return shown


def test_time_is_said_before_a_run_and_grows_with_the_image(
    viewer, dock, qtbot, monkeypatch
):
    # a tile takes three hundredths of a second, whatever else the machine does
    ticks = iter(np.arange(0, 100, 0.03))
    name = "napari_structsr.gui.upscale.running.tile_timing.perf_counter"
    monkeypatch.setattr(name, lambda: float(next(ticks)))
    said = []
    for planes in (40, 400):
        viewer.add_image(np.zeros((planes, 64, 64), np.uint16), name="cells")
        dock.estimate.estimate()
        qtbot.waitUntil(lambda: "about" in dock.estimate.text()[-16:], timeout=TIMEOUT)
        said.append(dock.estimate.text())
    # the number format is that of the machine
    assert re.search(r"cpu in b?float\d\d, about 1 s$", said[0])
    assert re.search(r"cpu in b?float\d\d, about 12 s$", said[1])


def test_what_a_cancelled_run_has_left_is_said_by_the_estimate(
    viewer, dock, qtbot, tmp_path
):
    viewer.add_image(noise((60, 64, 80)), name="cells")
    write_to(dock, tmp_path)
    dock.run_button.click()
    job = dock.jobs.rows[0].job
    job.progressed.connect(lambda event: event.done >= 2 and job.cancel())
    qtbot.waitUntil(lambda: not dock.jobs.is_busy, timeout=TIMEOUT)
    row = dock.jobs.rows[0]
    assert row.text == "cancelled"
    assert "tiles are kept; the same run goes on from there" in row.details.text()
    assert not row.details.isHidden()

    qtbot.waitUntil(lambda: "finished before" in dock.estimate.text(), timeout=TIMEOUT)
    assert dock.estimate.text().startswith("60 tiles (")


def test_time_left_follows_the_steps_that_were_taken():
    now = [0.0]
    left = TimeLeft(lambda: now[0])
    assert left.describe(Progressed(40, 100)) == ""  # of an earlier run
    now[0] = 0.5
    assert left.describe(Progressed(41, 100)) == ""  # too early to say
    now[0] = 10.0
    assert left.describe(Progressed(50, 100)) == "50 s left"
    now[0] = 11.0
    assert left.describe(Progressed(1, 9, "building the pyramid")) == ""
    now[0] = 13.0
    assert left.describe(Progressed(5, 9, "building the pyramid")) == "2 s left"
    assert left.describe(Progressed(9, 9, "building the pyramid")) == ""
    words = [describe_seconds(n) for n in (0.2, 8, 59.6, 150, 7800)]
    assert words == ["under 1 s", "8 s", "1 min", "2 min", "2 h 10 min"]


def test_progress_counts_tiles_inside_a_plane(viewer, dock, qtbot):
    viewer.add_image(noise((1500, 1500)), name="cells")
    seen = []
    dock.run_button.click()
    job = dock.jobs.rows[0].job
    job.started.connect(lambda event: seen.append((0, event.total)))
    job.progressed.connect(lambda event: seen.append((event.done, event.total)))
    qtbot.waitUntil(lambda: not dock.jobs.is_busy, timeout=TIMEOUT)

    # blocks, and so tiles, are smaller where the machine computes in half precision
    (total,) = {total for _, total in seen}
    assert total in (4, 9)
    # the activity dock lets Qt run, so that a later step may be told before another
    assert {(0, total), (total, total)} < set(seen)
    assert any(0 < done < total for done, _ in seen)


def test_activity_dock_follows_a_run_to_its_end(viewer, dock, qtbot):
    from napari.utils.progress import progress

    # so many that the run outlasts the making of the bar
    viewer.add_image(noise((300, 64, 80)), name="cells")
    seen = []
    dock.run_button.click()
    job = dock.jobs.rows[0].job
    job.progressed.connect(
        lambda _: seen.extend((bar.desc, bar.n) for bar in progress._all_instances)
    )
    qtbot.waitUntil(lambda: not dock.jobs.is_busy, timeout=TIMEOUT)

    assert ("Upscaling cells", 300) in seen
    assert not progress._all_instances


def test_row_that_has_ended_stays_full(qtbot):
    def events(cancel):
        yield Progressed(4, 5)
        yield Finished(None)

    job = Job("upscaling", events)
    # as the activity dock of napari does: the end comes amid the report
    job.progressed.connect(lambda event: qtbot.waitUntil(lambda: job.has_ended))
    row = ProgressRow(job, "cells", resumable=False)
    qtbot.addWidget(row)
    with qtbot.waitSignal(job.ended):
        job.start()
    qtbot.wait(50)
    assert row.text == "done"
    assert row.bar.value() == row.bar.maximum()


def test_run_is_not_said_to_stand_in_its_own_way(viewer, dock, qtbot, tmp_path):
    viewer.add_image(noise((60, 64, 80)), name="cells")
    write_to(dock, tmp_path)
    said = []
    dock.run_button.click()
    job = dock.jobs.rows[0].job

    def look_closer(event) -> None:
        dock.estimate.clear()
        dock.form.changed.emit()  # as any change of the selection does
        said.append(dock.estimate.text())
        job.cancel()

    job.progressed.connect(look_closer)
    qtbot.waitUntil(lambda: not dock.jobs.is_busy, timeout=TIMEOUT)
    assert said[0] == "2.46 MB of output"


def test_finished_run_opens_its_folder(viewer, dock, qtbot, tmp_path, opened):
    viewer.add_image(beads((40, 50), (20, 30)), name="cells")
    run(dock, qtbot)
    assert "Open folder" not in buttons(dock.jobs.rows[0])

    write_to(dock, tmp_path)
    run(dock, qtbot)
    buttons(dock.jobs.rows[0])["Open folder"].click()
    assert opened == [str(tmp_path)]


def test_finished_run_is_compared_with_its_source(viewer, dock, qtbot):
    from napari_structsr.gui.inspect.dock import ErrorDock

    source = viewer.add_image(beads((40, 50), (20, 30)), name="cells")
    viewer.add_image(np.zeros((40, 50)), name="other")
    viewer.layers.selection = {source}
    run(dock, qtbot)

    buttons(dock.jobs.rows[0])["Compare with source"].click()

    def find() -> list[ErrorDock]:
        docks = viewer.window.dock_widgets.values()
        return [one for one in docks if isinstance(one, ErrorDock)]

    qtbot.waitUntil(lambda: bool(find()), timeout=TIMEOUT)
    [found] = find()
    assert [one.name for one in found.compare.layers] == ["cells", "cells ×2 bicubic"]
    assert found.compare.comparison is not None
    found.compare.end()


def test_history_says_what_was_run_and_where(
    viewer, dock, qtbot, tmp_path, opened, monkeypatch
):
    viewer.add_image(beads((40, 50), (20, 30)), name="cells")
    assert dock.history.list.isHidden()
    run(dock, qtbot)
    results = tmp_path / "results"
    results.mkdir()
    write_to(dock, results)
    run(dock, qtbot)

    dock.history.heading.click()
    lines = [dock.history.list.item(n).text() for n in range(2)]
    assert lines[0].startswith("cells ×2 bicubic\nfinished ")
    assert lines[0].endswith("cells_x2_bicubic.ome.zarr")
    assert lines[1].endswith("in memory")
    dock.history.list.itemActivated.emit(dock.history.list.item(0))
    assert opened == [str(results)]


def test_history_is_bounded_plain_and_forgiving(plugin):
    for number in range(60):
        note_run(f"image {number}", "×2 faithful", "", "finished", 1.0)
    assert len(read_runs()) == 50
    assert read_runs()[0].image == "image 59"
    path = Path(get_plugin_settings("napari-structsr").config_path)
    text = path.with_name("napari-structsr-docks.json").read_text(encoding="utf-8")
    assert json.loads(text)["upscale runs"][0]["image"] == "image 59"

    keep("upscale runs", [{"image": 3}, "x", None])
    assert read_runs() == []
    path.with_name("napari-structsr-docks.json").write_text("{", encoding="utf-8")
    assert read_kept("upscale runs") is None


def test_dock_opens_as_it_was_last_run(viewer, dock, qtbot, tmp_path):
    viewer.add_image(beads((40, 50), (20, 30)), name="cells")
    choose(dock.form.factor, 4)
    choose(dock.form.agreement, "exact")
    write_to(dock, tmp_path)
    run(dock, qtbot)

    def begin() -> UpscaleDock:
        again = UpscaleDock(viewer)
        viewer.window.add_dock_widget(again)
        return again

    choice = begin().form.choice()
    found = choice.model, choice.factor, choice.agreement, choice.folder
    assert found == ("bicubic", 4, "exact", tmp_path)
    assert not choice.optics.undo

    # what is said in the preferences after that holds
    get_plugin_settings("napari-structsr").upscale.model = "bilinear"
    choice = begin().form.choice()
    assert (choice.model, choice.factor, choice.folder) == ("bilinear", 2, None)


def test_edited_memory_is_no_reason_to_fail(plugin, viewer):
    from napari_structsr.gui.settings import read_preferences

    wrong = {"model": 3, "factor": 9, "agreement": "x", "sharpness": "y", "folder": "/"}
    kept = {"choice": wrong | {"folder": "/nowhere"}}
    keep("upscale dock", kept | {"preferences": vars(read_preferences())})
    dock = UpscaleDock(viewer)
    viewer.window.add_dock_widget(dock)
    choice = dock.form.choice()
    assert (choice.model, choice.factor, choice.folder) == ("faithful", 2, None)
