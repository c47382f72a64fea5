"""A model as a file for other programs.

What is exported is a network of one input and one output: a model that is told the
optics is told them once and for all, and its weights are folded. Each export is run on
an image of odd size and compared before it takes its name.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import get_args

from napari_structsr.errors import ModelError
from napari_structsr.io.atomic import create_beside, replace_whole
from napari_structsr.models.conditional_generator import DEFAULT_NOISE
from napari_structsr.models.model import SRModel
from napari_structsr.zoo.exchange.wish import ExportWish, Kind

_ENDINGS = {"onnx": (".onnx",), "torchscript": (".pt", ".pth")}


def export_network(
    model: SRModel,
    target: Path,
    *,
    to: Kind,
    wish: ExportWish | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a model as a file that other programs run.

    Parameters
    ----------
    model
        One that has a card: it ships, or was trained or fine-tuned here.
    target
        name.onnx for ONNX, name.pt for TorchScript; for bioimage.io name.zip, or a
        folder.
    to
        The format.
    wish
        Optics that it is told, authors and licence.
    overwrite
        Whether what is at `target` may be replaced.

    Raises
    ------
    ModelError
        If the model cannot be exported, a package that the format needs is missing, or
        the place is taken.
    """
    wish = wish or ExportWish()
    if to not in get_args(Kind):
        raise ModelError(
            f"the format {to!r} is unknown; choose one of {', '.join(get_args(Kind))}"
        )
    _check_target(target, to, overwrite=overwrite)
    told = tell_optics(model, wish)
    try:
        if to == "bioimageio":
            _write_package(told, target, wish)
        else:
            from napari_structsr.zoo.exchange.network_files import (
                write_onnx,
                write_torchscript,
            )

            write = write_onnx if to == "onnx" else write_torchscript
            with replace_whole(target) as part:
                write(told, part)
    except OSError as error:
        raise ModelError(
            f"the model cannot be written to {target} "
            f"({error.strerror or error}); choose another place"
        ) from error
    return target


def tell_optics(model: SRModel, wish: ExportWish) -> SRModel:
    """Return the model as it is exported: with the optics that it is told, if any.

    Raises
    ------
    ModelError
        If optics are named for a model that cannot be told, or it is somebody else's.
    """
    if model.card.architecture in ("spandrel", "onnx"):
        raise ModelError(
            f"{model.card.name} came from somebody else, and nothing says on which "
            "terms; convert it with the program it came from"
        )
    if model.conditional:
        sigma = model.card.psf_sigma if wish.psf_sigma is None else wish.psf_sigma
        noise = DEFAULT_NOISE if wish.noise is None else wish.noise
        told = model.with_optics(psf_sigma=sigma, noise=noise)
        words = (
            f"Told a point-spread sigma of {sigma:g} measured pixels and noise of "
            f"{noise:.3g} of the range, once and for all."
        )
        told.card = told.card.model_copy(
            update={"description": f"{model.card.description} {words}".strip()}
        )
        return told
    if wish.psf_sigma is not None or wish.noise is not None:
        raise ModelError(
            f"{model.card.name} x{model.factor} cannot be told the optics; export a "
            "conditional model, or leave --psf-sigma, --noise and --photons out"
        )
    return model


def _check_target(target: Path, to: Kind, *, overwrite: bool) -> None:
    ending = target.suffix.lower()
    if to in _ENDINGS and ending not in _ENDINGS[to]:
        raise ModelError(
            f"the name {target.name} does not end as a file of {to} does; "
            f"call it {target.with_suffix(_ENDINGS[to][0]).name}"
        )
    if to == "bioimageio" and ending not in ("", ".zip"):
        raise ModelError(
            f"a bioimage.io package is a zip or a folder, and {target.name} is called "
            f"like neither; call it {target.with_suffix('.zip').name}"
        )
    if target.exists() and not overwrite:
        raise ModelError(
            f"{target} is there already; choose another name, or give --overwrite"
        )


def _write_package(model: SRModel, target: Path, wish: ExportWish) -> None:
    from napari_structsr.zoo.exchange.package import write_package

    if target.suffix.lower() != ".zip":
        target.parent.mkdir(parents=True, exist_ok=True)
        with create_beside(target) as new:
            new.mkdir()
            write_package(model, new, wish)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_package(model, Path(folder), wish)
        with (
            replace_whole(target) as part,
            zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            for file in sorted(Path(folder).iterdir()):
                archive.write(file, file.name)
