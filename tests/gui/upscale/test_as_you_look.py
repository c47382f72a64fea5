"""A layer that is upscaled where one looks, in a real viewer."""

from __future__ import annotations

import time
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import zarr
from scenes import beads, centroid, choose, noise, show

from napari_structsr import MemorySink, UpscaleSettings, load_model, open_source
from napari_structsr.engine.events import result_of
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.io.ome_zarr.image_writer import write_image
from napari_structsr.upscaling.upscale import iter_upscale

TIMEOUT = 30_000


def look(viewer, dock, qtbot):
    """Click the button; return the new layer."""
    known = set(viewer.layers)
    dock.look.look_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) > len(known), timeout=TIMEOUT)
    (new,) = set(viewer.layers) - known
    return new


def jobs():
    return [job for job in Job._alive if job.name.startswith("Looking")]


def settle(qtbot, layer):
    """Wait until all that the screen shows has been computed."""
    tiles = layer.data[0]._tiles
    qtbot.waitUntil(lambda: tiles.is_complete, timeout=TIMEOUT)
    qtbot.wait(300)


@pytest.fixture
def ended(qtbot):
    """End what is looked at, whatever the test has found."""
    yield
    for job in jobs():
        job.cancel()
    qtbot.waitUntil(lambda: not jobs(), timeout=TIMEOUT)


def test_the_screen_shows_what_a_run_gives(viewer, dock, qtbot, ended):
    image = beads((3, 200, 240), (1, 60, 90))
    source = viewer.add_image(image, name="cells", scale=(2, 0.5, 0.5))
    show(viewer, qtbot)
    viewer.dims.set_point(0, 2)
    choose(dock.form.model, "faithful")

    layer = look(viewer, dock, qtbot)
    viewer.reset_view()

    def see():
        """Look at the plane; return whether all of it is there."""
        np.asarray(layer.data[0][1])
        return layer.data[0]._tiles.is_complete

    qtbot.waitUntil(see, timeout=TIMEOUT)

    assert layer.name == "cells ×2 faithful"
    assert layer.contrast_limits == source.contrast_limits
    whole = result_of(
        iter_upscale(
            open_source(image),
            load_model("faithful", factor=2),
            MemorySink(),
            settings=UpscaleSettings(),
        )
    )
    found = np.asarray(layer.data[0][1])
    assert np.abs(found.astype(int) - whole[1].astype(int)).max() <= 1
    # in the place of its source
    position = layer.data_to_world((1, *centroid(found)))
    assert np.allclose(position, source.data_to_world((1, 60, 90)), atol=0.02)


def test_a_hundred_gigabytes_are_panned_and_each_tile_computed_once(
    viewer, dock, qtbot, tmp_path, ended
):
    path = tmp_path / "large.zarr"
    store = zarr.create_array(
        path, shape=(1500, 6000, 6000), chunks=(1, 500, 500), dtype="uint16"
    )
    store[0, :500, :500] = noise((500, 500))
    viewer.add_image(store, name="large", multiscale=False, contrast_limits=(0, 4000))
    show(viewer, qtbot)
    layer = look(viewer, dock, qtbot)
    # the source itself is read by napari, as a whole plane
    viewer.layers["large"].visible = False
    image = layer.data[0].settled

    viewer.camera.zoom = 4
    for x in range(400, 1600, 150):
        viewer.camera.center = (0, 600, x)
        settle(qtbot, layer)

    assert 0 < image.computed == len(image._tiles) < 40


def test_removing_the_layer_ends_the_work(viewer, dock, qtbot, ended):
    viewer.add_image(noise((60, 70)), name="cells")
    layer = look(viewer, dock, qtbot)
    assert len(jobs()) == 1

    viewer.layers.remove(layer)

    qtbot.waitUntil(lambda: not jobs(), timeout=TIMEOUT)


class Slow:
    """Empty planes of a store that is far away; knows which have been read."""

    shape, ndim, dtype = (2000, 40, 50), 3, np.dtype(np.uint16)

    def __init__(self):
        self.planes = set()

    def __getitem__(self, key):
        self.planes.add(key[0].start)
        time.sleep(0.2)
        return np.zeros(self.shape, self.dtype)[key]


