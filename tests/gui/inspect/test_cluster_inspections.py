"""Inspections of the dock that the workers of a dask cluster do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from scenes import choose, find_port, noise, read_tree, tick
from skimage import data, transform, util

import napari_structsr as sr
from napari_structsr.gui.inspect.dock import ErrorDock
from napari_structsr.gui.inspect.map_layers import map_of
from napari_structsr.gui.viewer import cluster_run
from napari_structsr.gui.viewer.cluster_run import Connected

TIMEOUT = 60_000

pytestmark = pytest.mark.usefixtures("own_machine")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "maps"
    folder.mkdir()
    return folder


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Write two planes of a photograph, with a pixel size."""
    path = tmp_path / "photo.tif"
    plane = util.img_as_uint(transform.resize(data.camera(), (64, 70)))
    metadata = {"axes": "ZYX", "spacing": 0.4, "unit": "um"}
    tifffile.imwrite(
        path,
        np.stack([plane, plane[::-1]]),
        imagej=True,
        resolution=(10, 10),
        metadata=metadata,
    )
    return path


@pytest.fixture
def result(image: Path, tmp_path: Path) -> Path:
    return Path(sr.upscale(image, tmp_path / "photo-x2.ome.zarr", model="bicubic"))


@pytest.fixture
def errors(viewer: Any) -> ErrorDock:
    dock = ErrorDock(viewer)
    viewer.window.add_dock_widget(dock, name="Structure error")
    return dock


def say(dock: ErrorDock, address: str) -> None:
    dock.inspect.form.cluster.setText(address)
    dock.inspect.form.cluster.editingFinished.emit()


def write_to(dock: ErrorDock, folder: Path) -> None:
    choose(dock.inspect.form.output, "folder")
    dock.inspect.form.folder.value = folder


def run(dock: ErrorDock, qtbot: Any) -> Any:
    assert dock.inspect.run_button.isEnabled(), dock.inspect.run_button.toolTip()
    dock.inspect.run_button.click()
    rows = dock.inspect.jobs.rows
    qtbot.waitUntil(
        lambda: bool(rows) and all(row.job.has_ended for row in rows), timeout=TIMEOUT
    )
    return rows[0]


def open_pair(viewer: Any, dock: ErrorDock, image: Path, result: Path) -> None:
    viewer.open(str(image), plugin="napari-structsr")
    viewer.open(str(result), plugin="napari-structsr")
    viewer.layers.selection = set(viewer.layers)
    tick(dock, "residual", "squirrel")


def test_workers_make_the_maps_of_the_command(
    viewer, errors, qtbot, cluster, image, result, results, tmp_path
):
    open_pair(viewer, errors, image, result)
    write_to(errors, results)
    say(errors, cluster.scheduler_address)
    seen = []

    errors.inspect.run_button.click()
    [row] = errors.inspect.jobs.rows
    row.job.said.connect(
        lambda event: isinstance(event, Connected) and seen.append(row.link.toolTip())
    )
    qtbot.waitUntil(lambda: row.job.has_ended, timeout=TIMEOUT)

    assert row.text == "done", row.details.text()
    assert seen == [cluster.dashboard_link]
    sr.inspect(
        result,
        source=image,
        maps=("residual", "squirrel"),
        out=tmp_path / "plain",
        progress=False,
    )
    [folder] = results.iterdir()
    made, plain = read_tree(folder), read_tree(tmp_path / "plain")
    assert "scores.csv" in made
    assert made == plain
    assert "residual" in {map_of(layer) for layer in viewer.layers}


def test_a_result_of_the_viewer_is_inspected_by_the_same_workers(
    viewer, dock, errors, qtbot, cluster, image, results, tmp_path
):
    viewer.open(str(image), plugin="napari-structsr")
    choose(dock.form.output, "zarr")
    dock.form.folder.value = tmp_path
    dock.form.cluster.setText(cluster.scheduler_address)
    dock.form.cluster.editingFinished.emit()
    dock.run_button.click()
    qtbot.waitUntil(
        lambda: bool(dock.jobs.rows) and not dock.jobs.is_busy, timeout=TIMEOUT
    )
    assert len(viewer.layers) == 2, dock.jobs.rows[0].details.text()

    viewer.layers.selection = set(viewer.layers)
    tick(errors, "residual")
    write_to(errors, results)
    say(errors, cluster.scheduler_address)
    row = run(errors, qtbot)
    assert row.text == "done", row.details.text()
    assert (next(results.iterdir()) / "inspection.json").is_file()


def test_layers_that_were_moved_are_compared_as_they_lie(
    viewer, errors, qtbot, cluster, image, result, results, tmp_path
):
    """Give both images another pixel size, and the reference another place."""
    viewer.open(str(result), plugin="napari-structsr")
    viewer.open(str(result), plugin="napari-structsr")
    one, other = viewer.layers
    one.name, other.name = "result", "truth"
    for layer in (one, other):
        layer.scale = (0.4, 0.2, 0.2)
    other.translate = (0, 0.8, -0.4)
    form = errors.inspect.form
    form.result.setCurrentText("result")
    form.reference.setCurrentText("truth")
    tick(errors, "error")
    write_to(errors, results)
    tables = []
    for address in ("", cluster.scheduler_address):
        say(errors, address)
        row = run(errors, qtbot)
        assert row.text == "done", row.details.text()
        [folder] = results.iterdir()
        tables.append((folder / "scores.csv").read_bytes())
        folder.rename(tmp_path / f"maps {len(tables)}")
    assert tables[0] == tables[1]


def test_maps_in_memory_are_refused_with_what_to_do(
    viewer, errors, qtbot, cluster, image, result, results
):
    open_pair(viewer, errors, image, result)
    say(errors, cluster.scheduler_address)
    assert not errors.inspect.run_button.isEnabled()
    assert errors.inspect.form.cluster.isVisibleTo(errors)
    text = errors.inspect.reason.text()
    assert "choose Output: Folder, or leave Cluster empty" in text

    write_to(errors, results)
    assert run(errors, qtbot).text == "done"
    choose(errors.inspect.form.output, "memory")
    say(errors, "")
    assert errors.inspect.run_button.isEnabled()
    assert not errors.inspect.form.cluster.isVisibleTo(errors)


def test_a_layer_without_a_file_is_refused_with_what_to_do(
    viewer, errors, qtbot, cluster, image, results
):
    viewer.open(str(image), plugin="napari-structsr")
    layer = viewer.add_image(noise((2, 128, 140)), name="mine")
    viewer.layers.selection = set(viewer.layers)
    tick(errors, "residual")
    write_to(errors, results)
    say(errors, cluster.scheduler_address)
    text = errors.inspect.run_button.toolTip()
    assert f"{layer.name} is in the memory of this computer" in text
    assert "leave Cluster empty" in text
    say(errors, "")
    assert errors.inspect.run_button.isEnabled()


def test_an_address_where_nobody_answers_is_told_and_nothing_is_written(
    viewer, errors, qtbot, image, result, results, own_ports, monkeypatch
):
    monkeypatch.setattr(cluster_run, "_PATIENCE", 1.0)
    open_pair(viewer, errors, image, result)
    write_to(errors, results)
    address = f"tcp://127.0.0.1:{find_port(own_ports)}"
    say(errors, address)
    row = run(errors, qtbot)
    assert row.text == "failed"
    assert f"no scheduler answers at {address}" in row.details.text()
    assert not list(results.iterdir())
