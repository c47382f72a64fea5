"""What napari offers in its menus, through napari's own machinery."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import ome_zarr.io
import ome_zarr.reader
import pytest
import yaozarrs
from napari._app_model import get_app_model
from npe2 import PluginManifest
from scenes import beads, centroid, pair, show

import napari_structsr
from napari_structsr.gui.docks import OpeningDock
from napari_structsr.gui.inspect.dock import ErrorDock
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.viewer.layers import layer_obstacle

TIMEOUT = 60_000
TURN = np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])


def one_click(factor: int, qtbot) -> None:
    get_app_model().commands.execute_command(f"napari-structsr.upscale_x{factor}")
    qtbot.waitUntil(lambda: not Job._alive, timeout=TIMEOUT)


def open_sample(viewer, key: str, qtbot) -> None:
    """Open a sample; its pixels are made in the background."""
    layers = viewer.open_sample("napari-structsr", key)
    assert "still being made" in str(layer_obstacle(layers[0]))
    qtbot.waitUntil(lambda: not Job._alive, timeout=TIMEOUT)
    assert layer_obstacle(layers[0]) is None
    assert all(np.ptp(layer.data) > 100 for layer in layers)


@pytest.fixture
def bicubic(plugin):
    """Make the quickest model the user's default."""
    from napari.settings import get_plugin_settings

    get_plugin_settings("napari-structsr").upscale.model = "bicubic"


def test_manifest_names_what_exists():
    path = Path(napari_structsr.__file__).with_name("napari.yaml")
    manifest = PluginManifest.from_file(path)
    manifest.validate_imports()
    for command in manifest.contributions.commands:
        assert callable(command.python_name and command.exec)


def test_menu_layers_filter_holds_both_commands(viewer):
    menu = get_app_model().menus.get_menu("napari/layers/filter")
    ids = [item.command.id for item in menu if hasattr(item, "command")]
    assert {"napari-structsr.upscale_x2", "napari-structsr.upscale_x4"} <= set(ids)


def test_one_click_on_the_sample(viewer, qtbot, notifications):
    """With the user's default, the model that ships."""
    open_sample(viewer, "cells", qtbot)
    source = viewer.layers[0]

    one_click(2, qtbot)

    assert notifications() == []
    assert len(viewer.layers) == 2
    result = viewer.layers[1]
    assert result.name == f"{source.name} ×2 faithful"
    assert result.data.shape == (5, 512, 512)
    assert result.units == source.units
    # both cover the same part of the world, edge to edge
    np.testing.assert_allclose(
        result.extent.world + np.outer((-1, 1), (0, 0.0325, 0.0275)),
        source.extent.world + np.outer((-1, 1), (0, 0.065, 0.055)),
        atol=1e-9,
    )


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("turn", [np.eye(3), TURN], ids=["straight", "turned"])
def test_bead_stays_where_it_is(viewer, bicubic, qtbot, factor, turn):
    source = viewer.add_image(
        beads((3, 40, 50), (1, 17, 28)),
        name="beads",
        scale=(0.5, 0.13, 0.11),
        translate=(3, -7, 11),
        rotate=turn,
    )

    one_click(factor, qtbot)

    result = viewer.layers[1]
    found = result.data_to_world((1, *centroid(np.asarray(result.data)[1])))
    expected = source.data_to_world((1, *centroid(source.data[1])))
    difference = turn.T @ (np.array(found) - np.array(expected))
    assert np.abs(difference / source.scale).max() < 0.01  # pixels


def test_several_layers_at_once(viewer, bicubic, qtbot, notifications):
    for name in ("one", "two"):
        viewer.add_image(beads((40, 50), (20, 30)), name=name)
    viewer.add_labels(np.zeros((40, 50), int), name="mask")
    viewer.layers.selection = set(viewer.layers)

    one_click(2, qtbot)
    one_click(2, qtbot)

    names = [layer.name for layer in viewer.layers]
    assert names.count("one ×2 bicubic") == names.count("two ×2 bicubic (2)") == 1
    assert len(names) == 7
    assert names.index("one ×2 bicubic") < names.index("two")
    assert all(text.startswith("mask: ") for text in notifications())


def test_nothing_selected_is_said(viewer, bicubic, qtbot, notifications):
    one_click(2, qtbot)

    assert notifications() == ["Select one or more image layers, then upscale them."]


def test_colour_sample(viewer, bicubic, qtbot):
    open_sample(viewer, "tissue", qtbot)

    one_click(2, qtbot)

    assert viewer.layers[0].rgb
    assert viewer.layers[1].rgb
    assert viewer.layers[1].data.shape == (512, 512, 3)