def test_closing_while_an_image_is_opened_ends_the_work(viewer, dock, qtbot, ended):
    slow = Slow()
    stack = da.from_array(slow, chunks=(1, 40, 50), name=False, meta=np.empty((0,) * 3))
    viewer.add_image(stack.astype(np.uint16), name="far", contrast_limits=(0, 9))
    dock.look.look_button.click()
    (job,) = jobs()
    qtbot.waitUntil(lambda: len(slow.planes) > 1, timeout=TIMEOUT)

    job.abandon()  # as a viewer does that closes

    qtbot.waitUntil(lambda: not jobs(), timeout=TIMEOUT)
    assert len(slow.planes) < 8
    assert [layer.name for layer in viewer.layers] == ["far"]


def test_saving_computes_what_nobody_has_looked_at(
    viewer, dock, qtbot, tmp_path: Path, ended
):
    image = noise((2, 300, 310))
    viewer.add_image(image, name="cells")
    layer = look(viewer, dock, qtbot)

    write_image(open_source(layer), tmp_path / "saved.ome.zarr", overwrite=False)

    saved = zarr.open_group(tmp_path / "saved.ome.zarr", mode="r")["0"][...]
    assert np.array_equal(saved, layer.data[0].settled[...])


def test_other_orders_of_the_axes_are_refused_in_words(viewer, dock, qtbot):
    viewer.add_image(
        noise((60, 70, 4)), name="turned", axis_labels=("y", "x", "z"), rgb=False
    )
    viewer.dims.order = (2, 0, 1)
    assert dock.preview_button.isEnabled()
    assert not dock.look.look_button.isEnabled()
    assert "transpose" in dock.look.look_button.toolTip()


def test_a_lens_follows_the_mouse(viewer, dock, qtbot, ended):
    image = beads((3, 200, 240), (1, 60, 90))
    source = viewer.add_image(image, name="cells", scale=(2, 0.5, 0.5))
    show(viewer, qtbot)
    viewer.dims.set_point(0, 2)
    choose(dock.form.model, "faithful")
    viewer.cursor.position = source.data_to_world((1, 62, 85))

    dock.look.lens_button.click()
    qtbot.waitUntil(lambda: "lens" in viewer.layers, timeout=TIMEOUT)
    lens = viewer.layers["lens"]
    assert viewer.layers.selection.active.name == "cells"
    # through the lens the bead lies where it is, in finer pixels
    qtbot.waitUntil(lambda: jobs()[0].is_running and settled(lens), timeout=TIMEOUT)
    position = lens.data_to_world((0, *centroid(lens.data[0])))
    assert np.allclose(position, source.data_to_world((1, 60, 90)), atol=0.02)

    before = lens.extent.world[0]
    viewer.cursor.position = source.data_to_world((1, 100, 120))
    for callback in viewer.mouse_move_callbacks:
        callback(viewer, None)
    moved = (lens.extent.world[0] - before) / source.scale
    assert np.allclose(moved, (0, 38, 35))

    dock.look.lens_button.click()
    assert [layer.name for layer in viewer.layers] == ["cells"]
    qtbot.waitUntil(lambda: not jobs(), timeout=TIMEOUT)
    assert not viewer.mouse_move_callbacks


def settled(lens) -> bool:
    """Return whether a lens shows more than repeated pixels."""
    fine = lens.data[0].astype(int)
    return bool((fine[0::2, 0::2] != fine[1::2, 1::2]).any())


def test_taking_the_lens_away_by_hand_ends_it(viewer, dock, qtbot, ended):
    viewer.add_image(noise((60, 70)), name="cells")
    dock.look.lens_button.click()
    qtbot.waitUntil(lambda: "lens" in viewer.layers, timeout=TIMEOUT)
    viewer.layers.remove("lens")
    qtbot.waitUntil(lambda: not jobs(), timeout=TIMEOUT)
    assert not viewer.mouse_move_callbacks
    assert not dock.look.lens_button.isChecked()
