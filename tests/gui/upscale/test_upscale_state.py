"""What the dock offers and refuses follows from the form and the selection alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_structsr.gui.upscale.state import Choice, LayerFacts, resolve

MODELS = {"faithful": (2,), "bicubic": (2, 4)}
CELLS = LayerFacts("cells")
MASK = LayerFacts("mask", obstacle="labels hold no intensities")
TISSUE = LayerFacts("tissue", rgb=True)


def test_everything_works_with_one_image():
    state = resolve(Choice(), [CELLS], models=MODELS)

    assert (state.run, state.preview, state.copy) == (None, None, None)
    assert state.layers == "cells"


def test_nothing_selected_is_said_on_every_button():
    state = resolve(Choice(), [], models=MODELS)

    assert state.run == state.preview == state.copy
    assert state.run == "Select one or more image layers."


def test_layers_that_cannot_be_upscaled_are_named_with_the_reason():
    state = resolve(Choice(), [CELLS, MASK], models=MODELS)

    assert state.layers == "mask: labels hold no intensities\ncells"
    assert state.run is None


def test_many_layers_do_not_fill_the_dock():
    state = resolve(Choice(), [LayerFacts(f"{n}") for n in range(9)], models=MODELS)

    assert state.layers == "0\n1\n2\n3\n4\nand 4 more"
    mixed = resolve(Choice(), [LayerFacts("0")] * 9 + [MASK], models=MODELS)
    assert mixed.layers.startswith("mask: labels hold no intensities\n0\n")


def test_only_unable_layers_disable_run_with_the_reason():
    state = resolve(Choice(), [MASK], models=MODELS)

    assert state.run == "mask: labels hold no intensities"


def test_factor_falls_back_to_what_the_model_offers():
    state = resolve(Choice(model="faithful", factor=4), [CELLS], models=MODELS)

    assert state.choice.factor == 2
    assert state.factors == (2,)


def test_unknown_model_of_the_settings_falls_back_to_the_first():
    state = resolve(Choice(model="gone"), [CELLS], models=MODELS)

    assert state.choice.model == "faithful"


def test_sharpness_is_asked_for_models_with_a_partner_alone():
    def found(model: str):
        choice = Choice(model=model, sharpness=0.6)
        return resolve(choice, [CELLS], models=MODELS, blending={"faithful"})

    assert found("faithful").shows_sharpness
    assert found("faithful").choice.sharpness == 0.6
    assert not found("bicubic").shows_sharpness
    assert found("bicubic").choice.sharpness == 1


def test_the_label_names_a_sharpness_below_the_whole():
    assert Choice(model="sharp", sharpness=0.6).label == "×2 sharp 60%"
    assert Choice(model="sharp").label == "×2 sharp"
    assert Choice(model="/models/mine-x2.safetensors").label == "×2 mine-x2"
    assert Choice(model="C:\\models\\other.pth").label == "×2 other"
    assert Choice(model="mine.v2").label == "×2 mine.v2"


@pytest.mark.parametrize(("layers", "shown"), [([CELLS], False), ([TISSUE], True)])
def test_colour_is_asked_for_colour_alone(layers, shown):
    assert resolve(Choice(), layers, models=MODELS).shows_color is shown


def test_folder_must_be_chosen_and_exist(tmp_path: Path):
    def run(folder: Path) -> str | None:
        return resolve(Choice(folder=folder), [CELLS], models=MODELS).run

    assert run(tmp_path) is None
    assert run(Path()) == "Choose the folder for the results."
    assert "does not exist" in run(tmp_path / "gone")


def test_preview_needs_one_layer_a_plane_and_a_free_device():
    def preview(layers=(CELLS,), **facts) -> str | None:
        return resolve(Choice(), layers, models=MODELS, **facts).preview

    assert preview() is None
    assert preview([CELLS, TISSUE]) == "Select a single layer."
    # channels that are layers of their own are looked at together
    assert resolve(Choice(), [CELLS, TISSUE], models=MODELS).look is None
    assert "under way" in preview(busy=True)
    assert (
        preview(view="A preview needs the 2D view.") == "A preview needs the 2D view."
    )
