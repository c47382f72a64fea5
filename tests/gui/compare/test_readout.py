"""Values under the cursor: numpy at the same place is the oracle."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from scenes import noise, pair

from napari_structsr.gui.compare.panel import ComparePanel
from napari_structsr.gui.compare.readout import Readout, format_value, read_value

TIMEOUT = 10_000


@pytest.fixture
def model(qtbot):
    """Return a viewer without a window; the cursor is moved by hand."""
    return ViewerModel()


THEIRS = {"layer_base": "", "source_type": "", "plugin": "", "coordinates": "[1 2]"}


def test_values_are_those_at_the_same_place_in_the_world(model):
    coarse, fine = noise((3, 20, 30)), noise((3, 40, 60))[::-1].copy()
    lazy = da.from_array(fine, chunks=(1, 16, 16))
    kept = {"scale": (2, 0.5, 0.5), "translate": (0, -0.25 + 10, -0.25)}
    layers = [
        model.add_image(coarse, scale=(2, 1, 1), translate=(0, 10.25, 0.25)),
        model.add_image(fine, **kept),
        model.add_image([lazy, lazy[:, ::2, ::2]], contrast_limits=(0, 4000), **kept),
    ]
    world = (4.0, 10.25 + 7.3, 0.25 + 11.4)  # plane 2, row 7.3, column 11.4

    values = [read_value(layer, world) for layer in layers]

    assert values[0] == coarse[2, 7, 11]
    assert values[1] == values[2] == fine[2, 16, 24]
    assert read_value(layers[0], (4.0, 10.25 - 0.6, 5)) is None
    assert read_value(layers[0], (6.0, 12, 5)) is None
    assert read_value(layers[1], (4.0, 10 - 0.49, 5.1)) == fine[2, 0, 11]


def test_colour_channels_and_fewer_dimensions(model):
    colour = np.moveaxis(np.stack([noise((20, 30)) // 16] * 3), 0, -1).astype(np.uint8)
    channels = np.stack([noise((20, 30)), noise((20, 30))[::-1]]).astype(np.float32)
    flat = model.add_image(colour, rgb=True)
    many = model.add_image(channels / 3)

    assert format_value(read_value(flat, (1, 4, 5))) == ", ".join(
        map(str, colour[4, 5])
    )
    assert read_value(many, (1, 4, 5)) == channels[1, 4, 5] / 3
    assert format_value(read_value(many, (1, 4, 5))) == f"{channels[1, 4, 5] / 3:.4g}"
    assert format_value(None) == "–"


def test_a_rotated_layer(model):
    image = noise((20, 30))
    layer = model.add_image(image, rotate=30, translate=(3, 4), scale=(2, 2))
    assert read_value(layer, layer.data_to_world((7, 11))) == image[7, 11]


def test_units_are_converted(model):
    image = noise((20, 30))
    micro = model.add_image(image, scale=(0.5, 0.5), units=("um", "um"))
    nano = model.add_image(image, scale=(500, 500), units=("nm", "nm"))
    units = model.layers.units

    factor = 1000 if str(units[0]) == "nanometer" else 1
    for layer in (micro, nano):
        value = read_value(layer, (3.5 * factor, 5 * factor), units=units)
        assert value == image[7, 10]


def test_the_panel_follows_the_cursor(model, qtbot):
    source, fine = pair(model)
    panel = ComparePanel(model)
    qtbot.addWidget(panel)
    panel.readout.follow(True)  # the panel of this test is hidden
    table = panel.form.table

    def values() -> list[str]:
        return [table.item(row, 1).text() for row in range(table.rowCount())]

    for place in ((12, 18), (11.8, 17.7), (30, 40)):
        model.cursor.position = place
        expected = [
            str(source.data[round(place[0]), round(place[1])]),
            str(fine.data[round(2 * place[0] + 0.5), round(2 * place[1] + 0.5)]),
        ]
        qtbot.waitUntil(lambda e=expected: values() == e, timeout=TIMEOUT)
    assert [table.item(row, 0).text() for row in (0, 1)] == ["cells", "cells ×2"]
    assert "30.0" in panel.form.place.text()
    model.dims.ndisplay = 3
    model.cursor.position = (3, 4)
    qtbot.waitUntil(lambda: values() == ["–", "–"], timeout=TIMEOUT)


def test_a_plane_moved_by_the_slider_is_looked_up(model, qtbot):
    image = noise((3, 20, 30))
    layer = model.add_image(image)
    model.dims.set_point(0, 0)
    readout = Readout(model, [layer])
    heard = []
    readout.changed.connect(lambda place, texts: heard.append(texts))
    model.cursor.position = (0, 4, 5)
    model.dims.set_point(0, 2)
    qtbot.waitUntil(lambda: heard[-1:] == [[str(image[2, 4, 5])]], timeout=TIMEOUT)
    readout.follow(False)


def test_the_status_bar_shows_all_and_is_given_back(model, qtbot):
    source, fine = pair(model)
    readout = Readout(model, [source, fine], in_status=True)
    model.status = "Ready"
    model.cursor.position = (12, 18)
    qtbot.wait(80)
    assert model.status == "Ready"  # the mouse is not on the canvas

    model.status = dict(THEIRS)
    assert f"cells: {source.data[12, 18]}" in model.status
    assert f"cells ×2: {fine.data[24, 36]}" in model.status
    model.cursor.position = (13, 18)
    model.status = {**THEIRS, "coordinates": "[13 18]"}
    qtbot.waitUntil(lambda: f"cells: {source.data[13, 18]} " in model.status)

    model.status = ""  # the mouse leaves
    assert model.status == ""
    model.status = {**THEIRS, "coordinates": "[13 18]"}
    readout.in_status = False
    assert model.status == {**THEIRS, "coordinates": "[13 18]"}
    model.status = dict(THEIRS)
    assert model.status == THEIRS
    readout.follow(False)
    model.cursor.position = (1, 1)
    assert not any("Readout" in repr(c) for c in model.events.status.callbacks)


def test_pixels_are_looked_up_rarely_and_once(model, qtbot, monkeypatch):
    reads = []
    lazy = da.from_array(noise((20, 30)), chunks=(4, 4))
    monkeypatch.setattr(
        "napari_structsr.gui.compare.readout._read_pixel",
        lambda layer, index: reads.append(index) or np.asarray(7),
    )
    layer = model.add_image(lazy, contrast_limits=(0, 4000))
    readout = Readout(model, [layer])

    for step in range(200):
        model.cursor.position = (4, 5 + step / 1000)
    for step in range(200):
        model.cursor.position = (5, 5 + step / 1000)
    qtbot.wait(120)

    assert reads == [(4, 5), (5, 5)]
    readout.follow(False)


def test_a_layer_that_is_gone_is_not_asked(model, qtbot):
    source, fine = pair(model)
    readout = Readout(model, [source, fine])
    heard = []
    readout.changed.connect(lambda place, texts: heard.append(texts))
    del model.layers["cells"]
    model.cursor.position = (12, 18)
    qtbot.waitUntil(lambda: bool(heard), timeout=TIMEOUT)
    assert heard[-1] == ["–", str(fine.data[24, 36])]
    readout.follow(False)


@pytest.mark.parametrize("units", [("um", "um"), ("pixel", "pixel")])
def test_the_place_is_written_with_its_unit(model, units):
    from napari_structsr.gui.compare.readout import format_position

    layer = model.add_image(noise((20, 30)), scale=(0.2, 0.2), units=units)
    assert format_position(model, [layer], (1.234, 3)).startswith("[1.23, 3.00] ")
    model.dims.axis_labels = ("y", "x")
    text = format_position(model, [layer], (1.234, 3))
    assert text == f"y 1.23, x 3.00 {'µm' if units[0] == 'um' else 'pixel'}"
