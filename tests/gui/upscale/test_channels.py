"""Channels that are layers of their own: their light is added on the screen."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QThreadPool
from scenes import choose, show

from napari_structsr.gui.viewer.jobs import Job

TIMEOUT = 30_000
COLOURS = {"nuclei": "magenta", "actin": "green"}


@pytest.fixture
def channels(viewer, dock, qtbot):
    """Show two flat channels, as a microscope's file opens, and select both."""
    layers = [
        viewer.add_image(
            np.full((2, 60, 80), light, np.uint16),
            name=name,
            colormap=colour,
            blending="additive",
            contrast_limits=(0, 1000),
            scale=(1, 0.5, 0.5),
        )
        for (name, colour), light in zip(COLOURS.items(), (400, 300), strict=True)
    ]
    show(viewer, qtbot)
    viewer.layers.selection = set(layers)
    viewer.reset_view()
    return layers


def see(viewer, qtbot) -> np.ndarray:
    """Return the colour in the middle of the canvas."""
    qtbot.wait(300)
    shot = viewer.window.screenshot(canvas_only=True, flash=False)
    return shot[shot.shape[0] // 2, shot.shape[1] // 2, :3].astype(int)


def wait_for_jobs(qtbot) -> None:
    qtbot.waitUntil(lambda: not Job._alive, timeout=TIMEOUT)


def test_results_of_channels_are_as_bright_as_their_sources(
    viewer, dock, channels, qtbot
):
    before = see(viewer, qtbot)

    dock.run_button.click()
    wait_for_jobs(qtbot)

    assert np.abs(see(viewer, qtbot) - before).max() <= 3
    results = [layer for layer in viewer.layers if layer.visible]
    assert [one.colormap.name for one in results] == list(COLOURS.values())
    # another result takes the place of the first; in the list all of them stay
    choose(dock.form.factor, 4)
    dock.run_button.click()
    wait_for_jobs(qtbot)
    assert np.abs(see(viewer, qtbot) - before).max() <= 3
    assert len(viewer.layers) == 6


def test_results_of_a_region_are_as_bright_as_what_they_cover(
    viewer, dock, channels, qtbot
):
    before = see(viewer, qtbot)
    dock.form.part.draw.click()
    drawn = viewer.layers.selection.active
    drawn.add_rectangles(np.array([[20, 25], [20, 55], [40, 55], [40, 25]]))
    drawn.visible = False
    viewer.layers.selection = set(channels)

    for factor in (2, 4):
        choose(dock.form.factor, factor)
        dock.run_button.click()
        wait_for_jobs(qtbot)
        assert np.abs(see(viewer, qtbot) - before).max() <= 3
        assert all(channel.visible for channel in channels)
    assert len(viewer.layers) == 2 + 1 + 4
    seen = [layer for layer in viewer.layers if layer.visible]
    assert [layer.data.shape[-1] for layer in seen] == [80, 80, 4 * 31, 4 * 31]


def test_a_region_of_the_whole_of_a_file_covers_it(viewer, dock, qtbot, tmp_path):
    path = tmp_path / "flat.ome.tif"
    tifffile.imwrite(
        path, np.full((2, 60, 80), 400, np.uint16), metadata={"axes": "CYX"}
    )
    first, second = viewer.open(str(path), plugin="napari-structsr")
    for layer in (first, second):
        layer.contrast_limits = (0, 1000)
    show(viewer, qtbot)
    viewer.layers.selection = {first}
    before = see(viewer, qtbot)
    dock.form.part.draw.click()
    drawn = viewer.layers.selection.active
    drawn.add_rectangles(np.array([[0, 0], [0, 79], [59, 79], [59, 0]]))
    drawn.visible = False
    viewer.layers.selection = {first, second}

    dock.run_button.click()
    wait_for_jobs(qtbot)

    assert np.abs(see(viewer, qtbot) - before).max() <= 3
    assert first.visible


def test_channels_as_one_looks_keep_colour_contrast_and_brightness(
    viewer, dock, channels, qtbot
):
    before = see(viewer, qtbot)

    dock.look.look_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 4, timeout=TIMEOUT)
    looks = [layer for layer in viewer.layers if layer not in channels]
    np.asarray(viewer.layers[-1].data[0][0])
    for look in looks:
        qtbot.waitUntil(
            lambda one=look: one.data[0]._tiles.is_complete, timeout=TIMEOUT
        )

    assert np.abs(see(viewer, qtbot) - before).max() <= 3
    assert [look.colormap.name for look in looks] == list(COLOURS.values())
    assert {tuple(look.contrast_limits) for look in looks} == {(0, 1000)}
    for job in list(Job._alive):
        job.cancel()
    wait_for_jobs(qtbot)


def test_looking_holds_no_thread_that_others_need(viewer, dock, channels, qtbot):
    # as on a machine of one core
    pool = QThreadPool.globalInstance()
    count = pool.maxThreadCount()
    pool.setMaxThreadCount(1)
    try:
        dock.look.look_button.click()
        qtbot.waitUntil(lambda: len(viewer.layers) == 4, timeout=TIMEOUT)
        viewer.layers.selection = {channels[0]}
        dock.run_button.click()
        qtbot.waitUntil(lambda: len(viewer.layers) == 5, timeout=TIMEOUT)
    finally:
        for job in list(Job._alive):
            job.cancel()
        wait_for_jobs(qtbot)
        pool.setMaxThreadCount(count)


def test_a_preview_of_a_channel_is_as_bright_as_its_source(
    viewer, dock, channels, qtbot
):
    channels[1].visible = False
    viewer.layers.selection = {channels[0]}
    before = see(viewer, qtbot)

    dock.preview_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=TIMEOUT)
    wait_for_jobs(qtbot)

    assert np.abs(see(viewer, qtbot) - before).max() <= 3
    dock.preview_button.click()
