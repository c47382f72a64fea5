"""What an inspection found, in plain words: one sentence, and a small table.

Docks, terminal, report and scripts say it by these functions. Every number follows from
the scores and the list of worst places:

- *places*: entries of `Inspection.worst`, whose rule stands in `worst_places`; "at
  least" where more were found than are listed. Places of the maps that are shown first
  are counted one by one; of the others it is told how many maps have some.
- *supported*: the score of this name, the share of pixels whose residual is at most 4
  standard deviations of the noise, averaged over planes and rounded to percent.
- *better than bicubic*: PSNR and SSIM of the result less those of the interpolated
  source, both averaged over planes. What rounds to nothing is called equal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_structsr.core.error_map import MAPS, choose_first_maps

if TYPE_CHECKING:
    from napari_structsr.inspection.results import Inspection

# what one place does, what several do, and what is said of them
_PLACES = {
    "residual": (
        "departs",
        "depart",
        "from the measurement by more than 4 times its noise",
    ),
    "ssim": ("resembles", "resemble", "the reference far less than the rest"),
    "artefact": (
        "holds",
        "hold",
        "texture that the other model does not make",
    ),
}


@dataclass(frozen=True)
class Gain:
    """A score of the result beside that of bicubic interpolation.

    Parameters
    ----------
    key
        Of the score.
    result, bicubic
        Its means over planes.
    digits
        Decimals that are worth reading.
    higher_is_better
        Which way it improves.
    """

    key: str
    result: float
    bicubic: float
    digits: int
    higher_is_better: bool

    @property
    def gain(self) -> float:
        """By how much the result is better; 0 for what rounds to nothing."""
        change = self.result - self.bicubic
        return round(change if self.higher_is_better else -change, self.digits)


# decimals that are worth reading, and whether high is better
_GAINS = {"psnr": (1, True), "ssim": (2, True), "gradient_error": (2, False)}


def compare_with_bicubic(means: Mapping[str, float]) -> tuple[Gain, ...]:
    """Set scores beside those of bicubic interpolation, as far as both are there.

    The means are those of a `ScoreTable`.
    """
    return tuple(
        Gain(key, means[key], means[f"{key}_bicubic"], digits, higher)
        for key, (digits, higher) in _GAINS.items()
        if key in means and f"{key}_bicubic" in means
    )


def describe_findings(found: Inspection) -> str:
    """Say what an inspection found, in one or two sentences for a user.

    "Nothing unusual was found" is an answer: no map has a place that is unusually bad.
    """
    means = found.scores.means()
    parts = _describe_places(found) or ["nothing unusual was found"]
    if (share := means.get("supported")) is not None:
        parts.append(f"{share:.0%} of the image is supported")
    parts += _describe_gain(means)
    text = "; ".join(parts)
    doubted = [MAPS[key].plain for key in found.doubts if key in MAPS]
    more = f" Warnings concern {_join(doubted)}." if doubted else ""
    return f"{text[:1].upper()}{text[1:]}.{more}"


def _describe_places(found: Inspection) -> list[str]:
    counts = Counter(place.map for place in found.worst)
    unusual = [key for key in MAPS if counts[key] or key in found.cut]
    # of the maps that are shown first; a list of all would be no sentence
    told = [key for key in choose_first_maps(found.maps) if key in _PLACES]
    parts: list[str] = []
    for key, (one, many, what) in _PLACES.items():
        if key not in unusual or key not in told:
            continue
        # none is listed where the user wants none
        number = f"{counts[key]}" if counts[key] else "some"
        least = "at least " if key in found.cut and counts[key] else ""
        noun = "" if parts else " place" if number == "1" else " places"
        verb = one if number == "1" else many
        parts.append(f"{least}{number}{noun} {verb} {what}")
    if others := len([key for key in unusual if key not in told]):
        more = "other " if parts else ""
        maps = "map singles" if others == 1 else "maps single"
        parts.append(f"{others} {more}{maps} out places")
    return parts


def _describe_gain(means: Mapping[str, float]) -> list[str]:
    gains = {one.key: one for one in compare_with_bicubic(means)}
    if not gains:
        return []
    better: list[str] = []
    worse: list[str] = []
    for key, unit in (("psnr", "dB"), ("ssim", "SSIM")):
        if (one := gains.get(key)) is None or one.gain == 0:
            continue
        size = f"{abs(one.gain):.{one.digits}f} {unit}"
        (better if one.gain > 0 else worse).append(size)
    if not better and not worse:
        return ["as good as bicubic"]
    words = [
        f"{' and '.join(sizes)} {word}"
        for sizes, word in ((better, "better"), (worse, "worse"))
        if sizes
    ]
    return [f"{' but '.join(words)} than bicubic"]


def _join(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)
