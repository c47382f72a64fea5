"""`structsr calibrate`: how far a model is off on the user's own microscope."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from napari_structsr.cli.terminal import err, exit_on_error, out, read_factor
from napari_structsr.errors import SettingsError


def calibrate(
    source: Annotated[
        list[str], typer.Option(help="What was measured; repeat for more.")
    ],
    reference: Annotated[
        list[str],
        typer.Option(help="The truth of each source, in their order, finer pixels."),
    ],
    output: Annotated[
        Path, typer.Option("--out", help="name.json, for structsr inspect.")
    ],
    model: Annotated[
        str, typer.Option(help="Name, or .safetensors, .pth, .onnx or .zip file.")
    ] = "sharp",
    factor: Annotated[
        int,
        typer.Option(
            parser=read_factor, metavar="N", help="1, 2 or 4, as the model has it."
        ),
    ] = 2,
    sharpness: Annotated[
        float, typer.Option(help="Of sharp: 0 is faithful, 1 is sharp.")
    ] = 1.0,
    psf_sigma: Annotated[
        float | None,
        typer.Option(
            min=0.25,
            max=2,
            help="For conditional models: blur between reference and source, in "
            "pixels of the source; by default what the model undoes by itself.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of the choice of patches.")] = 0,
) -> None:
    """Calibrate expected errors and intervals on pairs of images."""
    with exit_on_error(), ExitStack() as held:
        if len(source) != len(reference):
            raise SettingsError(
                f"there are {len(source)} sources and {len(reference)} references; "
                "give one --reference for each --source, in the same order"
            )
        from napari_structsr.zoo.catalogue import find_card, load_model

        # an unknown name is refused before torch is imported, which takes seconds
        find_card(model, factor=factor, sharpness=sharpness)
        from napari_structsr.calibration.fit import calibrate as fit
        from napari_structsr.calibration.image_pairs import read_pairs
        from napari_structsr.calibration.samples import sample_pairs
        from napari_structsr.engine.device import choose_device
        from napari_structsr.imaging.forward import ForwardModel
        from napari_structsr.io.locks import lock_output
        from napari_structsr.io.open import open_source

        # minutes pass before it is written: another run must not come between
        held.enter_context(lock_output(output.absolute()))
        network = load_model(model, factor=factor, sharpness=sharpness)
        if psf_sigma is not None and not network.conditional:
            raise SettingsError(
                f"{network.card.name} x{factor} cannot be told the width of a blur; "
                "take --model conditional, or leave --psf-sigma out"
            )
        width = network.card.psf_sigma if psf_sigma is None else psf_sigma
        chosen, warning = choose_device(device, "auto", network)
        if warning:
            err.print(f"warning: {warning}", style="yellow")
        network.to(chosen.kind)
        # a generator: stacks of any size are read block by block
        pairs = (
            pair
            for measured, truth in zip(source, reference, strict=True)
            for pair in read_pairs(
                open_source(measured), open_source(truth), ForwardModel(factor, width)
            )
        )
        samples = sample_pairs(
            pairs,
            network,
            run=lambda one, image: chosen.run(one, image.to(chosen.kind)),
            seed=seed,
        )
        found = fit(
            samples,
            network,
            # its network is kept where there are too few pairs to fit one
            start=network.card.calibration,
            conditions="pairs of the user",
            seed=seed,
        )
        found.save(output)
        out.print(
            f"wrote {output}: {found.patches} patches of {found.images} images decided",
            soft_wrap=True,
        )
