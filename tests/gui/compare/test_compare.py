"""Comparing layers in a real viewer: what is seen, and that all comes back."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt, QTimer
from scenes import noise, pair, shot, show

from napari_structsr.errors import SettingsError
from napari_structsr.gui.compare.comparison import LayerComparison
from napari_structsr.gui.compare.panel import ComparePanel
from napari_structsr.gui.compare.swipe import canvas_of

TIMEOUT = 10_000
MODES = ["side_by_side", "blink", "swipe"]


def state(viewer) -> dict[str, object]:
    """Return everything that a comparison may change."""
    grid, camera = viewer.canvas.grid, viewer.scene.camera
    names = [layer.name_overlay for layer in viewer.layers]
    return {
        "order": [layer.name for layer in viewer.layers],
        "selection": {layer.name for layer in viewer.layers.selection},
        "visible": [layer.visible for layer in viewer.layers],
        "blending": [layer.blending for layer in viewer.layers],
        "planes": [len(la.experimental_clipping_planes) for la in viewer.layers],
        "names": [(name.visible, str(name.position)) for name in names],
        "grid": (grid.enabled, grid.stride, grid.shape, grid.spacing),
        "camera": (camera.center, camera.zoom, camera.angles, camera.mouse_pan),
        "overlays": set(viewer.canvas.overlays),
        "callbacks": len(viewer.mouse_drag_callbacks),
    }


def visible(viewer) -> list[str]:
    return [layer.name for layer in viewer.layers if layer.visible]


@pytest.fixture
def model(qtbot):
    """Return a viewer without a window, for what needs none."""
    return ViewerModel()


@pytest.fixture
def windowless(model, qtbot):
    """Return the panel of a viewer without a window."""
    panel = ComparePanel(model)
    qtbot.addWidget(panel)
    return panel


@pytest.fixture
def panel(viewer):
    panel = ComparePanel(viewer)
    viewer.window.add_dock_widget(panel, name="Compare")
    return panel


def test_each_layer_has_a_cell_with_the_same_field(viewer, qtbot):
    show(viewer, qtbot)
    source, fine = pair(viewer)
    viewer.add_labels(np.ones((40, 50), int), name="mask")
    viewer.fit_to_view()
    before = state(viewer)
    comparison = LayerComparison(viewer, [source, fine])

    comparison.side_by_side()

    assert visible(viewer) == ["cells", "cells ×2"]
    assert viewer.canvas.grid.actual_shape(viewer.layers) == (1, 2)
    source.name_overlay.visible = fine.name_overlay.visible = False
    cell = round(viewer.canvas.viewbox_size(viewer.layers)[1])
    shot(viewer)  # napari lays out cells when it draws them first
    pixels = shot(viewer)
    left, right = pixels[:, :cell], pixels[:, -cell:]
    assert (right[..., [0, 2]] == 0).all()  # green is one of them alone
    assert (left[..., 0] == left[..., 1]).all()  # and grey the other
    # the bead stands at the same place in both, to half a pixel of the source
    both = (left[..., 1], right[..., 1])
    where = [np.argwhere(plane > plane.max() / 2) for plane in both]
    apart = where[0].mean(axis=0) - where[1].mean(axis=0)
    assert np.abs(apart).max() < 0.5 * viewer.scene.camera.zoom
    assert left[..., 1].any(axis=0).sum() > 0.8 * cell  # as large as there is room

    comparison.end()
    assert state(viewer) == before


def test_all_comes_back(viewer):
    source, fine = pair(viewer)
    fine.blending = "additive"
    source.visible = False
    hidden = viewer.add_image(noise((40, 50)), name="hidden", visible=False)
    hidden.name_overlay.visible = True
    viewer.add_points([[3, 4]], name="spots")
    viewer.canvas.grid.stride, viewer.canvas.grid.spacing = 2, 0.1
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0, 3, 4), 7.0
    comparison = LayerComparison(viewer, [source, fine])
    for mode in MODES:
        viewer.canvas.grid.enabled = mode == "swipe"
        before = state(viewer)
        for name in (*MODES, mode):  # one after the other, and back to one
            getattr(comparison, name)()
            assert state(viewer) != before

        viewer.scene.camera.center = (0, 20, 20)
        comparison.end()

        assert comparison.mode is None
        assert state(viewer) == before


def test_modes_keep_the_place_and_the_field(viewer):
    source, fine = pair(viewer)
    comparison = LayerComparison(viewer, [source, fine])
    with pytest.raises(SettingsError, match="both sides"):
        comparison.swipe(left=source, right=source)
    comparison.swipe()
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0, 10, 12), 20.0

    comparison.side_by_side()
    assert viewer.scene.camera.center == (0, 10, 12)
    assert viewer.scene.camera.zoom < 20
    comparison.blink()
    assert viewer.scene.camera.center == (0, 10, 12)
    assert viewer.scene.camera.zoom == pytest.approx(20)
    comparison.end()


def test_blink_alternates_steps_and_stops(viewer, qtbot):
    source, fine = pair(viewer)
    viewer.add_labels(np.ones((40, 50), int), name="mask")
    comparison = LayerComparison(viewer, [source, fine])
    seen = []
    comparison.changed.connect(lambda: seen.append(visible(viewer)))

    comparison.blink(0.01)
    assert [t.interval() for t in comparison.findChildren(QTimer)] == [200]
    qtbot.waitUntil(lambda: len(seen) > 3, timeout=TIMEOUT)
    assert seen[:4] == [["cells"], ["cells ×2"], ["cells"], ["cells ×2"]]
    assert comparison.shown.name_overlay.visible

    comparison.step()
    assert not comparison.is_blinking
    now = visible(viewer)
    comparison.step()
    assert {*now, *visible(viewer)} == {"cells", "cells ×2"}

    comparison.blink()
    comparison.end()
    assert not comparison.is_blinking
    assert visible(viewer) == ["cells", "cells ×2", "mask"]


def test_a_layer_that_goes_ends_it(viewer):
    source, fine = pair(viewer)
    viewer.add_labels(np.ones((40, 50), int), name="mask")
    for mode in MODES:
        comparison = LayerComparison(viewer, [source, fine])
        ended = []
        comparison.ended.connect(lambda ended=ended: ended.append(True))
        getattr(comparison, mode)()

        del viewer.layers["cells ×2"]

        assert ended == [True]
        assert not comparison.is_blinking
        assert visible(viewer) == ["cells", "mask"]
        assert not viewer.canvas.grid.enabled
        assert not source.name_overlay.visible
        viewer.layers.insert(1, fine)


def test_a_layer_that_does_not_matter_may_come_and_go(model):
    source, fine = pair(model)
    comparison = LayerComparison(model, [source, fine])
    comparison.side_by_side()

    model.add_points([[3, 4]], name="spots")
    assert model.layers["spots"].visible
    del model.layers["spots"]
    model.add_image(noise((80, 100)), name="a map")  # would cover what is compared
    assert not model.layers["a map"].visible

    assert comparison.mode == "side by side"
    comparison.end()
    assert model.layers["a map"].visible


@pytest.mark.parametrize("mode", MODES)
def test_the_grid_of_napari_ends_it(viewer, mode):
    pair(viewer)
    before = state(viewer)
    comparison = LayerComparison(viewer, list(viewer.layers))
    getattr(comparison, mode)()
    grid = viewer.canvas.grid

    grid.enabled = wanted = not grid.enabled

    assert comparison.mode is None
    assert grid.enabled == wanted
    grid.enabled = False
    assert state(viewer) == before


def test_keys_of_the_canvas_go_on_and_end(viewer, qtbot):
    show(viewer, qtbot)
    pair(viewer)
    canvas = canvas_of(viewer).native
    taken = []
    viewer.bind_key(".", taken.append)
    comparison = LayerComparison(viewer, list(viewer.layers))

    comparison.swipe()
    qtbot.keyClick(canvas, Qt.Key.Key_Period)
    assert comparison.line.fraction == pytest.approx(0.55)
    comparison.blink()
    qtbot.keyClick(canvas, Qt.Key.Key_Comma)
    assert visible(viewer) == ["cells ×2"]
    assert not comparison.is_blinking
    assert taken == []
    qtbot.keyClick(canvas, Qt.Key.Key_Escape)
    assert comparison.mode is None
    qtbot.keyClick(canvas, Qt.Key.Key_Period)
    assert len(taken) == 1


@pytest.mark.parametrize("how", ["viewer", "window"])
def test_closing_while_blinking_leaves_no_timer(viewer, panel, qtbot, how):
    source, fine = pair(viewer)
    comparison = LayerComparison(viewer, [source, fine])
    timers = []
    comparison.destroyed.connect(lambda: timers.append("gone"))
    comparison.blink(0.2)
    assert any(t.isActive() for t in comparison.findChildren(QTimer))
    changed, ended = [], []
    comparison.changed.connect(lambda: changed.append(True))
    comparison.ended.connect(lambda: ended.append(True))

    if how == "viewer":
        viewer.close()
        assert ended == [True]
    else:
        viewer.window.close()
    qtbot.waitUntil(lambda: timers == ["gone"], timeout=TIMEOUT)

    changed.clear()
    qtbot.wait(300)
    assert changed == []
    viewer.layers.clear()  # and what is left asks for nothing that is gone


def test_contrast_is_shared_on_request_and_given_back(model):
    source, fine = pair(model)
    fine.contrast_limits, fine.gamma = (100, 900), 0.5
    comparison = LayerComparison(model, [source, fine])
    comparison.side_by_side()
    comparison.share_contrast(True)
    assert (fine.contrast_limits, fine.gamma) == ([0, 3200], 1.0)

    fine.contrast_limits = (50, 400)
    assert source.contrast_limits == [50, 400]
    comparison.end()

    assert source.contrast_limits == [0, 3200]
    assert (fine.contrast_limits, fine.gamma) == ([100, 900], 0.5)
    fine.contrast_limits = (1, 2)
    assert source.contrast_limits == [0, 3200]


def test_what_cannot_be_compared_is_said(model):
    source, _ = pair(model)
    colour = model.add_image(np.zeros((40, 50, 3), np.uint8))
    away = model.add_image(noise((40, 50)), name="away", translate=(0, 80))
    with pytest.raises(SettingsError, match="two or more"):
        LayerComparison(model, [source])
    with pytest.raises(SettingsError, match=r"do not overlap: along .* 49\.5 and .*79"):
        LayerComparison(model, [source, away])
    comparison = LayerComparison(model, [source, colour])
    with pytest.raises(SettingsError, match="Colour"):
        comparison.share_contrast(True)
    with pytest.raises(SettingsError, match="window"):
        comparison.swipe()
    assert comparison.mode is None


# -- the panel -------------------------------------------------------------------------


def result_of(viewer, source, *, name: str):
    """Add what an upscaling of a layer would have added."""
    made = {"structsr": {"source": source.name, "record": {}}}
    return viewer.add_image(
        noise((80, 100)), name=name, scale=(0.5, 0.5), metadata=made
    )


def test_ticks_come_from_what_belongs_together(model, windowless):
    cells = model.add_image(noise((40, 50)), name="cells")
    model.add_image(noise((40, 50)), name="other")
    sharp = result_of(model, cells, name="sharp")
    bicubic = result_of(model, cells, name="bicubic")

    error = result_of(model, sharp, name="where sharp is wrong")
    error.metadata["structsr"]["map"] = "ssim"

    model.layers.selection = {sharp}
    assert windowless.layers == [cells, sharp, bicubic]
    model.layers.selection = {bicubic, sharp}
    assert windowless.layers == [sharp, bicubic]

    windowless.form.list.item(1).setCheckState(Qt.CheckState.Checked)  # by hand
    model.layers.selection = {cells}
    assert [layer.name for layer in windowless.layers] == ["other", "sharp", "bicubic"]


def test_buttons_say_why_they_cannot_work(viewer, panel):
    buttons = panel.form.buttons
    assert not buttons["swipe"].isEnabled()
    assert "two or more" in buttons["blink"].toolTip()

    pair(viewer)
    assert all(button.isEnabled() for button in buttons.values())
    viewer.dims.ndisplay = 3
    assert not buttons["swipe"].isEnabled()
    assert "2D view" in buttons["swipe"].toolTip()
    assert buttons["blink"].isEnabled()
    viewer.dims.ndisplay = 2

    away = viewer.add_image(noise((40, 50)).astype(float), translate=(0, 80))
    panel.layers = [viewer.layers[0], away]
    assert "do not overlap" in buttons["side by side"].toolTip()
    away.translate = (0, 1)
    panel.layers = [viewer.layers[0], away]
    assert buttons["side by side"].isEnabled()
    assert "float64 and uint16" in panel.form.contrast.toolTip()
    assert not panel.form.contrast.isEnabled()


def test_contrast_is_the_same_unless_the_user_wants_otherwise(model, windowless):
    source, fine = pair(model)
    colour = model.add_image(np.zeros((40, 50, 3), np.uint8))
    fine.contrast_limits = (100, 900)
    windowless.layers = [source, fine]

    windowless.start("side by side")
    assert fine.contrast_limits == source.contrast_limits == [0, 3200]
    windowless.layers = [source, fine, colour]  # colour has none to share
    assert fine.contrast_limits == [100, 900]
    windowless.layers = [source, fine]
    assert fine.contrast_limits == [0, 3200]
    windowless.form.contrast.setChecked(False)
    assert fine.contrast_limits == [100, 900]
    windowless.end()
    windowless.start("blink")
    assert fine.contrast_limits == [100, 900]
    windowless.end()


def test_a_whole_visit(viewer, panel, qtbot):
    pair(viewer)
    before = state(viewer)
    form = panel.form

    form.buttons["side by side"].click()
    assert viewer.canvas.grid.enabled
    form.buttons["blink"].click()
    assert not viewer.canvas.grid.enabled
    assert form.shown.text() == "cells"
    form.next_button.click()
    assert form.shown.text() == "cells ×2"
    qtbot.keyClick(form.next_button, Qt.Key.Key_Space)
    assert form.shown.text() == "cells"
    form.pause_button.click()  # it says "Go on" now
    assert panel.comparison.is_blinking

    form.buttons["swipe"].click()
    assert form.line.value() == 500
    form.line.setValue(250)
    assert panel.comparison.line.fraction == pytest.approx(0.25)
    qtbot.keyClick(form.line, Qt.Key.Key_Right)
    assert panel.comparison.line.fraction == pytest.approx(0.26)
    viewer.scene.camera.center = (0, 20, 30)
    assert panel.comparison.line.fraction != pytest.approx(0.26, abs=0.01)
    assert form.line.value() == round(1000 * panel.comparison.line.fraction)

    form.buttons["swipe"].click()  # a second click ends it
    assert panel.comparison is None
    assert state(viewer) == before


def test_the_sides_can_be_chosen_and_change_places(viewer, panel):
    pair(viewer)
    third = viewer.add_image(noise((40, 50)), name="third")
    panel.layers = list(viewer.layers)
    panel.start("swipe")
    assert visible(viewer) == ["cells", "third"]

    panel.form.left.setCurrentIndex(1)
    panel.form.left.activated.emit(1)
    assert visible(viewer) == ["cells ×2", "third"]
    panel.form.left.setCurrentIndex(2)
    panel.form.left.activated.emit(2)
    assert panel.form.right.currentText() == "cells ×2"
    assert str(third.name_overlay.position) == "top_left"

    panel.form.list.item(2).setCheckState(Qt.CheckState.Unchecked)
    assert visible(viewer) == ["cells", "cells ×2"]
    panel.form.list.item(1).setCheckState(Qt.CheckState.Unchecked)
    assert panel.comparison is None  # one alone is no comparison
    assert visible(viewer) == ["cells", "cells ×2", "third"]


def test_the_3d_view_ends_a_swipe(viewer, panel):
    pair(viewer)
    panel.start("swipe")

    viewer.dims.ndisplay = 3

    assert panel.comparison is None
    assert not panel.form.end_button.isEnabled()
    assert visible(viewer) == ["cells", "cells ×2"]


def test_removing_the_panel_leaves_the_viewer_as_it_was(viewer, panel, qtbot):
    pair(viewer)
    before = state(viewer)
    panel.start("blink")

    viewer.window.remove_dock_widget(panel)

    assert state(viewer) == before
    viewer.layers.selection = {viewer.layers[0]}
    panel.deleteLater()
    qtbot.wait(20)


@pytest.mark.parametrize("mode", MODES)
def test_long_names_do_not_widen_the_panel(viewer, panel, mode):
    pair(viewer)
    panel.layers = list(viewer.layers)
    panel.start(mode.replace("_", " "))
    before = panel.minimumSizeHint().width()

    for layer in viewer.layers:
        layer.name = "a long name that a microscope has given " * 3

    assert panel.minimumSizeHint().width() == before
    panel.end()


def test_every_widget_has_a_name_and_an_order(windowless):
    form = windowless.form
    named = [form.list, form.period, form.left, form.right, form.line, form.table]
    assert all(widget.accessibleName() for widget in named)
    chain, widget = [], form.list
    for _ in range(40):
        widget = widget.nextInFocusChain()
        chain.append(widget)
    wanted = [*form.buttons.values(), form.end_button, form.contrast]
    assert [w for w in chain if w in wanted] == wanted


def test_a_second_comparison_ends_the_first(viewer, qtbot):
    layers = list(pair(viewer))
    show(viewer, qtbot)
    before = state(viewer)
    first, second = (LayerComparison(viewer, layers) for _ in range(2))

    first.blink()
    second.side_by_side()
    assert first.mode is None
    second.end()

    assert state(viewer) == before
