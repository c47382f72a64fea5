"""Fine-tunings on disk: which there are, how far each is, accepting and removing one.

Each lies in a folder of its own with a small JSON file that says how it stands, so
that a program that was closed finds them again. It owns that file, not what else lies
in the folder.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from napari_structsr.core.names import check_model_name
from napari_structsr.errors import TrainingError, blame_file
from napari_structsr.io.atomic import remove_folder, replace_whole
from napari_structsr.io.limits import read_text
from napari_structsr.io.locks import is_locked
from napari_structsr.models.card import ModelCard
from napari_structsr.zoo.user_models import find_user_folder, import_model

logger = logging.getLogger(__name__)

_FILE = "run.json"


@dataclass(frozen=True)
class RunSummary:
    """How a fine-tuning stands.

    Parameters
    ----------
    folder
        Where it lies.
    name, factor, parent
        What is made, and of which model.
    state
        "begun" while it runs, and after the program was killed; "stopped" after a
        cancel; "finished" once there is a model that can be accepted.
    step, seconds
        Steps made, and the time they took.
    recommended
        The verdict; None before there is one.
    sentence
        The verdict in words.
    """

    folder: Path
    name: str
    # it stands in the name of a file
    factor: Annotated[int, Field(ge=1, le=8)]
    parent: str
    state: Literal["begun", "stopped", "finished"]
    step: int
    seconds: float
    recommended: bool | None = None
    sentence: str = ""

    @property
    def bundle(self) -> Path | None:
        """The weights of the model, if they are there."""
        path = self.folder / f"{self.name}-x{self.factor}.safetensors"
        return path if path.exists() else None


_SUMMARY = TypeAdapter(RunSummary)


def find_runs_folder() -> Path:
    """Return the folder where fine-tunings lie if nothing else is said."""
    return find_user_folder() / "runs"


def list_runs(folder: Path) -> list[RunSummary]:
    """Return the fine-tunings in the folders of a folder, the latest first."""
    found = []
    for file in folder.glob(f"*/{_FILE}"):
        try:
            # One damaged run must not hide the others.
            found.append((file.stat().st_mtime, read_run(file.parent)))
        except (OSError, TrainingError) as error:
            logger.warning("a fine-tuning is left out: %s", error)
    return [run for _, run in sorted(found, key=lambda entry: -entry[0])]


def read_run(folder: Path) -> RunSummary:
    """Read how a fine-tuning stands.

    Raises
    ------
    TrainingError
        If the folder holds none.
    """
    remedy = "choose its folder, or start one"
    with blame_file(folder, TrainingError, what="a fine-tuning", remedy=remedy):
        entries = json.loads(read_text(folder / _FILE))
        # by pydantic, which looks at the kind of every entry
        run = _SUMMARY.validate_python(entries | {"folder": folder})
        check_model_name(run.name)
        return run


def write_run(run: RunSummary) -> None:
    """Write how a fine-tuning stands, whole or not at all."""
    entries = {key: value for key, value in asdict(run).items() if key != "folder"}
    # Whole or not at all: the dock reads while the training writes.
    with replace_whole(run.folder / _FILE) as part:
        part.write_text(json.dumps(entries, indent=2, ensure_ascii=False), "utf-8")


def accept_run(folder: Path, *, replace: bool = False) -> ModelCard:
    """Offer the model of a finished fine-tuning from now on.

    Parameters
    ----------
    folder
        Of the fine-tuning.
    replace
        Whether it may take the place of a model of the same name.

    Raises
    ------
    TrainingError
        If the folder holds no finished fine-tuning.
    ModelError
        If the name is taken, or the model is damaged.
    """
    summary = read_run(folder)
    if summary.state != "finished" or summary.bundle is None:
        raise TrainingError(
            f"the fine-tuning in {folder} is not finished; go on with it, or start anew"
        )
    return import_model(summary.bundle, replace=replace)


def remove_run(folder: Path) -> None:
    """Remove a fine-tuning with all that lies in its folder.

    Raises
    ------
    TrainingError
        If the folder holds none, so that nothing else is ever removed, or one that is
        running.
    """
    read_run(folder)
    if is_locked(folder):
        raise TrainingError(
            f"the fine-tuning in {folder} is running; stop it before it is removed"
        )
    remove_folder(folder)
