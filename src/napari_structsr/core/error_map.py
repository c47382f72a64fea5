"""The maps of structure error: what each says, and what it cannot see.

The one list from which the engine, the command line, docks, reports and documentation
take names, units and blind spots. How a map is computed stands in `imaging`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Need = Literal["reference", "source", "model", "calibration"]


@dataclass(frozen=True)
class ErrorMap:
    """One kind of map.

    Parameters
    ----------
    key
        Name in scripts, on the command line and of files.
    plain
        Name for people, in everyday words.
    title
        Technical name, for those who know the method.
    needs
        What it is computed from besides the result: the reference; the source, which
        is the measured image; a model that can be run again on the source; the
        calibration of that model.
    meaning
        One sentence: what a high or a low value says.
    blind
        One sentence: what it cannot see.
    unit
        Unit of its values; "intensity" stands for the unit of the result.
    worse
        Whether high or low values are the bad ones.
    limits
        Values to show from the best to the worst; None takes them from the map.
    classes
        Names of its values 0, 1, 2, ... for a map of classes; else empty.
    default
        Whether it is computed when nothing is said.
    """

    key: str
    plain: str
    title: str
    needs: frozenset[Need]
    meaning: str
    blind: str
    unit: str
    worse: Literal["high", "low"] = "high"
    limits: tuple[float, float] | None = None
    classes: tuple[str, ...] = ()
    default: bool = True

    @property
    def needs_reference(self) -> bool:
        """Whether it needs the truth."""
        return "reference" in self.needs


_REFERENCE: frozenset[Need] = frozenset({"reference"})
_SOURCE: frozenset[Need] = frozenset({"source"})
_MODEL: frozenset[Need] = frozenset({"source", "model"})
_CALIBRATED: frozenset[Need] = frozenset({"source", "calibration"})

_ALL = (
    ErrorMap(
        "error",
        "distance to reference",
        "absolute error",
        _REFERENCE,
        "How far each pixel lies from the reference.",
        "A shift of brightness weighs as much as a wrong shape, and noise of the "
        "reference counts as error.",
        "intensity",
    ),
    ErrorMap(
        "ssim",
        "likeness of structure",
        "local SSIM",
        _REFERENCE,
        "Similarity of brightness, contrast and structure with the reference around "
        "each pixel; 1 is equality.",
        "Where the image is flat it compares noise; in bright regions it forgives "
        "a gain.",
        "SSIM",
        worse="low",
        limits=(1.0, 0.0),
    ),
    ErrorMap(
        "gradient",
        "wrong edges",
        "gradient difference",
        _REFERENCE,
        "Length of the difference of the gradients, as vectors: edges that are "
        "missing, added, moved or turned.",
        "Smooth errors of brightness have no gradient.",
        "intensity per pixel",
    ),
    ErrorMap(
        "gradient_similarity",
        "likeness of edges",
        "gradient magnitude similarity",
        _REFERENCE,
        "Similarity of the strength of edges (GMS); 1 is equality.",
        "The direction of an edge by itself, errors of brightness, and a pattern of "
        "single pixels.",
        "GMS",
        worse="low",
        limits=(1.0, 0.3),
    ),
    ErrorMap(
        "coherence",
        "wrong directedness",
        "coherence difference",
        _REFERENCE,
        "By how much the image around a pixel is more, or less, of one direction "
        "than the reference.",
        "Contrast and direction themselves, a pattern of single pixels, and what "
        "noise can explain; all may be wrong while it is 0.",
        "",
        limits=(0.0, 1.0),
    ),
    ErrorMap(
        "orientation",
        "turned structure",
        "orientation difference",
        _REFERENCE,
        "Angle between the directions of structure, weighted by how much there is of "
        "one direction: turned filaments.",
        "Anything without a direction; of a missing filament only what lies in its "
        "place.",
        "degree",
        limits=(0.0, 90.0),
    ),
    ErrorMap(
        "resolution",
        "confirmed detail",
        "local resolution",
        _REFERENCE,
        "Period at which the local Fourier ring correlation with the reference falls "
        "below 1/7; long periods are blurred or wrong, 32 where nothing is confirmed.",
        "Errors smaller than its window of 64 pixels, and anything that keeps the "
        "phases, such as a gain.",
        "pixel",
        limits=(2.0, 16.0),
    ),
    ErrorMap(
        "change",
        "improved/lost/invented",
        "change classes",
        frozenset({"reference", "source"}),
        "Whether the surroundings of a pixel came nearer to the reference than "
        "interpolation, stayed as they were, or became something that is in neither.",
        "What lies within the noise on average is not classed, nor are single pixels.",
        "class",
        limits=(0.0, 3.0),
        classes=("within noise", "improved", "lost", "invented"),
    ),
    ErrorMap(
        "residual",
        "unlike the measurement",
        "residual in noise units",
        _SOURCE,
        "The result, measured again by the forward model, against what was measured, "
        "in standard deviations of the noise.",
        "Everything that blur and pixels remove: invented detail that measures as "
        "nothing.",
        "standard deviation",
        limits=(0.0, 6.0),
    ),
    ErrorMap(
        "squirrel",
        "unlike it, blur fitted",
        "SQUIRREL error",
        _SOURCE,
        "The result, blurred and scaled as fits best, against the interpolated source.",
        "Detail much finer than the fitted blur, a gain of the whole image, and an "
        "exchange of bright and dark.",
        "intensity",
    ),
    ErrorMap(
        "artefact",
        "invented/lost texture",
        "adversarial artefacts",
        frozenset({"source"}),
        "Similarity of the local contrast with that of faithful, or of sharp if "
        "faithful made the result, and of conditional and sharp-conditional where the "
        "optics were told; low where texture was invented or lost.",
        "What both models have in common, slight smoothing, and texture of the right "
        "strength in the wrong place.",
        "",
        worse="low",
        limits=(1.0, 0.3),
    ),
    ErrorMap(
        "spread",
        "unsteady model",
        "spread over flips and rotations",
        _MODEL,
        "Standard deviation of what the model makes of the source in its eight "
        "orientations.",
        "What the model gets wrong in every orientation, and what was changed in the "
        "result afterwards.",
        "intensity",
        default=False,
    ),
    ErrorMap(
        "null_space",
        "beyond the measurement",
        "null-space energy",
        _SOURCE,
        "What the result holds that the measurement can neither confirm nor deny.",
        "Whether that is right: true detail lies there as well. What is smoothed or "
        "missing lowers it.",
        "intensity",
    ),
    ErrorMap(
        "trust",
        "expected error",
        "expected error",
        _CALIBRATED,
        "Expected absolute error of each pixel, predicted from contrast and noise "
        "around it.",
        "Images unlike those of its calibration, and a gain or lost contrast after "
        "the model: it expects errors where there is contrast.",
        "intensity",
    ),
    ErrorMap(
        "interval",
        "range of true value",
        "90% interval",
        _CALIBRATED,
        "Half width of the interval around each pixel that holds the true value for "
        "90% of pixels.",
        "It holds on average over images like those of the calibration, not for each "
        "pixel.",
        "intensity",
        default=False,
    ),
)

MAPS: dict[str, ErrorMap] = {entry.key: entry for entry in _ALL}
"""All maps by their key, those with a reference first."""


def list_default_maps(available: frozenset[Need]) -> tuple[str, ...]:
    """Return the maps that can be computed from what there is, when nothing is said.

    Parameters
    ----------
    available
        What there is besides the result.
    """
    return tuple(
        entry.key for entry in _ALL if entry.default and entry.needs <= available
    )


def choose_first_maps(keys: Iterable[str]) -> tuple[str, ...]:
    """Return the maps to look at first, at most three, of those that there are.

    With a reference structure comes first, never the error of single pixels; without
    one it is what contradicts the measurement, then how far off a pixel may be.
    """
    there = tuple(keys)
    structure = [key for key in ("ssim", "gradient") if key in there][:1]
    wanted = [*structure, "residual", *([] if structure else ["trust"]), "artefact"]
    rest = sorted(there, key=lambda key: (key == "error", there.index(key)))
    order = dict.fromkeys([key for key in wanted if key in there] + rest)
    return tuple(order)[:3]
