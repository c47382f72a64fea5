"""Telling a model the optics, in a real viewer."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.layers._source import layer_source
from qtpy.QtGui import QGuiApplication
from scenes import choose, noise

from napari_structsr.io.weights import write_bundle

TIMEOUT = 120_000
XML = """<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
<Instrument ID="Instrument:0"><Objective ID="Objective:0" LensNA="1.2"/></Instrument>
<Image ID="Image:0"><ObjectiveSettings ID="Objective:0"/>
<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="50" SizeY="40"
 SizeZ="1" SizeC="2" SizeT="1" PhysicalSizeX="0.1" PhysicalSizeY="0.1">
<Channel ID="Channel:0:0" Name="DAPI" SamplesPerPixel="1" EmissionWavelength="461"/>
<Channel ID="Channel:0:1" Name="Cy5" SamplesPerPixel="1" EmissionWavelength="670"/>
<TiffData/></Pixels></Image></OME>"""
DAPI, CY5 = (0.9 * 0.225 * light / 1.2 / 0.1 for light in (0.461, 0.670))


@pytest.fixture
def dock(tmp_path, monkeypatch, viewer, make_told_model):
    """Return a dock that offers a model which changes much with what it is told."""
    monkeypatch.setenv("STRUCTSR_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    for factor in (1, 2):
        model = make_told_model(factor, tail=0.1, gains=0.1, psf_range=(0.25, 2.0))
        write_bundle(
            tmp_path / "models" / f"told-x{factor}",
            model.card.model_dump(exclude={"sha256"}),
            model.network.state_dict(),
        )
    from napari_structsr.gui.upscale.dock import UpscaleDock

    dock = UpscaleDock(viewer)
    viewer.window.add_dock_widget(dock, name="Upscale")
    choose(dock.form.model, "told")
    choose(dock.form.factor, 2)
    return dock


def add_stack(viewer, tmp_path, **options):
    """Add two channels as napari's own reader does: without names or pixel size."""
    path = tmp_path / "cells.ome.tif"
    pixels = noise((2, 40, 50))
    tifffile.imwrite(path, pixels, description=XML.encode(), metadata=None)
    with layer_source(path=str(path)):
        return viewer.add_image(pixels, name="cells", **options)


def run(dock, qtbot):
    dock.run_button.click()
    qtbot.waitUntil(
        lambda: bool(dock.jobs.rows) and not dock.jobs.is_busy, timeout=TIMEOUT
    )


def told(layer):
    record = layer.metadata["structsr"]["record"]
    return [one["psf_sigma"] for one in record["model"]["optics"]]


def is_shown(widget):
    return not widget.isHidden()


def test_rows_are_there_for_models_that_can_be_told_alone(viewer, dock):
    rows = dock.form.optics
    viewer.add_image(noise((40, 50)), name="cells")
    assert is_shown(rows._wishes)
    assert rows.keep.isChecked()
    assert rows.keep.text() == "Finer pixels, same optics"
    assert " ".join(rows.undo.text().split()) == "Undo the blur of the optics"
    assert rows.told.text() == "Told: blur of 0.35 pixels, noise measured in the image."
    for widget in (rows.source, rows.aperture, rows.confocal, rows.psf_sigma):
        assert not is_shown(widget)

    rows.undo.setChecked(True)
    assert is_shown(rows.source)
    assert is_shown(rows.aperture)
    assert not dock.run_button.isEnabled()
    assert dock.run_button.toolTip() == rows.told.text()
    assert "numerical aperture" in rows.told.text()

    choose(dock.form.model, "bicubic")
    assert not is_shown(rows._wishes)
    assert not is_shown(rows.told)
    assert dock.run_button.isEnabled()


def test_factors_are_those_of_the_model(viewer, dock):
    factor = dock.form.factor

    def offered():
        return [
            factor.itemData(n)
            for n in range(factor.count())
            if factor.model().item(n).isEnabled()
        ]

    assert offered() == [1, 2]
    choose(factor, 1)
    assert dock.form.optics.keep.text() == "Same pixels, same optics"
    choose(dock.form.model, "bicubic")
    assert offered() == [2, 4]
    assert factor.findData(1) == -1
    assert factor.currentData() == 2


