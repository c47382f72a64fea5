"""Which image is the result, which the reference, and which the source.

A guess from records and numbers of pixels, to fill a form with; the user has the last
word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_FACTORS = range(2, 9)


@dataclass(frozen=True)
class ImageFacts:
    """What must be known of an image layer."""

    key: str
    name: str
    # pixels along y and x
    plane: tuple[int, int]
    # the name of a layer or file, as its record says
    made_from: str | None = None
    # whether it holds the record of a run
    recorded: bool = False
    # whether the model of the record can be run again, and is calibrated
    repeatable: bool = False
    calibrated: bool = False
    # of the record
    factor: int | None = None
    # whether it was read from a file, which workers of a cluster can open
    in_file: bool = False


Roles = tuple[ImageFacts | None, ImageFacts | None, ImageFacts | None]


def find_roles(images: Sequence[ImageFacts], selected: Sequence[str]) -> Roles:
    """Return result, reference and source, as far as they are there.

    Of the selected images, the uppermost last, one with a record is the result, else
    the finest one, and of equally fine ones the uppermost. Of an image that is selected
    alone, and that a result was made from, it is that result. The source is the image
    that the result was made from, selected or not; another selected one is the
    reference.
    """
    by_key = {image.key: image for image in images}
    chosen = [by_key[key] for key in selected if key in by_key]
    if not chosen:
        return None, None, None
    recorded = [image for image in chosen if image.recorded]
    if not recorded and len(chosen) == 1:
        # after a run its source is still selected
        (one,) = chosen
        recorded = [
            image
            for image in images
            if image.recorded
            and image.made_from == one.name
            and find_factor(image, one)
        ]
    # `max` takes the first of equal ones, and the uppermost comes last
    finest = max(reversed(chosen), key=lambda image: image.plane[0] * image.plane[1])
    result = recorded[-1] if recorded else finest
    others = [image for image in chosen if image is not result]
    source = next(
        (
            image
            for image in others
            if image.name == result.made_from or find_factor(result, image)
        ),
        find_source(result, images),
    )
    truths = [image for image in others if image is not source]
    return result, truths[-1] if truths else None, source


def find_source(result: ImageFacts, images: Sequence[ImageFacts]) -> ImageFacts | None:
    """Find the image that a result was made from: by its record, else by its size."""
    for image in images:
        if image.name == result.made_from and find_factor(result, image):
            return image
    fitting = [image for image in images if find_factor(result, image)]
    if result.factor:
        fitting = [i for i in fitting if find_factor(result, i) == result.factor]
    # a result can have been upscaled again
    raw = [image for image in fitting if not image.recorded]
    return next(iter([*raw, *fitting]), None)


def find_factor(result: ImageFacts, source: ImageFacts) -> int | None:
    """Return the whole factor between two images, None if there is none."""
    for factor in _FACTORS:
        if result.plane == (source.plane[0] * factor, source.plane[1] * factor):
            return factor
    return None
