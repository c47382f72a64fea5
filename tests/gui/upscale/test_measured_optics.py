"""Measuring the width of the blur in the dock, by pointing or from the image."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.layers._source import layer_source
from qtpy.QtGui import QGuiApplication
from scenes import choose
from scipy.special import erf
from test_optics_dock import TIMEOUT, dock, run  # noqa: F401

SIGMA = 1.2
BEADS = [(15, 18), (40, 44)]


@pytest.fixture
def layer(viewer):
    """Add two planes of 0.1 micrometres a pixel; the second one holds beads."""
    y, x = np.indices((64, 72))
    light = np.full((2, 64, 72), 100.0)
    width = SIGMA**2 + 1 / 12  # integrated over pixels
    for row, column in BEADS:
        distance = (y - row) ** 2 + (x - column) ** 2
        light[1] += 3000 * np.exp(-distance / (2 * width))
    pixels = np.random.default_rng(0).poisson(light).astype(np.uint16)
    return viewer.add_image(
        pixels,
        name="beads",
        scale=(0.3, 0.1, 0.1),
        translate=(0, 5, 0),
        units=("um", "um", "um"),
        axis_labels=("z", "y", "x"),
    )


def measured(layer):
    (told,) = layer.metadata["structsr"]["record"]["model"]["optics"]
    return told


def test_a_bead_that_is_pointed_at_gives_the_width(viewer, dock, qtbot, layer):  # noqa: F811
    rows = dock.form.optics
    rows.undo.setChecked(True)
    choose(rows.source, "bead")
    assert "Point at beads" in rows.told.text()
    assert not dock.run_button.isEnabled()

    rows.measure.click()
    marks = viewer.layers[-1]
    assert viewer.layers.selection == {marks}
    assert dock.form.layers_label.text() == "beads"
    marks.add((1, 16, 17))
    assert "measured on the bead at 16, 17: 1." in rows.told.text()
    marks.add((1, 40, 44))
    text = rows.told.text()
    assert "measured on 2 beads: 1." in text
    assert "µm)" in text

    dock.preview_button.click()
    qtbot.waitUntil(lambda: not dock.wishes.isHidden(), timeout=TIMEOUT)
    one, other = (w.pixmap().toImage() for w in (dock.wishes.keep, dock.wishes.undo))
    assert one.size() == other.size()
    assert one != other

    run(dock, qtbot)
    result = next(la for la in viewer.layers if "blur undone" in la.name)
    told = measured(result)
    assert told["measured"]["sigma"] == pytest.approx(SIGMA, rel=0.05)
    assert told["psf_sigma"] == told["measured"]["low"] < SIGMA
    assert told["width_from"] == "measured on 2 beads"

    viewer.layers.selection = {layer}
    dock.copy_button.click()
    script = QGuiApplication.clipboard().text()
    assert "bead=(16.0, 17.0, 40.0, 44.0), plane=(1,)" in script

    # where nothing is there is nothing to measure
    marks.data = [(1, 30, 10)]
    assert "point at another one" in rows.told.text().lower()
    assert not dock.run_button.isEnabled()


def test_the_image_gives_a_range_and_the_least_is_told(viewer, dock, qtbot, layer):  # noqa: F811
    rows = dock.form.optics
    rows.undo.setChecked(True)
    choose(rows.source, "image")
    assert "Press “Measure”" in rows.told.text()
    rows.measure.click()
    qtbot.waitUntil(
        lambda: "estimated from the image" in rows.told.text(), timeout=TIMEOUT
    )
    assert "9 times in 10" in rows.told.text()

    run(dock, qtbot)
    told = measured(next(la for la in viewer.layers if "blur undone" in la.name))
    assert told["psf_sigma"] == max(told["measured"]["low"], 0.25)
    assert f"blur of {told['psf_sigma']:.2f} pixels" in rows.told.text()


def test_a_line_across_an_edge_gives_the_width(viewer, dock):  # noqa: F811
    y, x = np.indices((50, 60))
    edge = 200 + 2000 * (1 + erf((x + 0.2 * y - 35) / np.hypot(1, 0.2) / 1.5)) / 2
    pixels = np.random.default_rng(0).poisson(edge).astype(np.uint16)
    layer = viewer.add_image(pixels, name="wall", scale=(2, 2), rotate=30)
    rows = dock.form.optics
    rows.undo.setChecked(True)
    choose(rows.source, "edge")
    rows.measure.click()
    lines = viewer.layers[-1]

    lines.add([[25, 20], [25, 40]], shape_type="line")

    # integrated over pixels, so that the Gaussian is a little narrower
    sigma = (1.5**2 / 2 - 1 / 12) ** 0.5
    found = float(rows.told.text().split("at 25, 20, 25, 40: ")[1].split()[0])
    assert found == pytest.approx(sigma, rel=0.06)
    viewer.layers.selection = {layer}
    dock.copy_button.click()
    assert "edge=(25.0, 20.0, 25.0, 40.0)" in QGuiApplication.clipboard().text()


def test_the_command_of_a_part_of_a_file_gives_what_was_measured(
    viewer,
    dock,  # noqa: F811
    layer,
    tmp_path,
):
    path = tmp_path / "beads.tif"
    tifffile.imwrite(path, layer.data, metadata={"axes": "ZYX"})
    commands = []
    # all planes of the file, and one of them as an image of its own
    for pixels, mark in ((layer.data, (1, 15, 18)), (layer.data[1], (15, 18))):
        with layer_source(path=str(path)):
            image = viewer.add_image(pixels, name="part")
        rows = dock.form.optics
        rows.undo.setChecked(True)
        choose(rows.source, "bead")
        rows.measure.click()
        viewer.layers[-1].add(mark)
        viewer.layers.selection = {image}
        dock.copy_button.click()
        commands.append(QGuiApplication.clipboard().text())
    whole, part = commands
    assert "--bead 15.0,18.0 --plane 1" in whole
    assert "bead=" not in part
    assert float(part.split("psf_sigma=")[1].rstrip(")\n")) == pytest.approx(
        SIGMA, rel=0.1
    )
