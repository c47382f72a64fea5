"""All images of a folder, one by one, as `structsr upscale DIR --out DIR` does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Event,
    Failed,
    Finished,
    Noted,
    Progressed,
    Started,
    Warned,
)
from napari_structsr.errors import CancelError, StructsrError
from napari_structsr.gui.upscale.run import make_settings
from napari_structsr.gui.upscale.state import Choice
from napari_structsr.io.open import open_source

if TYPE_CHECKING:
    from distributed import Client

    from napari_structsr.scripting.batch import Outcome

_SHOWN = 5  # failures in a summary
_WORDS = {"written": "written", "there": "there already", "failed": "failed"}


@dataclass(frozen=True)
class FolderPlan:
    """How many images there are."""

    images: int
    done: int = 0

    def __str__(self) -> str:
        return f"{self.images} images"


def list_files(folder: Path) -> list[str] | str:
    """Return the images of a folder, or in words why there are none."""
    from napari_structsr.scripting.batch import find_images  # imports torch

    if folder == Path():
        return "Choose the folder of the images."
    if not folder.is_dir():
        return f"The folder {folder} does not exist."
    try:
        return find_images([str(folder)])
    except StructsrError as error:
        return str(error)


def upscale_folder(
    choice: Choice, *, cancel: Cancel, client: Client | None = None
) -> Iterator[Event]:
    """Upscale every image of a folder; what fails is told at the end.

    Yields
    ------
    Event
        As of a single run; the output of the last one is what became of each image.
    """
    from napari_structsr.engine.failures import explain_error
    from napari_structsr.scripting.batch import Outcome, find_images
    from napari_structsr.scripting.plates import refuse_plate
    from napari_structsr.scripting.upscale_request import UpscaleRequest
    from napari_structsr.zoo.catalogue import load_model

    assert choice.images is not None
    assert choice.folder is not None
    model = load_model(choice.model, factor=choice.factor, sharpness=choice.sharpness)
    request = UpscaleRequest(model, make_settings(choice), client=client)
    images = find_images([str(choice.images)])
    places = request.name_outputs(images, choice.folder)

    def work(number: int, image: str) -> Iterator[Event | Outcome]:
        refuse_plate(image, {})
        source = open_source(image)
        place = places[number]
        if request.is_done(source, place):
            yield Outcome(image, "there", place)
            return
        for event in request.start(source, request.choose_sink(place), cancel=cancel):
            match event:
                case Failed(error):
                    raise error
                case Cancelled():
                    raise CancelError("the run was cancelled")
                case Finished():
                    yield Outcome(image, "written", place)
                case Warned(message):
                    yield Warned(f"{PurePath(image).name}: {message}")
                case Noted():
                    yield event
                case Progressed(done, total, doing):
                    what = "tiles" if doing == "upscaling" else doing
                    where = f"image {number + 1} of {len(images)}"
                    yield Progressed(done, total, f"{what}, {where}")

    yield Started(len(images), FolderPlan(len(images)))
    outcomes: list[Outcome] = []
    for number, image in enumerate(images):
        try:
            for found in work(number, image):
                if isinstance(found, Outcome):
                    outcomes.append(found)
                else:
                    yield found
        except CancelError:
            yield Cancelled(len(outcomes))
            return
        except Exception as error:
            outcomes.append(Outcome(image, "failed", error=explain_error(error)))
        yield Progressed(number + 1, len(images), "images")
    yield Finished(tuple(outcomes))


def describe_outcomes(outcomes: Sequence[Outcome]) -> str:
    """Say what became of the images: how many, and why some failed."""
    counts = dict.fromkeys(_WORDS, 0)
    for one in outcomes:
        counts[one.state] += 1
    words = [f"{count} {_WORDS[state]}" for state, count in counts.items() if count]
    failed = [one for one in outcomes if one.error]
    lines = [f"{PurePath(one.image).name}: {one.error}" for one in failed[:_SHOWN]]
    if len(failed) > _SHOWN:
        lines.append(f"and {len(failed) - _SHOWN} more")
    return "\n".join([f"{', '.join(words)}.", *lines])
