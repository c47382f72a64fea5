"""Runs of the dock that the workers of a dask cluster do: one worker, a thread here."""

from __future__ import annotations

import json
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path

import napari_builtins
import pytest
import tifffile
from distributed import LocalCluster
from napari.layers._source import layer_source
from qtpy.QtGui import QGuiApplication
from scenes import choose, find_port, noise, read_tree
from typer.testing import CliRunner

import napari_structsr as sr
from napari_structsr.cli import app
from napari_structsr.gui.upscale.dock import UpscaleDock
from napari_structsr.gui.viewer import cluster_run
from napari_structsr.gui.viewer.cluster_run import Connected

TIMEOUT = 60_000

pytestmark = pytest.mark.usefixtures("own_machine")


@pytest.fixture(autouse=True)
def _builtins(plugin) -> Iterator[None]:
    """Let napari's own reader open files too."""
    manifest = Path(napari_builtins.__file__).with_name("builtins.yaml")
    with plugin.tmp_plugin(manifest=str(manifest)):
        yield


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "cells.tif"
    metadata = {"axes": "ZYX", "spacing": 0.4, "unit": "um"}
    tifffile.imwrite(
        path,
        noise((3, 60, 70)),
        imagej=True,
        resolution=(10, 10),
        metadata=metadata,
    )
    return path


def say(dock, address: str) -> None:
    dock.form.cluster.setText(address)
    dock.form.cluster.editingFinished.emit()


def write_to(dock, folder: Path) -> None:
    choose(dock.form.output, "zarr")
    dock.form.folder.value = folder


def run(dock, qtbot):
    assert dock.run_button.isEnabled(), dock.run_button.toolTip()
    dock.run_button.click()
    qtbot.waitUntil(
        lambda: bool(dock.jobs.rows) and not dock.jobs.is_busy, timeout=TIMEOUT
    )
    return dock.jobs.rows[0]


def list_stores(folder: Path) -> list[Path]:
    # the estimate may look at a lock at the moment it goes, and leave a hidden one
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def drop_record(tree: dict[str, bytes]) -> dict[str, object]:
    """Leave out where the pixels came from: of a path, or of a layer."""
    root = json.loads(tree["zarr.json"])
    del root["attributes"]["structsr"]
    return {**tree, "zarr.json": root}


def test_workers_write_the_bytes_of_the_file_run_by_itself(
    viewer, dock, qtbot, cluster, image, results, tmp_path
):
    viewer.open(str(image), plugin="napari-structsr")
    write_to(dock, results)
    say(dock, cluster.scheduler_address)

    row = run(dock, qtbot)

    assert (row.text, row.bar.value()) == ("done", 3), row.details.text()
    [store] = list_stores(results)
    plain = sr.upscale(image, tmp_path / "plain.ome.zarr", model="bicubic", factor=2)
    assert read_tree(store) == read_tree(plain)
    assert viewer.layers[1].data.shape == (3, 120, 140)


@pytest.mark.parametrize("reader", ["napari-structsr", "napari"])
def test_what_the_viewer_changes_is_in_the_result_as_without_a_cluster(
    viewer, dock, qtbot, cluster, image, results, tmp_path, reader
):
    [layer] = viewer.open(str(image), plugin=reader)
    layer.name, layer.colormap, layer.contrast_limits = "mine", "green", (5, 900)
    write_to(dock, results)
    dock.form.part.planes.setText("1:3")
    dock.form.part.planes.editingFinished.emit()
    stores = []
    for address in ("", cluster.scheduler_address):
        say(dock, address)
        viewer.layers.selection = {layer}
        assert run(dock, qtbot).text == "done"
        [store] = list_stores(results)
        stores.append(store.rename(tmp_path / f"result {len(stores)}"))

    plain, spread = map(read_tree, stores)
    assert drop_record(spread) == drop_record(plain)
    assert b"00FF00" in plain["zarr.json"]


def test_the_dashboard_can_be_opened_while_the_run_goes_on(
    viewer, dock, qtbot, cluster, image, results
):
    viewer.open(str(image), plugin="napari-structsr")
    write_to(dock, results)
    say(dock, cluster.scheduler_address)
    seen = []

    def look(event) -> None:
        if isinstance(event, Connected):
            link = dock.jobs.rows[0].link
            seen.append((link.isHidden(), link.toolTip(), link.openExternalLinks()))

    dock.run_button.click()
    dock.jobs.rows[0].job.said.connect(look)
    qtbot.waitUntil(lambda: not dock.jobs.is_busy, timeout=TIMEOUT)

    assert seen == [(False, cluster.dashboard_link, True)]
    assert dock.jobs.rows[0].link.isHidden()
    say(dock, "")
    assert run(dock, qtbot).link.text() == ""


