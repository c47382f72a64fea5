"""The user's own models: a folder of weights with their cards.

A model lies there as ``NAME-xF.safetensors`` with its card. A fine-tuning changes
nothing here until it is accepted, see `finetuning.runs`. Listing reads cards alone and
imports no torch.

The folder is ``structsr/models`` in the folder of the system for data of programs,
such as ``~/.local/share``, ``~/Library/Application Support`` or ``%LOCALAPPDATA%``,
unless the variable STRUCTSR_MODELS names another one.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

from platformdirs import user_data_path

from napari_structsr.core.names import check_model_name, expand_home
from napari_structsr.errors import ModelError, blame_file, describe_error
from napari_structsr.io.atomic import replace_whole, sweep_beside
from napari_structsr.io.locks import lock_output
from napari_structsr.io.weights import read_weights
from napari_structsr.models.card import ModelCard
from napari_structsr.zoo.shipped import list_shipped_names, read_model_card

logger = logging.getLogger(__name__)

_ENDINGS = (".safetensors", ".json")
_LARGEST = 4 * 2**30  # bytes; nothing larger is unpacked
_LARGEST_CARD = 64 * 2**20
_LARGEST_RATIO = 100  # of unpacked to packed bytes


def find_user_folder() -> Path:
    """Return the folder of the user's models; it need not be there yet."""
    if chosen := os.environ.get("STRUCTSR_MODELS"):
        return expand_home(chosen)
    folder = user_data_path("structsr", appauthor=False) / "models"
    # newer platformdirs ask XDG_DATA_HOME on macOS too; models were put here before
    older = Path.home() / "Library" / "Application Support" / "structsr" / "models"
    return older if older.exists() and not folder.exists() else folder


def read_user_cards() -> list[ModelCard]:
    """Return the cards of the user's models, by name; damaged ones go to the log."""
    cards = []
    for path in sorted(find_user_folder().glob("*.json")):
        try:
            card = read_model_card(path)
        except ModelError as error:
            logger.warning("a model of the user is left out: %s", error)
            continue
        # a file of another name would be listed, but not found
        if _find_file(card.name, card.factor, ".json") == path:
            cards.append(card)
        else:
            logger.warning("%s is left out: its card names %s", path, card.name)
    return cards


def check_name(name: str, factor: int, *, replace: bool = False) -> None:
    """Refuse a name that a file cannot have, or that is taken.

    Parameters
    ----------
    name, factor
        Of the model to be.
    replace
        Whether it may take the place of a model of the user.

    Raises
    ------
    ModelError
        Saying which names can be taken.
    """
    try:
        check_model_name(name)
    except ValueError as error:
        raise ModelError(str(error)) from error
    # macOS and Windows do not tell upper from lower case in names of files
    if name.lower() in {shipped.lower() for shipped in list_shipped_names()}:
        raise ModelError(
            f"{name!r} is the name of a model that ships; choose another one"
        )
    if not replace and _find_file(name, factor, ".json").exists():
        raise ModelError(
            f"you have a model {name!r} x{factor} already; choose another name, or "
            "remove that model first"
        )


def remove_model(name: str, factor: int) -> None:
    """Remove a model of the user.

    Raises
    ------
    ModelError
        If there is none of that name.
    """
    if not _find_file(name, factor, ".json").exists():
        raise ModelError(
            f"you have no model {name!r} x{factor}; models that ship cannot be removed"
        )
    for ending in reversed(_ENDINGS):  # the card first: without it there is no model
        _find_file(name, factor, ending).unlink(missing_ok=True)


