"""The structure-error dock in a real viewer: what a user sees after each click."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari._app_model import get_app_model
from napari.components import ViewerModel
from napari.utils.colormaps import AVAILABLE_COLORMAPS
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QLineEdit,
    QListWidget,
    QSlider,
    QTableView,
)
from scenes import choose, run_apart, shot, show, tick

from napari_structsr.core.error_map import MAPS
from napari_structsr.core.record import Record
from napari_structsr.engine.events import result_of
from napari_structsr.gui.compare.swipe import canvas_of
from napari_structsr.gui.inspect.dock import ErrorDock
from napari_structsr.gui.inspect.legend import help_url
from napari_structsr.gui.inspect.map_layers import map_of
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.viewer.layers import KEY
from napari_structsr.inspection.error_maps import iter_inspect
from napari_structsr.inspection.results import WHOLE
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.io.open import open_source
from napari_structsr.zoo.catalogue import find_card

TIMEOUT = 60_000
SIDE = 128
FAULT = (slice(70, 86), slice(30, 46))  # rows and columns, of one plane
MIDDLE = (77.5, 37.5)
WANTED = ("error", "ssim")


def texture(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Return smooth structure in 12 bits, as a microscope sees it."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    sigma = (0,) * (len(shape) - 2) + (2, 2)
    smooth = gaussian_filter(rng.normal(size=shape), sigma)
    return (2000 + 600 * smooth / smooth.std()).clip(0, 4000).astype(np.uint16)


def faulty(truth: np.ndarray, plane: tuple[int, ...] = ()) -> np.ndarray:
    """Return an image with one wrong place."""
    result = truth.copy()
    result[(*plane, *FAULT)] = 4000
    return result


def select(viewer: Any, *layers: Any) -> None:
    """Select layers; the last was clicked last."""
    viewer.layers.selection.active = layers[-1]
    viewer.layers.selection.update(layers)


def ended(dock: ErrorDock) -> bool:
    rows = dock.inspect.jobs.rows
    return bool(rows) and all(row.job.has_ended for row in rows)


def run(dock: ErrorDock, qtbot: Any) -> Any:
    assert dock.inspect.run_button.isEnabled(), dock.inspect.run_button.toolTip()
    dock.inspect.run_button.click()
    qtbot.waitUntil(lambda: ended(dock), timeout=TIMEOUT)
    (row,) = dock.inspect.jobs.rows
    return row


def maps(viewer: Any) -> dict[str, Any]:
    found = {map_of(layer): layer for layer in viewer.layers}
    return {key: layer for key, layer in found.items() if key}


def shown(dock: ErrorDock, key: str) -> Any:
    """Choose a map as a user does, and return the layer that shows it."""
    choose(dock.maps.map, key)
    return dock.maps.layer


def inspected(viewer: Any) -> Any:
    return next(iter(maps(viewer).values())).metadata[KEY]["inspection"]


@pytest.fixture
def dock(viewer: Any) -> ErrorDock:
    """Return the dock of a real viewer."""
    dock = ErrorDock(viewer)
    viewer.window.add_dock_widget(dock, name="Structure error")
    tick(dock, *WANTED)
    return dock


@pytest.fixture
def model() -> Any:
    """Return a viewer without a window, for what needs no canvas."""
    return ViewerModel()


@pytest.fixture
def plain(model: Any, qtbot: Any) -> ErrorDock:
    """Return the dock of a viewer without a window."""
    dock = ErrorDock(model)
    qtbot.addWidget(dock)
    tick(dock, *WANTED)
    return dock


def pair(
    viewer: Any,
    shape: tuple[int, ...] = (SIDE, SIDE),
    plane: tuple[int, ...] = (),
    **place: Any,
) -> tuple[Any, Any]:
    """Add a result with a fault and its reference; select both."""
    truth = texture(shape)
    reference = viewer.add_image(truth, name="truth", **place)
    result = viewer.add_image(faulty(truth, plane), name="result", **place)
    select(viewer, reference, result)
    return result, reference


def test_opening_imports_no_torch():
    script = """