def test_results_in_memory_are_refused_with_what_to_do(
    viewer, dock, qtbot, cluster, image, results
):
    viewer.open(str(image), plugin="napari-structsr")
    say(dock, cluster.scheduler_address)
    assert not dock.run_button.isEnabled()
    text = dock.reason.text()
    assert "cannot write into the memory of this computer" in text
    assert "choose Output: OME-Zarr folder, or leave Cluster empty" in text
    # nobody looks from far away
    assert dock.preview_button.isEnabled()

    say(dock, "")
    assert dock.run_button.isEnabled()
    say(dock, cluster.scheduler_address)
    write_to(dock, results)
    assert run(dock, qtbot).text == "done"


def test_a_cluster_is_asked_for_where_results_are_files(
    viewer, dock, qtbot, image, results
):
    def wait_until_shown(shown):
        qtbot.waitUntil(lambda: dock.form.cluster.isVisibleTo(dock) == shown)

    viewer.open(str(image), plugin="napari-structsr")
    wait_until_shown(False)
    write_to(dock, results)
    wait_until_shown(True)
    say(dock, "tcp://10.0.0.5:8786")
    # what is wrong can be mended
    choose(dock.form.output, "memory")
    qtbot.waitUntil(lambda: not dock.form.folder.native.isVisibleTo(dock))
    wait_until_shown(True)
    say(dock, "")
    wait_until_shown(False)


def test_a_layer_without_a_file_is_refused_with_what_to_do(
    viewer, dock, qtbot, cluster, results, tmp_path
):
    layer = viewer.add_image(noise((60, 70)), name="mine")
    write_to(dock, results)
    say(dock, cluster.scheduler_address)
    for button in (dock.run_button, dock.copy_button):
        assert not button.isEnabled()
        assert "mine is in the memory of this computer" in button.toolTip()
        assert "save it as OME-Zarr and open that" in button.toolTip()

    viewer.layers.selection = {layer}
    [saved] = viewer.layers.save(str(tmp_path / "mine.ome.zarr"), selected=True)
    viewer.layers.clear()
    viewer.open(saved, plugin="napari-structsr")
    assert run(dock, qtbot).text == "done"


def test_a_layer_that_shows_other_pixels_than_its_file_is_not_sent(
    viewer, dock, qtbot, cluster, image, results
):
    with layer_source(path=str(image)):
        viewer.add_image(tifffile.imread(image) // 2, name="worked on")
    write_to(dock, results)
    say(dock, cluster.scheduler_address)
    row = run(dock, qtbot)
    assert row.text == "failed"
    assert "worked on is not what cells.tif holds" in row.details.text()
    assert not list_stores(results)


def test_an_address_where_nobody_answers_is_told_and_nothing_is_written(
    viewer, dock, qtbot, image, results, own_ports, monkeypatch
):
    monkeypatch.setattr(cluster_run, "_PATIENCE", 1.0)
    viewer.open(str(image), plugin="napari-structsr")
    write_to(dock, results)
    address = f"tcp://127.0.0.1:{find_port(own_ports)}"
    say(dock, address)
    row = run(dock, qtbot)
    assert row.text == "failed"
    assert f"no scheduler answers at {address}" in row.details.text()
    assert not list_stores(results)


def test_waiting_for_an_answer_can_be_cancelled(
    viewer, dock, qtbot, image, results, own_ports
):
    viewer.open(str(image), plugin="napari-structsr")
    write_to(dock, results)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        own_ports.add(port)
        say(dock, f"tcp://127.0.0.1:{port}")
        dock.run_button.click()
        assert dock.jobs.is_busy
        with silent.accept()[0]:
            dock.cancel_button.click()
            qtbot.waitUntil(lambda: not dock.jobs.is_busy, timeout=TIMEOUT)
    assert dock.jobs.rows[0].text == "cancelled"
    assert not list_stores(results)


def test_a_cancelled_run_goes_on_when_it_is_run_again(
    viewer, dock, qtbot, cluster, tmp_path, results
):
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, noise((40, 30, 40)), photometric="minisblack")
    viewer.open(str(path), plugin="napari-structsr")
    write_to(dock, results)
    say(dock, cluster.scheduler_address)
    dock.run_button.click()
    job = dock.jobs.rows[0].job
    job.progressed.connect(lambda event: event.done >= 1 and job.cancel())
    qtbot.waitUntil(lambda: not dock.jobs.is_busy, timeout=TIMEOUT)
    assert dock.jobs.rows[0].text == "cancelled"
    assert "tiles are kept" in dock.jobs.rows[0].details.text()

    seen = []
    dock.run_button.click()
    dock.jobs.rows[0].job.started.connect(lambda event: seen.append(event.plan.done))
    qtbot.waitUntil(lambda: not dock.jobs.is_busy, timeout=TIMEOUT)
    assert dock.jobs.rows[0].text == "done"
    assert seen[0] > 0
    assert len(list_stores(results)) == 1