def test_the_file_says_how_each_channel_was_taken(viewer, dock, qtbot, tmp_path):
    source = add_stack(viewer, tmp_path)
    dock.form.optics.undo.setChecked(True)
    words = dock.form.optics.told.text()
    assert "DAPI: 0.78 pixels (from file: NA 1.2, 461 nm)" in words
    assert "Cy5: 1.13 pixels (from file: NA 1.2, 670 nm)" in words
    dock.estimate.estimate()
    qtbot.waitUntil(lambda: "tile" in dock.estimate.text(), timeout=TIMEOUT)

    run(dock, qtbot)

    result = viewer.layers[1]
    assert result.name == "cells ×2 told, blur undone"
    assert result.data.shape == (2, 80, 100)
    np.testing.assert_allclose(result.scale, (1, 0.5, 0.5))
    assert told(result) == pytest.approx([DAPI, CY5])

    viewer.layers.selection = {source}
    dock.copy_button.click()
    text = QGuiApplication.clipboard().text()
    assert "--model told" in text
    assert text.endswith("--undo-optics")


def test_a_channel_by_itself_is_known_by_its_name(viewer, dock, tmp_path):
    stack = add_stack(viewer, tmp_path)
    with layer_source(path=stack.source.path):
        viewer.add_image(stack.data[1], name="cells :: Cy5")
        viewer.add_image(stack.data[1], name="cells 1")
        viewer.add_image(stack.data[1, 3:], name="Cy5")
    dock.form.optics.undo.setChecked(True)

    viewer.layers.selection = {viewer.layers["cells :: Cy5"]}
    assert dock.form.optics.told.text().startswith(
        "Told: blur of 1.13 pixels (from file"
    )
    for name in ("cells 1", "Cy5"):  # which channel, and which pixels, is not said
        viewer.layers.selection = {viewer.layers[name]}
        assert not dock.run_button.isEnabled()


def test_numbers_of_the_file_are_where_another_source_begins(viewer, dock, tmp_path):
    add_stack(viewer, tmp_path)
    rows = dock.form.optics
    rows.undo.setChecked(True)

    choose(rows.source, "formula")
    assert (rows.aperture.value(), rows.wavelength.value()) == (1.2, 461)
    rows.aperture.setValue(0.8)
    assert "by hand: NA 0.8, 461 nm" in rows.told.text()
    dock.copy_button.click()
    command = QGuiApplication.clipboard().text()
    assert "--undo-optics --na 0.8 --wavelength 0.461 --wide-field" in command

    choose(rows.source, "hand")
    assert rows.psf_sigma.value() == 1.17
    rows.psf_sigma.setValue(0.9)
    assert rows.told.text().startswith("Told: blur of 0.90 pixels (by hand)")
    dock.copy_button.click()
    assert QGuiApplication.clipboard().text().endswith("--psf-sigma 0.9")


def test_a_width_by_hand_reaches_run_preview_and_script(
    viewer, dock, qtbot, tmp_path, monkeypatch
):
    layer = viewer.add_image(noise((40, 50)), name="cells")
    rows = dock.form.optics
    rows.undo.setChecked(True)
    choose(rows.source, "hand")
    rows.psf_sigma.setValue(1.2)
    assert rows.told.text().startswith("Told: blur of 1.20 pixels (by hand)")

    dock.preview_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=TIMEOUT)
    preview = np.asarray(viewer.layers[1].data)
    run(dock, qtbot)
    assert told(viewer.layers[1]) == [1.2]
    np.testing.assert_array_equal(preview, viewer.layers[1].data)

    viewer.layers.selection = {layer}
    rows.keep.setChecked(True)
    run(dock, qtbot)
    assert told(viewer.layers[2]) == [0.35]  # the last result is on top

    rows.undo.setChecked(True)
    dock.copy_button.click()
    script = QGuiApplication.clipboard().text()
    assert "psf_sigma=1.2" in script
    monkeypatch.chdir(tmp_path)
    exec(script, {})
    assert (tmp_path / "cells_x2_told_blur_undone.ome.zarr").exists()


def test_a_preview_is_told_the_optics_of_its_channel(viewer, dock, qtbot, tmp_path):
    add_stack(viewer, tmp_path)
    dock.form.optics.undo.setChecked(True)
    run(dock, qtbot)
    whole = np.asarray(viewer.layers[1].data)
    viewer.layers.selection = {viewer.layers[0]}
    viewer.dims.set_point(0, 1)

    dock.preview_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=TIMEOUT)

    # above the result, which would hide it
    assert viewer.layers[2].name == "preview ×2 told, blur undone"
    np.testing.assert_array_equal(np.asarray(viewer.layers[2].data)[0], whole[1])


def test_the_command_repeats_what_the_pixel_size_of_the_layer_gives(
    viewer, dock, tmp_path
):
    add_stack(viewer, tmp_path, scale=(1, 0.2, 0.2), units=("pixel", "um", "um"))
    rows = dock.form.optics
    rows.undo.setChecked(True)
    choose(rows.source, "formula")

    dock.copy_button.click()

    # the file says 0.1 um
    assert "psf_sigma=0.389" in QGuiApplication.clipboard().text()
