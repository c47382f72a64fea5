"""Train methods over wide blur and little light, each told the optics and not told.

Run it from the root of the repository::

    python -m benchmarks.wide_comparison --data TRAIN --out OUT --factor 2

It ends with the command that measures them. Every method sees the same images, optics
and number of pixels, and begins with what ships of the comparison over narrow blur; at
x1 and x4 with what the same method has learnt at x2, which is trained before. SRGAN and
ESRGAN go on from what SRResNet and RRDB have learnt, as published. Stopped or killed,
the same command goes on where it was.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_structsr.cli.terminal import exit_on_error, follow
from napari_structsr.training.recipe import Recipe, read_recipe
from napari_structsr.training.settings import TrainingSettings
from napari_structsr.training.train import train

# what is learnt by differences to the truth alone: the recipe it is after, and the
# model that it begins with
_PLAIN = {
    "generator": ("faithful-matched-x2", "faithful-matched"),
    "srresnet": ("srresnet-x2", "srgan"),
    "rrdb": ("esrgan-x2", "esrgan"),
    "swinir": ("swinir-x2", "swinir"),
}
# what goes on from one of them against a discriminator
_ADVERSARIAL = {
    "sharp": ("sharp-conditional-x2", "generator"),
    "srgan": ("srgan-x2", "srresnet"),
    "esrgan": ("esrgan-x2", "rrdb"),
}
_PATCH = 40  # measured pixels
_CONVEX = {"pixel": 1.0, "ssim": 0.01, "gradient": 0.3}
# VGG features say where detail lies; the texture that stands in for them where their
# weights are not at hand does not, and with the published 0.01 for differences of
# pixels ESRGAN draws lines where none are
_ESRGAN_LOSS = {"pixel": 1.0, "content": 1.0}


_KINDS = ("blind", "told")


def name_methods() -> list[str]:
    """Return all methods, each after the one whose weights it begins with."""
    return [f"{name}-{kind}" for name in _PLAIN | _ADVERSARIAL for kind in _KINDS]


def make_recipe(
    method: str, *, factor: int, megapixels: float, share: float, out: Path
) -> Recipe:
    """Return how a method is trained.

    Parameters
    ----------
    method
        One of `name_methods`.
    factor
        Upscaling factor.
    megapixels
        Measured pixels that the methods without a discriminator see, in millions.
    share
        Of them, what is seen with a discriminator in addition.
    out
        Where the weights of all methods lie.
    """
    name, kind = method.rsplit("-", 1)
    told = kind == "told"
    after, start = (_PLAIN | _ADVERSARIAL)[name]
    known = read_recipe(after)
    options = dict(known.network.options)
    architecture: str = known.network.architecture
    if name in ("generator", "sharp"):
        options = {"width": 32, "blocks": 8}
        architecture = "conditional-generator" if told else "residual-generator"
    elif told:
        options["told"] = 1
    loss = _CONVEX if name in ("generator", "sharp") else known.loss.model_dump()
    entries: dict[str, Any] = {
        "name": method,
        "description": f"{name}, {kind}, over wide blur and little light; to compare.",
        "purpose": "comparison",
        "factor": factor,
        "patch": _PATCH,
        "megapixels": megapixels,
        # it has learnt already
        "rate": known.rate / 2,
        "network": {"architecture": architecture, "options": options},
        "loss": loss,
        "optics": read_recipe("conditional-x2").optics,
        "start": start if factor == 2 else str(find_weights(out, method, 2)),
        "start_factor": None if factor == 2 else 2,
    }
    if name in _ADVERSARIAL:
        assert known.adversary is not None
        second = known.adversary.loss.model_dump() if known.adversary.loss else None
        if name == "esrgan":
            second = _ESRGAN_LOSS
        if name == "sharp":
            second = known.loss.model_dump()
        entries |= {
            "megapixels": share * megapixels,
            "start": str(find_weights(out, f"{start}-{kind}", factor)),
            "start_factor": None,
            "adversary": known.adversary.model_dump()
            | {"start": 0.0, "rise": 0.3, "told": told, "loss": second},
        }
    return Recipe.model_validate(entries)


def find_weights(out: Path, method: str, factor: int) -> Path:
    """Return where the weights of a method lie once it is trained."""
    stem = f"{method}-x{factor}"
    return out / stem / f"{stem}.safetensors"


def main(
    data: Annotated[Path, typer.Option(help="One folder of images a source")],
    out: Annotated[Path, typer.Option(help="Folder of all trainings")],
    factor: Annotated[int, typer.Option(help="1, 2 or 4")] = 2,
    megapixels: Annotated[float, typer.Option(help="Measured pixels, millions")] = 40.0,
    share: Annotated[float, typer.Option(help="Of them, with a discriminator")] = 0.3,
    only: Annotated[str, typer.Option(help="Methods, by commas; all by default")] = "",
) -> None:
    """Train one method after the other."""
    with exit_on_error():
        chosen = only.split(",") if only else name_methods()
        for method in chosen:
            train_method(
                method,
                data=data,
                out=out,
                factor=factor,
                megapixels=megapixels,
                share=share,
            )
    weights = [find_weights(out, name, factor) for name in chosen]
    methods = [
        f"{path}@told" if "-told-" in path.name else str(path) for path in weights
    ]
    print(
        f"structsr benchmark --data DIR --out TABLES --tracks x{factor}-gaussian "
        "--limit 1 --crop 96 "
        "--measures psnr,power_in,correlation_in,power_filled,hallucination,structure "
        f"--methods {','.join(['richardson-lucy', 'wiener', *methods])}"
    )


def train_method(
    method: str,
    *,
    data: Path,
    out: Path,
    factor: int,
    megapixels: float,
    share: float,
) -> None:
    """Train a method, go on with it, or leave it as it is where it is done."""
    recipe = make_recipe(
        method, factor=factor, megapixels=megapixels, share=share, out=out
    )
    folder = find_weights(out, method, factor).parent
    # written once a training is over: weights are also saved on the way
    done = folder / "done"
    if done.exists():
        print(f"{method} x{factor} is trained already")
        return
    settings = TrainingSettings(
        resume=(folder / "checkpoint.safetensors").exists(),
    )
    print(f"{method} x{factor}: {recipe.steps} steps", flush=True)
    follow(partial(train, recipe, data, folder, settings=settings), unit="steps")
    done.touch()


if __name__ == "__main__":
    typer.run(main)
