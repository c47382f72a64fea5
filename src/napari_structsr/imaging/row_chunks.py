"""Functions of neighbourhoods, computed a few rows at a time.

What is computed on the way then stays in the cache. On a CPU each core takes chunks of
its own: operations this small lose more by sharing one among the cores than they gain.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import TypeVar

import torch
from torch import Tensor

# Pixels of a chunk: on a CPU as many as stay in the cache with their temporaries,
# elsewhere many more, since a GPU is idle between small pieces of work.
_CPU_CHUNK, _GPU_CHUNK = 1 << 18, 1 << 23

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_row_chunks(
    function: Callable[..., Tensor], *images: Tensor, radius: int
) -> Tensor:
    """Apply a function of neighbourhoods to a few rows at a time.

    The result is ``function(*images)``, of shape (..., H, W). The function takes images
    of shape (N, C, h, W) and returns (..., h, W), of which a pixel depends on pixels at
    most `radius` away, mirrored beyond the border. It may be called in threads.
    """
    height = images[0].shape[-2]
    on_cpu = images[0].device.type == "cpu"
    pixels = _CPU_CHUNK if on_cpu else _GPU_CHUNK
    # never chunks of fewer rows than are read around them, or most work is done twice
    rows = max(pixels // images[0][..., 0, :].numel(), 2 * radius, 1)
    if height <= rows:
        return function(*images)

    def compute(top: int) -> Tensor:
        first = max(top - radius, 0)
        part = function(*(i[..., first : top + rows + radius, :] for i in images))
        # the rows beyond the chunk were reflected inside the image: not to be kept
        return part[..., top - first : min(top - first + rows, height - first), :]

    tops = range(0, height, rows)
    return torch.cat(compute_side_by_side(compute, tops, on_cpu=on_cpu), dim=-2)


def compute_side_by_side(
    compute: Callable[[_Item], _Result], items: Iterable[_Item], *, on_cpu: bool
) -> list[_Result]:
    """Return ``[compute(item) for item in items]``, on a CPU one item for each core."""
    # in a thread of the pool there is one alone
    if not on_cpu or torch.get_num_threads() == 1:
        return [compute(item) for item in items]
    in_inference = torch.is_inference_mode_enabled()
    with_gradients = torch.is_grad_enabled()

    def run(item: _Item) -> _Result:
        # modes belong to a thread
        with torch.inference_mode(in_inference), torch.set_grad_enabled(with_gradients):
            return compute(item)

    return list(_open_pool().map(run, items))


@cache
def _open_pool() -> ThreadPoolExecutor:
    """Return threads that compute with one thread of torch each."""
    count = torch.get_num_threads()
    started = Barrier(count + 1)

    def begin() -> None:
        # a thread takes the number of all threads when it first asks
        torch.get_num_threads()
        torch.set_num_threads(1)
        started.wait()

    pool = ThreadPoolExecutor(count, "chunk", initializer=begin)
    for _ in range(count):
        pool.submit(int)
    started.wait()
    # torch takes the last number that was set for threads that begin later, too
    torch.set_num_threads(count)
    return pool


# threads do not outlive a fork
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open_pool.cache_clear)