import sys
import numpy as np
from qtpy.QtWidgets import QApplication
app = QApplication([])
from napari.components import ViewerModel
from napari_structsr.gui.inspect.dock import ErrorDock
viewer = ViewerModel()
viewer.add_image(np.zeros((80, 100), np.uint16), name="truth")
viewer.add_image(np.zeros((80, 100), np.uint16), name="result")
viewer.layers.selection = set(viewer.layers)
dock = ErrorDock(viewer)
dock.show()
app.processEvents()
assert dock.inspect.run_button.isEnabled(), dock.inspect.run_button.toolTip()
assert "torch" not in sys.modules, "torch was imported"
"""
    run_apart(script)


# -- what is chosen --------------------------------------------------------------------


def test_layers_come_from_the_selection_until_one_is_chosen_by_hand(model, plain):
    result, reference = pair(model)
    form = plain.inspect.form
    assert (form.result.currentText(), form.reference.currentText()) == (
        "result",
        "truth",
    )

    form.swap_button.click()
    assert form.result.currentText() == "truth"
    model.layers.selection = {result}
    assert form.result.currentText() == "truth"

    form.selection_button.click()
    assert form.result.currentText() == "result"
    assert form.choice().reference is None

    reference.name = "gold"
    assert form.reference.findText("gold") > 0
    model.layers.remove(result)
    assert form.result.findText("result") < 0


def test_maps_explain_themselves_and_say_what_they_lack(model, plain):
    pair(model)
    lines = plain.inspect.form.maps.lines

    assert "Cannot see: " in lines["ssim"].toolTip()
    assert lines["ssim"].flags() & Qt.ItemFlag.ItemIsEnabled
    assert lines["residual"].toolTip().startswith("It needs the source")
    assert not lines["residual"].flags() & Qt.ItemFlag.ItemIsEnabled


def test_every_control_explains_itself(model, plain, qtbot):
    pair(model)
    run(plain, qtbot)
    kinds = (QAbstractButton, QComboBox, QTableView, QListWidget, QLineEdit, QSlider)
    controls = [widget for kind in kinds for widget in plain.findChildren(kind)]
    assert len(controls) > 30
    for control in controls:
        texts, widget = [], control
        while widget is not plain:  # Qt asks parents for tooltips too
            texts.append(widget.toolTip())
            if widget in (plain.tabs.tabBar(), plain.inspect.form.maps):
                texts.append("of its tabs or lines")
            widget = widget.parent()
        assert any(texts), f"{control} {control.accessibleName()}"


def test_record_of_a_result_finds_its_source(model, plain):
    card = find_card("bicubic", factor=2)
    record = Record(
        source={
            "origin": "napari layer",
            "name": "cells",
            "axes": "yx",
            "shape": [64, 64],
            "options": {},
        },
        model={
            "name": "bicubic",
            "factor": 2,
            "sha256": card.sha256,
            "psf_sigma": card.psf_sigma,
        },
        settings={},
        intensity=(),
        least_shares=(),
        device="cpu",
    )
    model.add_image(texture((64, 64)), name="twin")
    model.add_image(texture((64, 64)), name="cells")
    model.add_image(
        texture((SIDE, SIDE)),
        name="result",
        metadata={KEY: {"source": "cells", "record": record.to_json()}},
    )

    assert plain.inspect.form.source.currentText() == "cells"
    assert plain.inspect.state().obstacles["spread"] is None


def test_calibration_of_the_user_predicts_errors_of_any_result(
    model, plain, qtbot, tmp_path
):
    path = tmp_path / "mine.json"
    find_card("faithful", factor=2).calibration.save(path)
    source = model.add_image(texture((64, 64)), name="source", scale=(2, 2))
    result = model.add_image(texture((SIDE, SIDE)), name="result")
    select(model, source, result)
    assert "calibration" in plain.inspect.state().obstacles["trust"]

    plain.inspect.form.calibration.value = tmp_path / "nowhere.json"
    assert "There is no file" in plain.inspect.run_button.toolTip()
    plain.inspect.form.calibration.value = path
    tick(plain, "trust")
    run(plain, qtbot)
    assert set(maps(model)) == {"trust"}


@pytest.mark.parametrize(
    ("place", "shape", "words"),
    [
        ({"translate": (5000, 5000), "units": "um"}, (SIDE, SIDE), "overlap"),
        ({}, (3, SIDE, SIDE), "planes along z"),
        ({"units": "s"}, (60, SIDE), "measured in"),
        ({"units": "um", "rotate": 20}, (SIDE, SIDE), "turned or sheared"),
    ],
    ids=["apart", "planes", "units", "turned"],
)
def test_layers_that_do_not_belong_together_are_refused_in_words(
    model, plain, place, shape, words
):
    model.add_image(texture(shape), name="truth", **place)
    result = model.add_image(texture((SIDE, SIDE)), name="result", units="um")
    choose(plain.inspect.form.result, str(result.unique_id))
    choose(plain.inspect.form.reference, str(model.layers["truth"].unique_id))

    assert not plain.inspect.run_button.isEnabled()
    assert words in plain.inspect.run_button.toolTip()


@pytest.mark.parametrize("size", [SIDE // 2, SIDE])
def test_a_reference_without_pixel_size_is_placed_on_the_result(model, plain, size):
    """It is compared by its field of view, and would lie beside the map."""
    place = {"scale": (0.2, 0.1), "translate": (3, -7), "units": "um"}
    result = model.add_image(texture((SIDE, SIDE)), name="result", **place)
    truth = model.add_image(texture((size, size)), name="truth")
    plain.inspect.form.source.setCurrentIndex(0)
    choose(plain.inspect.form.result, str(result.unique_id))
    choose(plain.inspect.form.reference, str(truth.unique_id))
    button = plain.inspect.place_button
    assert not button.isHidden()
    assert "truth" in plain.inspect.elsewhere.text()

    button.click()

    # outer edges of both, whatever their pixels are
    for share in (0, 1):
        edges = [
            layer.data_to_world(share * np.array(layer.data.shape) - 0.5)
            for layer in (truth, result)
        ]
        np.testing.assert_allclose(*edges, atol=1e-9)
    assert truth.units == result.units
    assert button.isHidden()
    assert plain.inspect.elsewhere.isHidden()


def test_a_reference_with_pixel_size_stays_where_it_was_measured(model, plain):
    place = {"scale": (0.1, 0.1), "units": "um"}
    result = model.add_image(texture((SIDE, SIDE)), name="result", **place)
    part = {"scale": (0.1, 0.1), "translate": (5, 5), "units": "um"}
    truth = model.add_image(texture((SIDE, SIDE)), name="truth", **part)
    choose(plain.inspect.form.result, str(result.unique_id))
    choose(plain.inspect.form.reference, str(truth.unique_id))

    assert plain.inspect.place_button.isHidden()


def test_after_an_inspection_result_and_map_alone_are_shown(model, plain, qtbot):
    result, reference = pair(model)
    other = model.add_image(texture((SIDE, SIDE)), name="another")
    select(model, reference, result)

    run(plain, qtbot)

    seen = [layer for layer in model.layers if layer.visible]
    assert seen == [result, *maps(model).values()]
    assert not other.visible


def test_selected_images_that_hold_no_intensities_are_named(model, plain):
    truth = model.add_image(texture((SIDE, SIDE)) > 2000, name="mask")
    select(model, truth, model.add_image(texture((SIDE, SIDE)), name="result"))

    assert plain.inspect.form.hint.text().startswith("mask cannot be chosen: ")


# -- where maps are --------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    [
        {"scale": (0.13, 0.11), "translate": (3, -7), "units": "um"},
        {"scale": (2, 2), "rotate": 30, "shear": (0.2,)},
    ],
    ids=["micrometers", "turned"],
)
def test_overlay_lies_on_the_fault(viewer, dock, qtbot, place, notifications):
    result, _ = pair(viewer, **place)

    row = run(dock, qtbot)

    assert (row.text, notifications()) == ("done", [])
    layer = shown(dock, "error")
    wrong = np.argwhere(np.asarray(layer.data) > 500)
    found = layer.data_to_world(wrong.mean(axis=0))
    expected = result.data_to_world(MIDDLE)
    np.testing.assert_allclose(found, expected, atol=2 * np.max(result.scale))
    for other in maps(viewer).values():
        for corner in ((0, 0), (SIDE, 0), (SIDE, SIDE)):
            np.testing.assert_allclose(
                other.data_to_world(corner), result.data_to_world(corner), atol=1e-9
            )


def test_part_that_the_reference_covers_lies_where_it_is(model, plain, qtbot):
    """The reference has other pixels, and shows a part of the result alone."""
    truth = texture((2 * SIDE, 2 * SIDE))
    result = model.add_image(
        faulty(truth), name="result", scale=(0.1, 0.1), translate=(4, 5), units="um"
    )
    part = truth[32:160, 16:176].reshape(64, 2, 80, 2).mean(axis=(1, 3))
    reference = model.add_image(
        part,
        name="truth",
        scale=(0.2, 0.2),
        translate=(4 + 3.2 + 0.05, 5 + 1.6 + 0.05),
        units="um",
    )
    choose(plain.inspect.form.result, str(result.unique_id))
    choose(plain.inspect.form.reference, str(reference.unique_id))
    choose(plain.inspect.form.source, "none")

    run(plain, qtbot)

    layer = shown(plain, "error")
    assert layer.data.shape[0] < 2 * SIDE
    wrong = np.argwhere(np.asarray(layer.data) > 700)
    found = layer.data_to_world(wrong.mean(axis=0))
    np.testing.assert_allclose(found, result.data_to_world(MIDDLE), atol=0.2)


def test_stack_with_channels_in_several_scales(model, plain, qtbot):
    """Axes c, z, y, x; the fault is in channel 1, plane 2."""
    truth = texture((2, 3, SIDE, SIDE))
    result = faulty(truth, (1, 2))
    place = {"scale": (1, 0.5, 0.1, 0.1), "axis_labels": ("c", "z", "y", "x")}
    reference = model.add_image(truth, name="truth", **place)
    levels = [result, result[..., ::2, ::2]]
    layer = model.add_image(levels, multiscale=True, name="result", **place)
    select(model, reference, layer)

    run(plain, qtbot)

    error = shown(plain, "error")
    assert error.data[0].shape == truth.shape if error.multiscale else truth.shape
    pixels = np.asarray(error.data[0] if error.multiscale else error.data)
    where = np.argwhere(pixels > 900).mean(axis=0)
    np.testing.assert_allclose(where, (1, 2, *MIDDLE), atol=1)
    rows = inspected(model).scores.rows
    assert len(rows) == 6
    worst = min(rows, key=lambda row: row.values["ssim"])
    assert dict(worst.plane) == {"c": 1, "z": 2}
    plain.maps.worst.setCurrentCell(0, 0)
    assert model.dims.point[:2] == pytest.approx((1, 1.0))
    plain.open_tab("Scores")
    choose(plain.scores.axis, "z")
    plain.scores.plot.clicked.emit(0)
    assert model.dims.point[:2] == pytest.approx((1, 0.0))


def test_colour_layers_are_compared_by_their_luminance(model, plain, qtbot):
    truth = np.stack([texture((SIDE, SIDE), seed) // 16 for seed in range(3)], -1)
    truth = truth.astype(np.uint8)
    result = truth.copy()
    result[FAULT] = 255
    reference = model.add_image(truth, rgb=True, name="truth")
    layer = model.add_image(result, rgb=True, name="result")
    select(model, reference, layer)

    run(plain, qtbot)

    assert maps(model)["ssim"].data.shape == (SIDE, SIDE)
    assert any("luminance" in note for note in inspected(model).notes)
    assert "luminance" in plain.scores.notes.text()


# -- how maps look ---------------------------------------------------------------------


def test_one_layer_above_both_images_shows_one_map_at_a_time(model, plain, qtbot):
    result, reference = pair(model)
    model.layers.move(model.layers.index(reference), len(model.layers))

    run(plain, qtbot)

    (layer,) = maps(model).values()
    order = list(model.layers)
    assert order.index(layer) > order.index(reference)
    assert set(model.layers.selection) == {result, reference}
    assert plain.tabs.tabText(plain.tabs.currentIndex()) == "Map"
    # structure first, never the error of single pixels
    assert plain.maps.key == "ssim"
    found = inspected(model)
    for key in (*WANTED, "ssim"):
        choose(plain.maps.map, key)
        assert list(maps(model).items()) == [(key, layer)]
        assert layer.visible
        np.testing.assert_array_equal(layer.data, found.maps[key])
        np.testing.assert_allclose(layer.contrast_limits, sorted(found.limits[key]))
    assert "Cannot see:" in plain.maps.legend.text.text()
    assert plain.maps.legend.bar.texts == ("1", "0.5", "0")


def test_what_a_user_made_of_a_map_is_kept_for_it(model, plain, qtbot):
    pair(model)
    run(plain, qtbot)
    layer = shown(plain, "ssim")
    layer.contrast_limits = (0.2, 0.8)
    plain.maps.threshold.setValue(30)

    shown(plain, "error")
    assert plain.maps.threshold.value() == 0
    shown(plain, "ssim")

    assert plain.maps.threshold.value() == 30
    assert tuple(layer.contrast_limits) == (0.2, 0.8)


def test_three_maps_are_offered_first_and_the_rest_as_more(model, plain, qtbot):
    truth = texture((SIDE, SIDE))
    model.add_image(truth[::2, ::2], name="cells")
    reference = model.add_image(truth, name="truth")
    select(model, reference, model.add_image(faulty(truth), name="result"))
    tick(plain, "error", "ssim", "gradient", "residual", "artefact", "squirrel")

    run(plain, qtbot)

    combo = plain.maps.map
    texts = [combo.itemText(n) for n in range(combo.count())]
    first = [MAPS[key].plain for key in ("ssim", "residual", "artefact")]
    assert texts[:4] == [*first, "More maps"]
    assert not combo.model().item(3).isEnabled()
    assert set(texts[4:]) == {MAPS[k].plain for k in ("error", "gradient", "squirrel")}
    # the technical name is at hand
    tip = combo.itemData(1, Qt.ItemDataRole.ToolTipRole)
    assert MAPS["residual"].title in tip.lower()
    assert "reading-the-maps/#ssim" in plain.maps.help_button.toolTip()


def test_every_help_link_leads_to_a_heading():
    page = Path(__file__).parents[3] / "docs" / "reading-the-maps.md"
    text = page.read_text("utf-8")
    for key in MAPS:
        assert f"{{ #{key} }}" in text, key
        assert help_url(key).endswith(f"/{page.stem}/#{key}")


def test_good_places_show_the_image_and_bad_ones_are_bright(model, plain, qtbot):
    pair(model)
    run(plain, qtbot)

    for key in WANTED:
        layer = shown(plain, key)
        limits = inspected(model).limits[key]
        low, high = layer.contrast_limits
        best, worst = ((value - low) / (high - low) for value in limits)
        good, bad = layer.colormap.map([best, worst])
        assert good[3] == 0, key
        assert bad[3] == 1, key
        assert bad[:3].sum() > 2, key


def test_maps_of_two_results_do_not_cover_each_other(model, plain, qtbot):
    truth = texture((SIDE, SIDE))
    layers = [
        model.add_image(pixels, name=name)
        for name, pixels in (
            ("truth", truth),
            ("sharp", faulty(truth)),
            ("faithful", truth + 9),
        )
    ]
    for result in layers[1:]:
        select(model, layers[0], result)
        run(plain, qtbot)
    order = list(model.layers)
    drawn = [layer for layer in order if map_of(layer) and layer.visible]
    assert [layer.metadata[KEY]["result"] for layer in drawn] == ["faithful"]
    choose(plain.maps.map, "error")
    assert order.index(drawn[0]) > max(map(order.index, layers))
    assert plain.maps.legend.bar.texts[-1] == "9"

    plain.which.setCurrentIndex(plain.which.findText("sharp"))
    drawn = [layer for layer in model.layers if map_of(layer) and layer.visible]
    assert [layer.metadata[KEY]["result"] for layer in drawn] == ["sharp"]
    assert plain.maps.layer == drawn[0]
    assert plain.scores.table.table is drawn[0].metadata[KEY]["inspection"].scores

    for layer in [one for one in model.layers if map_of(one)]:
        if layer.metadata[KEY]["result"] == "sharp":
            model.layers.remove(layer)
    assert plain.which.currentText() == "faithful"
    assert not plain.which.isVisibleTo(plain)  # nothing to choose


def test_maps_that_come_while_layers_are_compared_wait(
    model, plain, qtbot, notifications
):
    result, reference = pair(model)
    tick(plain, "error")
    run(plain, qtbot)
    plain.compare_selection()
    run(plain, qtbot)

    drawn = [layer for layer in model.layers if layer.visible]
    assert drawn == [reference, result]
    assert plain.tabs.tabText(plain.tabs.currentIndex()) == "Compare"
    assert "ready" in notifications()[-1]

    plain.compare.end()
    drawn = [layer for layer in model.layers if map_of(layer) and layer.visible]
    assert drawn == [plain.maps.layer]
    assert drawn[0].name == "structure error (2)"


def test_panel_agrees_with_the_controls_of_napari(model, plain, qtbot):
    pair(model)
    tick(plain, "ssim")
    run(plain, qtbot)
    (layer,) = maps(model).values()

    layer.contrast_limits = (0.2, 0.8)
    layer.opacity = 0.3
    layer.visible = False
    assert plain.maps.legend.bar.texts == ("0.8", "0.5", "0.2")
    assert plain.maps.opacity.value() == 30
    assert not plain.maps.drawn.isChecked()
    plain.maps.threshold.setValue(50)
    assert "0.5" in plain.maps.level.text()
    plain.maps.drawn.click()
    assert layer.visible


def test_threshold_hides_what_is_better(viewer, dock, qtbot):
    pair(viewer)
    show(viewer, qtbot)
    run(dock, qtbot)
    viewer.reset_view()
    layer = shown(dock, "error")
    layer.visible = False
    bare = shot(viewer)
    layer.visible = True
    before = len(AVAILABLE_COLORMAPS)

    dock.maps.threshold.setValue(90)
    drawn = np.abs(shot(viewer) - bare).max(axis=-1) > 30
    dock.maps.threshold.setValue(0)

    rows, _ = np.nonzero(drawn)
    height, width = drawn.shape
    share = drawn.sum() / (height * width)
    assert 0 < share < 0.05  # the fault alone
    assert abs(rows.mean() - height / 2) < height / 4
    assert len(AVAILABLE_COLORMAPS) == before  # the menu of colormaps does not grow
    assert not dock.maps.level.isVisibleTo(dock.maps)  # everything is drawn
    dock.maps.threshold.setValue(50)
    assert dock.maps.level.text().startswith("hidden below")
    dock.maps.opacity.setValue(40)
    assert layer.opacity == pytest.approx(0.4)


def test_map_of_classes_has_names_and_no_threshold(model, plain, qtbot):
    truth = texture((SIDE, SIDE))
    model.add_image(truth[::2, ::2], name="cells")
    reference = model.add_image(truth, name="truth")
    result = model.add_image(faulty(truth), name="result")
    select(model, reference, result)
    tick(plain, "change")

    run(plain, qtbot)

    layer = maps(model)["change"]
    assert plain.maps.legend.bar.texts == MAPS["change"].classes
    assert not plain.maps.threshold.isEnabled()
    low, high = layer.contrast_limits
    colors = [layer.colormap.map([(n - low) / (high - low)])[0] for n in range(4)]
    assert colors[0][3] == 0
    assert len({tuple(color) for color in colors}) == 4


# -- what is said and saved ------------------------------------------------------------


def filaments() -> tuple[np.ndarray, np.ndarray]:
    """Return a measured image with noise, and its result with a filament erased."""
    truth = texture((SIDE, SIDE)).astype(float)
    truth[76:80, 20:80] = 5000
    measured = truth.reshape(64, 2, 64, 2).mean(axis=(1, 3))
    measured = np.random.default_rng(1).normal(measured, 30)
    result = truth.copy()
    result[72:84, 20:80] = truth.mean()
    return measured.astype(np.float32), result.astype(np.float32)


def test_an_erased_filament_is_said_and_is_the_first_place(model, plain, qtbot):
    measured, erased = filaments()
    source = model.add_image(measured, name="cells", scale=(2, 2), translate=(0.5, 0.5))
    select(model, source, model.add_image(erased, name="result"))
    tick(plain, "residual", "squirrel", "null_space")

    run(plain, qtbot)

    assert plain.maps.key == "residual"
    first = plain.maps.worst.places[0]
    assert first.rows[0] <= 78 < first.rows[1]
    text = plain.maps.found.text.text()
    assert "from the measurement by more than 4 times its noise" in text
    assert f"{len(plain.maps.worst.places)} place" in text
    assert text == inspected(model).sentence


def test_bicubic_stands_beside_the_result(model, plain, qtbot):
    truth = texture((SIDE, SIDE))
    measured = truth.reshape(64, 2, 64, 2).mean(axis=(1, 3)).astype(np.float32)
    model.add_image(measured, name="cells", scale=(2, 2), translate=(0.5, 0.5))
    reference = model.add_image(truth, name="truth")
    close = truth + np.random.default_rng(0).integers(0, 9, truth.shape, np.uint16)
    select(model, reference, model.add_image(close, name="result"))
    choose(plain.inspect.form.source, str(model.layers["cells"].unique_id))
    tick(plain, "ssim")

    run(plain, qtbot)

    table, means = plain.maps.found.gains, inspected(model).scores.means()
    cells = [[table.item(row, n).text() for n in range(2)] for row in range(3)]
    assert cells[0] == [f"{means['psnr']:.1f}", f"{means['psnr_bicubic']:.1f}"]
    assert cells[1] == [f"{means['ssim']:.2f}", f"{means['ssim_bicubic']:.2f}"]
    assert "better than bicubic" in plain.maps.found.text.text()
    assert table.item(0, 0).font().bold()


def test_a_warning_stays_beside_the_maps_that_it_weakens(model, plain, qtbot):
    truth = texture((SIDE, SIDE))
    model.add_image(truth[::2, ::2], name="cells")
    reference = model.add_image(texture((SIDE, SIDE), 5), name="another image")
    select(model, reference, model.add_image(truth, name="result"))
    tick(plain, "ssim", "null_space")

    run(plain, qtbot)

    shown(plain, "ssim")
    assert "hardly resembles the reference" in plain.maps.doubt.text()
    assert plain.maps.doubt.isVisibleTo(plain.maps)
    shown(plain, "null_space")
    assert not plain.maps.doubt.isVisibleTo(plain.maps)


def test_an_inspection_in_memory_is_saved_as_a_run_with_a_folder(
    model, plain, qtbot, tmp_path
):
    pair(model)
    run(plain, qtbot)
    panel, found = plain.maps.found, inspected(model)

    panel.save_into(tmp_path)
    (row,) = panel.jobs.rows
    qtbot.waitUntil(lambda: row.job.has_ended, timeout=TIMEOUT)

    assert row.text == "done"
    (folder,) = tmp_path.iterdir()
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    tables = {"scores.csv", "worst.csv", "inspection.json", "report.html"}
    assert names == tables | {f"{key}.ome.zarr" for key in WANTED}
    for key in WANTED:
        stored = open_source(folder / f"{key}.ome.zarr")
        pixels = stored.read((), slice(0, SIDE), slice(0, SIDE))[0]
        np.testing.assert_array_equal(pixels, found.maps[key])
    assert found.sentence in (folder / "report.html").read_text("utf-8")
    assert (folder / "scores.csv").read_text() == found.scores.to_csv()


# -- going to places -------------------------------------------------------------------


@pytest.mark.parametrize(
    "place", [{}, {"scale": (0.5, 0.13, 0.11), "translate": (7, 3, -7), "units": "um"}]
)
def test_click_on_the_worst_place_goes_there(viewer, dock, qtbot, place):
    result, _ = pair(viewer, (3, SIDE, SIDE), (2,), **place)
    show(viewer, qtbot)
    run(dock, qtbot)
    selected = set(viewer.layers.selection)
    choose(dock.maps.map, "error")

    dock.maps.worst.setCurrentCell(0, 0)

    first = dock.maps.worst.places[0]
    assert dict(first.plane) == {"z": 2}
    assert first.rows[0] <= MIDDLE[0] < first.rows[1]
    assert first.columns[0] <= MIDDLE[1] < first.columns[1]
    middle = [(sum(ends) - 1) / 2 for ends in (first.rows, first.columns)]
    expected = result.data_to_world((2, *middle))
    np.testing.assert_allclose(viewer.scene.camera.center[1:], expected[1:], atol=1e-6)
    assert viewer.dims.point[0] == pytest.approx(expected[0])
    side = (first.rows[1] - first.rows[0]) * result.scale[1] * viewer.scene.camera.zoom
    assert 0.2 * viewer.canvas.size[0] < side <= 0.34 * viewer.canvas.size[0]
    marker = viewer.layers["place"]
    middles = [marker.data_to_world(start + way / 2) for start, way in marker.data]
    np.testing.assert_allclose(np.mean(middles, axis=0), expected, atol=1e-6)
    lengths = np.linalg.norm(marker.data[:, 1], axis=1)
    np.testing.assert_allclose(lengths, first.rows[1] - first.rows[0], rtol=0.05)
    assert set(viewer.layers.selection) == selected

    choose(dock.maps.map, "ssim")
    dock.maps.worst.setCurrentCell(0, 0)
    assert dock.maps.key == "ssim"
    assert sum(layer.name.startswith("place") for layer in viewer.layers) == 1
    assert not any(
        dock.inspect.form.regions.itemText(n) == "place"
        for n in range(dock.inspect.form.regions.count())
    )


def test_a_key_goes_from_place_to_place(viewer, dock, qtbot):
    pair(viewer, (3, SIDE, SIDE), (2,))
    show(viewer, qtbot)
    run(dock, qtbot)
    choose(dock.maps.map, "error")
    places = dock.maps.worst.places
    assert places
    viewer.window.activate()
    qtbot.waitUntil(lambda: QApplication.activeWindow() is not None)
    visited = []
    dock.maps.worst.chosen.connect(visited.append)

    for _ in places:
        QTest.keyClick(canvas_of(viewer).native, Qt.Key.Key_F8)

    assert visited == list(places)
    centre = [(sum(ends) - 1) / 2 for ends in (places[-1].rows, places[-1].columns)]
    np.testing.assert_allclose(viewer.scene.camera.center[1:], centre, atol=1e-6)


def test_only_places_with_errors_are_listed(model, plain, qtbot):
    pair(model)
    tick(plain, "error")
    run(plain, qtbot)

    places = plain.maps.worst.places
    assert 0 < len(places) < 4
    assert all(place.value > 0 for place in places)
    plain.maps.worst.setCurrentCell(0, 0)
    assert plain.maps.worst.currentRow() == 0  # the rectangle that comes keeps it


def test_scores_go_to_planes(model, plain, qtbot):
    pair(model, (3, SIDE, SIDE), (2,), scale=(0.5, 0.1, 0.1))
    run(plain, qtbot)

    view = plain.scores.table
    view.clicked.emit(view.model().index(1, 0))
    assert model.dims.point[0] == pytest.approx(0.5)
    choose(plain.scores.score, "ssim")
    lines = plain.scores.plot.lines
    assert list(lines) == [WHOLE]
    assert min(lines[WHOLE], key=lambda point: point[1])[0] == 2
    plain.scores.plot.clicked.emit(2)
    assert model.dims.point[0] == pytest.approx(1.0)


# -- regions and scores ----------------------------------------------------------------


def test_table_of_regions_equals_the_api_and_its_csv(model, plain, qtbot, tmp_path):
    """Shapes lie in world units, on one plane, over pixels of another size."""
    result, reference = pair(model, (2, SIDE, SIDE), (1,), scale=(0.5, 0.1, 0.2))
    boxes = [(5.95, 2.1, 10.05, 14.1), (-1, -1, 4.95, 6.1)]  # between pixels
    corners = [
        np.array([[0, top, left], [0, top, right], [0, low, right], [0, low, left]])
        for top, left, low, right in boxes
    ]
    shapes = model.add_shapes(
        corners,
        shape_type="rectangle",
        name="cell",
        scale=(0.5, 1, 1),
        features={"stage": ["early", "late"]},
    )
    select(model, reference, result)
    choose(plain.inspect.form.regions, str(shapes.unique_id))

    run(plain, qtbot)

    labels = np.zeros((SIDE, SIDE), int)
    labels[60:101, 11:71] = 1
    labels[:50, :31] = 2
    found = result_of(
        iter_inspect(
            result,
            reference,
            regions=labels,
            region_names={1: "cell 1", 2: "cell 2"},
            settings=InspectSettings(maps=WANTED, device="cpu"),
        )
    ).scores
    table = plain.scores.table.table
    assert table.header == found.header
    assert len(table.rows) == 6
    for mine, theirs in zip(table.rows, found.rows, strict=True):
        assert (mine.plane, mine.region) == (theirs.plane, theirs.region)
        assert mine.pixels == theirs.pixels
        assert mine.values == theirs.values
    path = tmp_path / "scores.csv"
    plain.scores.table.save_csv(path)
    assert path.read_text() == table.to_csv()
    assert list(shapes.features["stage"]) == ["early", "late"]
    assert shapes.features["psnr"][0] == pytest.approx(table.means("cell 1")["psnr"])
    choose(plain.scores.score, "ssim")
    assert set(plain.scores.plot.lines) == {WHOLE, "cell 1", "cell 2"}


def test_labels_of_other_pixels_are_exact(model, plain, qtbot):
    """A flat mask with pixels twice as large, on a stack; one label is outside."""
    result, reference = pair(model, (2, SIDE, SIDE), (1,), scale=(0.5, 0.1, 0.1))
    mask = np.zeros((70, 70), np.int32)
    mask[35:43, 15:23] = 3
    mask[0:10, 0:10] = 7
    mask[65:, 65:] = 9
    labels = model.add_labels(
        mask, name="nuclei", scale=(0.2, 0.2), translate=(0.05, 0.05)
    )
    select(model, reference, result)
    choose(plain.inspect.form.regions, str(labels.unique_id))

    run(plain, qtbot)

    rows = [row for row in inspected(model).scores.rows if row.region != WHOLE]
    assert [(row.region, row.pixels) for row in rows[:2]] == [
        ("nuclei 3", 256),
        ("nuclei 7", 400),
    ]
    assert list(labels.features["index"]) == [3, 7]
    wrong = labels.features["error"]
    assert wrong[0] > 100 * max(wrong[1], 0.1)


@pytest.mark.parametrize("kind", ["labels", "shapes"])
def test_regions_without_objects_are_refused_in_words(
    model, plain, qtbot, notifications, kind
):
    result, reference = pair(model)
    if kind == "labels":
        layer = model.add_labels(np.zeros((SIDE, SIDE), int), name="mask")
    else:
        layer = model.add_shapes(name="mask", ndim=2)
    select(model, reference, result)
    choose(plain.inspect.form.regions, str(layer.unique_id))

    row = run(plain, qtbot)

    assert row.text == "failed"
    assert "mask" in notifications()[-1]
    assert maps(model) == {}


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.full((SIDE, SIDE), 7, np.uint16), "equal"),
        (np.full((SIDE, SIDE), np.nan, np.float32), "nothing but NaN"),
    ],
    ids=["constant", "nan"],
)
def test_images_without_structure_are_refused_in_words(
    model, plain, qtbot, notifications, pixels, words
):
    result = model.add_image(texture((SIDE, SIDE)), name="result")
    reference = model.add_image(pixels, name="truth", contrast_limits=(0, 1))
    choose(plain.inspect.form.result, str(result.unique_id))
    choose(plain.inspect.form.reference, str(reference.unique_id))

    row = run(plain, qtbot)

    assert row.text == "failed"
    assert words in notifications()[-1]
    assert maps(model) == {}


# -- living with the viewer ------------------------------------------------------------


def test_results_in_a_folder_are_shown_lazily(model, plain, qtbot, tmp_path):
    pair(model)
    choose(plain.inspect.form.output, "folder")
    assert plain.inspect.run_button.toolTip() == "Choose the folder for the maps."
    plain.inspect.form.folder.value = tmp_path

    run(plain, qtbot)

    layer = shown(plain, "error")
    pixels = layer.data[0] if layer.multiscale else layer.data
    assert hasattr(pixels, "compute")
    assert np.asarray(pixels).shape == (SIDE, SIDE)
    (folder,) = tmp_path.iterdir()
    assert (folder / "scores.csv").read_text() == inspected(model).scores.to_csv()


def test_a_dock_opened_later_shows_the_same(viewer, dock, qtbot):
    pair(viewer)
    run(dock, qtbot)
    before = inspected(viewer)
    viewer.window.remove_dock_widget(dock)
    dock.deleteLater()
    qtbot.wait(20)
    viewer.layers.selection.active = viewer.layers[0]  # disturbs nothing

    later = ErrorDock(viewer)
    viewer.window.add_dock_widget(later, name="Structure error")

    assert later.maps.key == "ssim"
    assert later.maps.found.text.text() == before.sentence
    assert later.scores.table.table is before.scores


def test_maps_that_are_removed_are_no_longer_offered(model, plain, qtbot):
    pair(model)
    run(plain, qtbot)

    model.layers.remove(maps(model)["ssim"])
    assert not plain.maps.isVisibleTo(plain)
    assert plain.scores.table.texts() == []


def test_menu_holds_the_commands(viewer):
    menu = get_app_model().menus.get_menu("napari/layers/measure")
    ids = {item.command.id for item in menu if hasattr(item, "command")}

    assert {
        "napari-structsr.inspect_against_reference",
        "napari-structsr.inspect_result",
        "napari-structsr.compare_selected",
    } <= ids


def find_docks(viewer):
    """Return the Structure error docks that are open."""
    docks = viewer.window.dock_widgets.values()
    return [dock for dock in docks if isinstance(dock, ErrorDock)]


def test_one_click_against_a_reference(viewer, qtbot, notifications):
    pair(viewer)

    command = "napari-structsr.inspect_against_reference"
    get_app_model().commands.execute_command(command)
    qtbot.waitUntil(lambda: bool(find_docks(viewer)), timeout=TIMEOUT)
    qtbot.waitUntil(lambda: not Job._alive, timeout=TIMEOUT)

    assert notifications() == []
    assert {"error", "ssim", "gradient"} <= set(inspected(viewer).maps)
    (dock,) = find_docks(viewer)
    assert dock.tabs.tabText(dock.tabs.currentIndex()) == "Map"


def test_one_click_says_what_is_missing(viewer, qtbot, notifications):
    viewer.add_image(texture((SIDE, SIDE)), name="result")

    for command in ("inspect_against_reference", "inspect_result"):
        get_app_model().commands.execute_command(f"napari-structsr.{command}")

    qtbot.waitUntil(lambda: len(notifications()) == 2, timeout=TIMEOUT)
    assert "Select two image layers" in notifications()[0]
    assert "Choose a reference" in notifications()[1]


def test_one_click_compares(viewer, qtbot):
    pair(viewer)
    show(viewer, qtbot)

    get_app_model().commands.execute_command("napari-structsr.compare_selected")
    qtbot.waitUntil(lambda: bool(find_docks(viewer)), timeout=TIMEOUT)

    assert viewer.canvas.grid.enabled
    (dock,) = find_docks(viewer)
    assert dock.tabs.tabText(dock.tabs.currentIndex()) == "Compare"
    dock.compare.end()
    assert not viewer.canvas.grid.enabled


def test_cancelling_leaves_nothing_behind(model, plain, qtbot, monkeypatch):
    from napari_structsr.gui.inspect import run as error_runs

    events = error_runs.run_inspection

    def stopped(asked, names, *, cancel):
        cancel()  # as if the user had been quick
        yield from events(asked, names, cancel=cancel)

    monkeypatch.setattr(error_runs, "run_inspection", stopped)
    pair(model)

    row = run(plain, qtbot)

    assert row.text == "cancelled"
    assert maps(model) == {}
    assert plain.inspect.run_button.isEnabled()