def test_progress_is_shown_in_the_activity_dock(viewer, bicubic, qtbot):
    from napari.utils import progress

    viewer.add_image(beads((30, 40, 50), (1, 20, 30)), name="cells")
    get_app_model().commands.execute_command("napari-structsr.upscale_x2")

    shown = []
    progress._all_instances.events.changed.connect(
        lambda event: shown.extend(bar.desc for bar in event.added)
    )
    qtbot.waitUntil(lambda: not Job._alive, timeout=TIMEOUT)

    assert "Upscaling cells" in "".join(shown)
    assert not any("Upscaling" in bar.desc for bar in progress._all_instances)


def test_no_progress_bar_outlives_a_job_that_ends_while_it_is_made(
    viewer, bicubic, qtbot, monkeypatch
):
    """Napari lets Qt run while it makes a bar, and then the whole job may pass."""
    from napari.utils import progress

    from napari_structsr.gui.upscale import run as runs

    class Slow(progress):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            qtbot.waitUntil(
                lambda: all(job.has_ended for job in Job._alive), timeout=TIMEOUT
            )

    monkeypatch.setattr(runs, "progress", Slow)
    viewer.add_image(beads((3, 40, 50), (1, 20, 30)), name="cells")

    one_click(2, qtbot)

    assert len(viewer.layers) == 2
    assert not any("Upscaling" in bar.desc for bar in progress._all_instances)


def find_docks(viewer) -> list:
    docks = viewer.window.dock_widgets.values()
    return [one for one in docks if isinstance(one, ErrorDock)]


def test_every_menu_opens_the_same_dock(viewer, qtbot):
    pair(viewer)
    show(viewer, qtbot)
    commands = get_app_model().commands

    for command in ("error_dock", "compare_selected", "inspect_result"):
        commands.execute_command(f"napari-structsr.{command}")
        qtbot.waitUntil(lambda: bool(find_docks(viewer)), timeout=TIMEOUT)
    qtbot.waitUntil(lambda: not Job._alive, timeout=TIMEOUT)

    [dock] = find_docks(viewer)
    dock.compare.end()


def test_docks_share_a_place_as_tabs(viewer, qtbot):
    show(viewer, qtbot)
    commands = get_app_model().commands

    for name in ("upscale", "error", "finetune"):
        commands.execute_command(f"napari-structsr.{name}_dock")

    frames = [one.frame for one in viewer.window.dock_widgets.values()]
    assert len(frames) == 3
    window = frames[0].window()
    qtbot.waitUntil(lambda: len(window.tabifiedDockWidgets(frames[0])) == 2)
    assert not frames[2].visibleRegion().isEmpty()
    qtbot.waitUntil(lambda: not window.findChildren(OpeningDock))


def test_a_later_result_lies_on_top_and_is_selected_on_request(viewer, bicubic, qtbot):
    from napari.settings import get_plugin_settings

    source = viewer.add_image(beads((40, 50), (20, 30)), name="cells")
    viewer.add_image(beads((40, 50), (20, 30)), name="other")
    viewer.layers.selection = {source}
    one_click(2, qtbot)
    assert list(viewer.layers.selection) == [source]

    get_plugin_settings("napari-structsr").upscale.select_result = True
    one_click(4, qtbot)

    results = ["cells ×2 bicubic", "cells ×4 bicubic"]
    assert [layer.name for layer in viewer.layers] == ["cells", *results, "other"]
    assert viewer.layers.selection.active.name == results[1]


def test_saved_layer_is_read_by_others(viewer, tmp_path: Path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 4000, (2, 300, 310), np.uint16)
    viewer.add_image(
        pixels,
        scale=(0.5, 0.13, 0.11),
        translate=(3, -7, 11),
        units="um",
        axis_labels=("z", "y", "x"),
    )
    path = tmp_path / "cells.ome.zarr"

    viewer.layers.save(str(path), plugin="napari-structsr")

    yaozarrs.validate_zarr_store(path)
    [node] = ome_zarr.reader.Reader(ome_zarr.io.parse_url(path))()
    np.testing.assert_array_equal(np.asarray(node.data[0]), pixels)
    scale, translation = node.metadata["coordinateTransformations"][0]
    assert scale["scale"] == [0.5, 0.13, 0.11]
    assert translation["translation"] == [3, -7, 11]
    assert [axis["unit"] for axis in node.metadata["axes"]] == ["micrometer"] * 3


def test_saving_needs_no_plugin_name(viewer, tmp_path: Path):
    viewer.add_image(beads((40, 50), (20, 30)))

    assert viewer.layers.save(str(tmp_path / "cells.zarr")) == [
        str(tmp_path / "cells.zarr")
    ]
