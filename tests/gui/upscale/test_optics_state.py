"""What the dock says of the optics follows from the form and the layers alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_structsr.core.axes import Axes, Axis, Channel, ImageSpec
from napari_structsr.core.optics import Optics
from napari_structsr.gui.upscale.optics.optics_choice import OpticsChoice, TrainedOptics
from napari_structsr.gui.upscale.state import Choice, LayerFacts, resolve

MODELS = {"faithful": (2, 4), "conditional": (1, 2, 4)}
TOLD = {("conditional", n): TrainedOptics(0.35, 0.25, 2.0) for n in (1, 2, 4)}
DAPI, CY5 = Optics(1.2, 0.461), Optics(1.2, 0.670)


def image(*optics: Optics | None, pixel: float = 0.1, unit="micrometer"):
    plane = [Axis(name, 40, pixel, unit=unit) for name in "yx"]
    axes = [Axis("c", len(optics)), *plane] if len(optics) > 1 else plane
    names = ("DAPI", "Cy5")
    channels = tuple(
        Channel(name, optics=one) for name, one in zip(names, optics, strict=False)
    )
    return ImageSpec("cells", Axes(tuple(axes)), np.dtype("uint16"), channels)


def show(spec: ImageSpec | None = None, *, model="conditional", **optics):
    choice = Choice(model=model, optics=OpticsChoice(**optics))
    layers = [LayerFacts("cells", spec=spec)]
    return resolve(choice, layers, models=MODELS, conditional=TOLD)


def test_other_models_are_told_nothing_and_keep_no_wish():
    state = show(model="faithful", undo=True)

    assert state.optics is None
    assert state.choice.optics == OpticsChoice()
    assert state.choice.label == "×2 faithful"
    assert (state.run, state.preview, state.copy) == (None, None, None)


def test_by_default_pixels_become_finer_and_the_optics_stay():
    state = show()

    assert not state.choice.optics.undo
    assert (
        state.optics.told == "Told: blur of 0.35 pixels, noise measured in the image."
    )
    assert state.run is None
    assert state.choice.optics.to_settings() == {}


def test_the_file_says_the_width_of_each_channel():
    state = show(image(DAPI, CY5), undo=True)

    assert state.optics.offers_file
    assert state.optics.told.splitlines() == [
        "Told, with noise measured in the image:",
        "DAPI: 0.78 pixels (from file: NA 1.2, 461 nm)",
        "Cy5: 1.13 pixels (from file: NA 1.2, 670 nm)",
    ]
    assert state.run is None
    assert state.choice.optics.to_settings() == {"undo_optics": True}
    assert state.choice.label == "×2 conditional, blur undone"


def test_a_layer_of_one_channel_needs_no_name():
    told = show(image(replace(DAPI, confocal=True)), undo=True).optics.told

    assert told == (
        "Told: blur of 0.55 pixels (from file: NA 1.2, 461 nm, confocal), "
        "noise measured in the image."
    )


def test_nothing_is_guessed_where_no_file_says_it():
    state = show(image(None), undo=True)

    assert not state.optics.offers_file
    assert state.choice.optics.source == "formula"
    assert state.optics.told == ""
    assert state.run == state.preview == state.copy == state.optics.obstacle
    assert "numerical aperture and the emission wavelength" in state.run


def test_aperture_and_wavelength_give_the_width():
    optics = {"aperture": 1.4, "wavelength": 0.52, "confocal": True}
    state = show(image(None), undo=True, source="formula", **optics)

    assert state.optics.told.startswith(
        "Told: blur of 0.53 pixels (by hand: NA 1.4, 520 nm"
    )
    assert state.choice.optics.to_settings() == {"undo_optics": True, **optics}


def test_what_is_said_by_hand_comes_before_the_file():
    by_formula = {"source": "formula", "aperture": 0.8, "wavelength": 0.6}

    assert (
        "by hand: NA 0.8, 600 nm"
        in show(image(DAPI), undo=True, **by_formula).optics.told
    )
    state = show(image(DAPI), undo=True, source="hand", psf_sigma=1.3)
    assert state.optics.told.startswith("Told: blur of 1.30 pixels (by hand)")
    assert state.choice.optics.to_settings() == {"psf_sigma": 1.3}


@pytest.mark.parametrize(
    ("spec", "optics", "words"),
    [
        (image(None), {"source": "hand"}, "0.25 to 2"),
        (image(None), {"source": "hand", "psf_sigma": 0.1}, "0.25 to 2"),
        (image(DAPI, None), {}, "does not say how Cy5 was taken"),
        (image(DAPI, unit=None), {}, "no pixel size in a unit of length"),
        (image(DAPI, pixel=0.02), {}, "3.9 pixels wide, and the model knows 2"),
        (
            image(None),
            {"source": "formula", "aperture": 1.2, "wavelength": 0.005},
            "in nanometres, 100 to 5000",
        ),
    ],
)
def test_what_stands_in_the_way_is_said_on_every_button(spec, optics, words):
    state = show(spec, undo=True, **optics)

    assert words in state.run
    assert state.run == state.preview == state.copy


def test_an_undersampled_image_is_told_the_least_that_was_trained():
    assert "0.25 pixels" in show(image(DAPI, pixel=1.0), undo=True).optics.told


def test_factor_1_is_offered_by_models_that_have_it_alone():
    choice = Choice(model="conditional", factor=1)
    assert resolve(choice, [], models=MODELS, conditional=TOLD).choice.factor == 1

    choice = Choice(model="faithful", factor=1)
    assert resolve(choice, [], models=MODELS, conditional=TOLD).choice.factor == 2