def test_a_cluster_without_workers_says_so_and_can_be_left(
    viewer, dock, qtbot, image, results
):
    viewer.open(str(image), plugin="napari-structsr")
    write_to(dock, results)
    with LocalCluster(
        n_workers=0, processes=False, dashboard_address="127.0.0.1:0"
    ) as empty:
        say(dock, empty.scheduler_address)
        dock.run_button.click()
        row = dock.jobs.rows[0]
        qtbot.waitUntil(lambda: "waiting" in row.details.text(), timeout=TIMEOUT)
        assert row.details.text() == "No worker is there yet; waiting for one."
        assert not row.details.isHidden()
        dock.cancel_button.click()
        qtbot.waitUntil(lambda: not dock.jobs.is_busy, timeout=TIMEOUT)
    assert row.text == "cancelled"
    assert row.details.text() == ""
    assert not list_stores(results)


def test_a_folder_goes_to_the_workers_too(
    viewer, dock, qtbot, cluster, tmp_path, results
):
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in "ab":
        tifffile.imwrite(scans / f"{name}.tif", noise((40, 50 + ord(name) % 7)))
    choose(dock.form.images, "folder")
    dock.form.image_folder.value = scans
    write_to(dock, results)
    say(dock, cluster.scheduler_address)
    row = run(dock, qtbot)
    assert row.details.text() == "2 written."
    plain = sr.upscale(
        scans / "a.tif", tmp_path / "plain.ome.zarr", model="bicubic", factor=2
    )
    assert read_tree(results / "a-x2.ome.zarr") == read_tree(plain)


def test_copied_command_asks_the_same_workers(
    viewer, dock, qtbot, cluster, image, results, tmp_path
):
    viewer.open(str(image), plugin="napari-structsr")
    write_to(dock, results)
    say(dock, cluster.scheduler_address)
    dock.copy_button.click()
    words = shlex.split(QGuiApplication.clipboard().text())
    assert words[words.index("--scheduler") + 1] == cluster.scheduler_address
    done = CliRunner().invoke(app, words[1:])
    assert done.exit_code == 0, done.output
    [store] = list_stores(results)
    command = store.rename(tmp_path / "by_command")
    run(dock, qtbot)
    assert read_tree(store) == read_tree(command)


def test_the_address_is_remembered_and_a_missing_extra_is_told(
    viewer, dock, qtbot, cluster, image, results, monkeypatch
):
    viewer.open(str(image), plugin="napari-structsr")
    write_to(dock, results)
    say(dock, cluster.scheduler_address)
    run(dock, qtbot)
    name = "napari_structsr.gui.upscale.dock.find_spec"
    monkeypatch.setattr(name, lambda _: None)
    again = UpscaleDock(viewer)
    viewer.window.add_dock_widget(again)
    assert again.form.cluster.text() == cluster.scheduler_address
    assert not again.run_button.isEnabled()
    assert "pip install 'napari-structsr[cluster]'" in again.run_button.toolTip()
    say(again, "")
    assert again.run_button.isEnabled()


def test_the_estimate_says_nothing_of_this_computer(
    viewer, dock, qtbot, cluster, image, results
):
    viewer.open(str(image), plugin="napari-structsr")
    write_to(dock, results)
    say(dock, cluster.scheduler_address)
    dock.estimate.estimate()
    qtbot.waitUntil(lambda: "tile" in dock.estimate.text(), timeout=TIMEOUT)
    assert dock.estimate.text().endswith("of output, by the workers of a cluster")
    assert "cpu" not in dock.estimate.text()
