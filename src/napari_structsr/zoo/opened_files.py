"""Files of other people's models that were opened once, so that they are offered again.

They are listed in the folder of the user's models, one line of JSON for each, and stay
where they are. Reading the list opens none of them and imports no torch.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from napari_structsr.errors import ModelError, describe_error
from napari_structsr.io.atomic import replace_whole
from napari_structsr.io.limits import read_text
from napari_structsr.models.card import ModelCard
from napari_structsr.zoo.catalogue import find_card
from napari_structsr.zoo.exchange.archive import DESCRIPTIONS
from napari_structsr.zoo.user_models import find_user_folder

logger = logging.getLogger(__name__)

_NAME = "opened-files.jsonl"
_MOST = 20  # the newest are kept


@dataclass(frozen=True)
class OpenedFile:
    """A file of a model: its path, and what its card says."""

    path: str
    factor: int
    description: str


def open_model_file(path: Path) -> OpenedFile:
    """Read a file of a model, and offer it from now on.

    Parameters
    ----------
    path
        What `load_model` takes; the description of a package stands for its folder.

    Raises
    ------
    ModelError
        If it is no model that can be run, or the list cannot be written.
    """
    path = path.absolute()
    if path.name in DESCRIPTIONS:
        path = path.parent
    if not path.exists():
        raise ModelError(f"there is no file {path}; check its path")
    card: ModelCard = find_card(str(path), factor=None)
    found = OpenedFile(str(path), card.factor, card.description)
    others = [one for one in read_opened_files() if one.path != found.path]
    lines = [json.dumps(asdict(one)) for one in (*others, found)[-_MOST:]]
    folder = find_user_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replace_whole(folder / _NAME) as part:
            part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise ModelError(
            f"{path} cannot be noted in {folder} ({describe_error(error)}); make room "
            "there, or let the variable STRUCTSR_MODELS name another folder"
        ) from error
    return found


def read_opened_files() -> list[OpenedFile]:
    """Return the files that were opened and are still there, the oldest first."""
    try:
        text = read_text(find_user_folder() / _NAME)
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        logger.warning("the list of opened models is left out: %s", error)
        return []
    found = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
            one = OpenedFile(
                str(entry["path"]), int(entry["factor"]), str(entry["description"])
            )
        except (LookupError, TypeError, ValueError) as error:
            logger.warning("an opened model is left out: %s", error)
            continue
        if Path(one.path).exists():
            found.append(one)
    return found
