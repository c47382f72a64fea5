"""Whether a comparison is fair: same data, same pixels seen, same operations.

A method that was trained longer, on more, or with a larger network wins for reasons
that have nothing to do with the method. What is not equal is named under each table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from napari_structsr.benchmark.comparison import MethodFacts

_TOLERANCE = 0.2


def describe_fairness(facts: Sequence[MethodFacts]) -> str:
    """Say in one paragraph which learned methods were given the same.

    Parameters
    ----------
    facts
        Methods of a table; those that were not learned are passed over.

    Returns
    -------
    str
        "Matched: ..." if all share their data, and pixels seen and operations lie
        within 20% of the median; else what differs, method by method.
    """
    learned = [entry for entry in facts if entry.learned]
    # "name, exact" and "name@told" are the same network as "name"
    learned = list({re.split(", |@", one.name)[0]: one for one in learned}.values())
    if len(learned) < 2:
        return "One learned method at most: there is nothing to match."
    apart = [
        *_compare_data(learned),
        *_compare_numbers(
            {entry.name: entry.seen_megapixels for entry in learned},
            "has seen {:.0f} Mpx, the median being {:.0f}",
        ),
        *_compare_numbers(
            {entry.name: entry.operations / 1e6 for entry in learned},
            "needs {:.3g} M multiply-adds a pixel, the median being {:.3g}",
        ),
    ]
    if apart:
        return "Not matched: " + "; ".join(apart) + "."
    names = ", ".join(entry.name for entry in learned)
    seen = _format_range([entry.seen_megapixels or 0 for entry in learned], "{:.0f}")
    cost = _format_range([entry.operations / 1e6 for entry in learned], "{:.3g}")
    return (
        f"Matched: {names} share their training images, {seen} Mpx seen, and {cost} M "
        "multiply-adds a measured pixel."
    )


def _compare_data(learned: Sequence[MethodFacts]) -> Iterable[str]:
    """Name methods whose data differ from those of most."""
    sets = [frozenset(entry.data) for entry in learned]
    # of sets that are as frequent, the larger one
    usual = max(sets, key=lambda one: (sets.count(one), len(one)))
    for entry, data in zip(learned, sets, strict=True):
        if not data:
            yield f"{entry.name} does not state its training images"
        elif data != usual:
            yield f"{entry.name} was trained on other images"


def _compare_numbers(
    values: Mapping[str, float | None], sentence: str
) -> Iterable[str]:
    """Name methods that lie more than 20% from the median."""
    known = sorted(value for value in values.values() if value is not None)
    # of an even number the upper one, so that the median is some method's own
    if known:
        middle = known[len(known) // 2]
    for name, value in values.items():
        if value is None:
            yield f"{name} does not state how many pixels it has seen"
        elif abs(value - middle) > _TOLERANCE * middle:
            yield f"{name} {sentence.format(value, middle)}"


def _format_range(values: Sequence[float], form: str) -> str:
    """Write one number, or the smallest and the largest."""
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"
