"""Making pairs in the background: the job of the first step.

Pixels are read and images registered in a worker. A pair that is refused is an answer
like another, and does not end the job.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Event,
    Finished,
    Progressed,
    Started,
)
from napari_structsr.errors import StructsrError
from napari_structsr.gui.finetune.pairs_entry import PairEntry
from napari_structsr.gui.finetune.pairs_requests import PairRequest

__all__ = ["pairing_events"]


@dataclass(frozen=True)
class _Outline:
    """What the job is going to do."""

    pairs: int
    done: int = 0

    def __str__(self) -> str:
        return f"{self.pairs} {'pair' if self.pairs == 1 else 'pairs'}"


def pairing_events(
    requests: Sequence[PairRequest],
    there: Sequence[PairEntry],
    *,
    cancel: Cancel,
) -> Iterator[Event]:
    """Make pairs; torch is imported here, in the worker.

    Parameters
    ----------
    requests
        What is asked for.
    there
        Pairs that were made before.

    Yields
    ------
    Event
        The output of `Finished` is a list of `PairEntry`, refused ones included.
    """
    yield Started(len(requests), _Outline(len(requests)))
    made: list[PairEntry] = []
    for number, request in enumerate(requests):
        if cancel:
            yield Cancelled(number)
            return
        made.append(_entry(request, [*there, *made]))
        yield Progressed(number + 1, len(requests), "pairs")
    yield Finished(made)


def _entry(request: PairRequest, there: Sequence[PairEntry]) -> PairEntry:
    """Make one pair, or say why not."""
    from napari_structsr.pairs.checks import find_twin
    from napari_structsr.pairs.duplicate_fields import note_overlap
    from napari_structsr.pairs.register_pair import field_pair, high_only_pair

    pairs = [one.pair for one in there if one.pair is not None]
    factor = request.factor or next((pair.factor for pair in pairs), None)
    entry = PairEntry(name=request.name, frame=request.frame, request=request)
    try:
        request = request.opened()
        assert request.high is not None
        axes = (request.low or request.high).spec.axes
        entry = replace(entry, request=request, unit=axes["y"].unit)
        if request.low is None:
            pair = high_only_pair(
                request.high,
                factor=factor or 2,
                region=request.region,
                plane=request.plane,
                name=request.name,
                psf_sigma=request.psf_sigma,
                sample=request.sample,
            )
        else:
            pair = field_pair(
                request.low,
                request.high,
                region=request.region,
                plane=request.plane,
                factor=factor,
                name=request.name,
            )
    except StructsrError as error:
        return replace(entry, refused=str(error))
    twin = find_twin(pair, pairs)
    if twin is not None:
        return replace(
            entry, refused=f"it holds the same pixels as {twin}; draw another region"
        )
    pair = note_overlap(pair, pairs)
    frame = request.frame
    if frame is not None:
        y, x = (
            (edge - axes[name].translate) / axes[name].scale + 0.5
            for name, edge in zip("yx", pair.where.origin, strict=True)
        )
        frame = replace(frame, first=(y, x))
    return replace(entry, pair=pair, frame=frame)