def export_model(name: str, target: Path, *, factor: int) -> Path:
    """Write a model of the user for another machine; return the zip, or its weights.

    Parameters
    ----------
    name, factor
        Which model.
    target
        A ``.zip``, or a folder that gets the two files.

    Raises
    ------
    ModelError
        If there is no such model, or it cannot be written there.
    """
    files = [_find_file(name, factor, ending) for ending in _ENDINGS]
    if missing := [file for file in files if not file.exists()]:
        raise ModelError(
            f"you have no model {name!r} x{factor} to export: {missing[0]} is missing"
        )
    try:
        if target.suffix.lower() != ".zip":
            target.mkdir(parents=True, exist_ok=True)
            for file in files:
                shutil.copyfile(file, target / file.name)
            return target / files[0].name
        with (
            replace_whole(target) as part,
            zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive,
        ):
            for file in files:
                archive.write(file, file.name)
        return target
    except OSError as error:
        raise ModelError(
            f"the model cannot be written to {target} ({error.strerror}); choose "
            "another place"
        ) from error


def import_model(path: Path, *, replace: bool = False) -> ModelCard:
    """Take up a model that was exported, or trained elsewhere.

    Parameters
    ----------
    path
        A ``.zip`` of `export_model`, or a ``.safetensors`` or ``.json`` file with the
        other one beside it.
    replace
        Whether it may take the place of a model of the same name.

    Raises
    ------
    ModelError
        If it is damaged, or its name is taken.
    """
    try:
        if path.suffix.lower() != ".zip":
            return _take_up(path, replace=replace)
        with tempfile.TemporaryDirectory() as folder:
            card = _unpack(path, Path(folder))
            try:
                return _take_up(card, replace=replace)
            except ModelError as error:
                # the folder is gone when the message is read
                text = str(error).replace(f"{folder}{os.sep}", "")
                raise ModelError(f"{path}: {text}") from error
    except OSError as error:
        raise ModelError(
            f"the model {path} cannot be copied to {find_user_folder()} "
            f"({describe_error(error)}); make room there, or let the variable "
            "STRUCTSR_MODELS name another folder"
        ) from error


def _take_up(path: Path, *, replace: bool) -> ModelCard:
    from napari_structsr.models.model import SRModel

    card = read_model_card(path)
    check_name(card.name, card.factor, replace=replace)
    # built once before anything is copied: raises what is wrong with it
    SRModel(card, read_weights(path, sha256=card.sha256))
    files = [_find_file(card.name, card.factor, ending) for ending in _ENDINGS]
    find_user_folder().mkdir(parents=True, exist_ok=True)
    with lock_output(files[0]):
        # another program may have taken the name since
        check_name(card.name, card.factor, replace=replace)
        sweep_beside(files[1])
        for file in files:  # the card last: a model is there once it is whole
            with replace_whole(file) as part:
                shutil.copyfile(path.with_suffix(file.suffix), part)
    return card


def _find_file(name: str, factor: int, ending: str) -> Path:
    return find_user_folder() / f"{name}-x{factor}{ending}"


def _unpack(archive: Path, folder: Path) -> Path:
    """Unpack the two files of a zip; return the card."""
    remedy = "export the model again"
    with blame_file(archive, ModelError, what="a zip of a model", remedy=remedy):
        with zipfile.ZipFile(archive) as file:
            members = [entry for entry in file.infolist() if not entry.is_dir()]
            names = [Path(entry.filename) for entry in members]
            if (
                sorted(name.suffix for name in names) != sorted(_ENDINGS)
                or len({name.stem for name in names}) != 1
            ):
                raise ModelError(
                    f"{archive} holds {len(members)} files; a model is one "
                    ".safetensors and one .json file of the same name"
                )
            for entry, name in zip(members, names, strict=True):
                limit = _LARGEST_CARD if name.suffix == ".json" else _LARGEST
                # weights hardly shrink, so that what does is no model
                limit = min(limit, 2**20 + _LARGEST_RATIO * entry.compress_size)
                if entry.file_size > limit:
                    raise ModelError(
                        f"{archive} holds {name} of {entry.file_size} bytes, which is "
                        "too large for a model; ask for it to be exported again"
                    )
                # names of our own: those of a stranger may lead anywhere
                copy = folder / f"model{name.suffix}"
                with file.open(entry) as source, copy.open("wb") as to:
                    shutil.copyfileobj(source, to)
        return folder / "model.json"
