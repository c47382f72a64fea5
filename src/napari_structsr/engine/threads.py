"""With how many threads torch computes: with all, or with one where that is quicker.

Where other programs use the cores too, threads that wait for each other cost more than
they bring. Nothing tells that but trying. What is computed must not depend on it, so
that one thread is taken only where it gives the same bytes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_SIDE = 128  # pixels of the image that is timed
_BLOCK = 512  # pixels of the image whose bytes are compared
_ROUNDS = 3
_GAIN = 1.25  # less is not told from chance
_PLAIN = 4.0  # more is no chance
_WORTH = 1 << 23  # pixels from which a run takes far longer than trying


@contextmanager
def quicker_threads(
    compute: Callable[[Tensor], Tensor],
    pixels: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[int]:
    """Let torch compute with one thread inside the block, where that is quicker.

    Parameters
    ----------
    compute
        Makes the result of an image of shape (1, 1, rows, columns) on the CPU.
    pixels
        How many will be computed; for few it is not tried.
    clock
        Returns the time in seconds.

    Yields
    ------
    int
        Number of threads.
    """
    many = torch.get_num_threads()
    # who has said how many threads there are is not asked again
    tried = many > 1 and pixels >= _WORTH and "OMP_NUM_THREADS" not in os.environ
    try:
        yield _choose(compute, many, clock) if tried else many
    finally:
        if tried:
            torch.set_num_threads(many)


def _choose(
    compute: Callable[[Tensor], Tensor], many: int, clock: Callable[[], float]
) -> int:
    """Set and return the better number of threads."""
    image = torch.rand((1, 1, _SIDE, _SIDE), generator=torch.Generator().manual_seed(0))
    took = dict.fromkeys((many, 1), 0.0)
    # in turns: a neighbour that comes or goes meanwhile meets both
    for _ in range(_ROUNDS):
        for count in took:
            torch.set_num_threads(count)
            begun = clock()
            compute(image)
            took[count] += clock() - begun
        # trying takes longest where it is plain at once
        if took[many] > _PLAIN * took[1]:
            break
    if took[many] > _GAIN * took[1] and _gives_same(compute, many):
        torch.set_num_threads(1)
        return 1
    torch.set_num_threads(many)
    return many


def _gives_same(compute: Callable[[Tensor], Tensor], many: int) -> bool:
    image = torch.rand((1, 1, _BLOCK, _BLOCK))
    found = []
    for count in (1, many):
        torch.set_num_threads(count)
        found.append(compute(image))
    return torch.equal(*found)
