"""Runs on a dask cluster: tiles go out to workers, the sums of files come back.

This process owns the lock, the journal, the record and the metadata of a result, as in
a run on one machine. Workers write chunks and tell their sums. Whatever dies, tiles
that the journal names stay: the same command goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from napari_structsr.core.grid import TileGrid
from napari_structsr.engine.batches import (
    BatchResult,
    TileJob,
    check_batch,
    coarsen_batch,
    cut_batches,
    run_batch,
)
from napari_structsr.engine.events import Cancel, Event, Noted, Progressed, Warned
from napari_structsr.engine.run_tiles import AHEAD, finish_levels
from napari_structsr.errors import ClusterError, StructsrError
from napari_structsr.io.ome_zarr.chunk_store import ChunkStore
from napari_structsr.io.sink import Writer

if TYPE_CHECKING:
    from distributed import Client, Future

_RETRIES = 2  # of a batch that fails, on whichever worker
_PER_THREAD = 2  # batches that a worker has: one it works on, one that waits
_MOST = 4  # tiles of a batch: as many are lost with a worker
_LEVEL_TILES = 16  # of a level, which cost less
_CHECKED_TILES = 64
_PATIENCE = 1.0  # seconds between looks at whether anybody still works
_AGAIN = "what is finished is kept: start the same command again"


class StoreWriter(Writer, Protocol):
    """A sink on disk, opened by the process that owns it."""

    @property
    def store(self) -> ChunkStore:
        """Arrays and journal."""


def ask_worker(
    client: Client, call: Callable[..., Any], *words: Any, cancel: Cancel
) -> Generator[Event, None, Any]:
    """Let a worker do something, and return what it found; None after a cancel."""
    for found in spread(client, call, [words], cancel=cancel):
        if not isinstance(found, Event):
            return found
        yield found
    return None


def run_on_cluster(
    client: Client,
    job: TileJob,
    tiles: Sequence[int],
    *,
    grid: TileGrid,
    writers: Mapping[str, StoreWriter],
    cancel: Cancel,
    doing: str,
) -> Generator[Event, None, int]:
    """Let workers make tiles and levels; otherwise as `run_tiles`.

    Parameters
    ----------
    client
        Of a cluster whose workers reach images and results under the same paths.
    job
        What they make.
    tiles
        Indices of the tiles that no earlier run has written.
    grid
        All tiles.
    writers
        The opened stores, by the names of the job.
    cancel, doing
        As in `run_tiles`.
    """
    total = len(grid)
    done = total - len(tiles)
    size = choose_batch_size(client, len(tiles), most=_MOST)
    batches = ((job, batch) for batch in cut_batches(tiles, size))
    for found in spread(client, run_batch, batches, cancel=cancel):
        if isinstance(found, Event):
            yield found
            continue
        _take_over(writers, found)
        yield from (Warned(warning) for warning in found.warnings)
        done += found.count
        yield Progressed(done, total, doing)
    for name, writer in writers.items():
        yield from _build_levels(client, job, name, writer.store, cancel)
        yield from _check(client, writer.store, cancel)
    # what workers cannot do, such as putting a TIFF together
    with ThreadPoolExecutor(2 * AHEAD) as pool:
        for writer in writers.values():
            yield from finish_levels(writer, pool, cancel)
    return done


def _build_levels(
    client: Client, job: TileJob, name: str, store: ChunkStore, cancel: Cancel
) -> Iterator[Event]:
    for level, left in () if cancel else store.rounds():
        calls = ((job, name, level, part) for part in cut_batches(left, _LEVEL_TILES))
        done = 0
        for found in spread(client, coarsen_batch, calls, cancel=cancel):
            if isinstance(found, Event):
                yield found
                continue
            store.journal.take_over(found.noted[name])
            done += found.count
            yield Progressed(done, len(left), "building the pyramid")
        # the next level is made from one that is whole
        if cancel:
            return


def _check(client: Client, store: ChunkStore, cancel: Cancel) -> Iterator[Event]:
    """Let workers look at all that was written, which takes reading it."""
    if cancel:
        return
    tiles = store.journal.list_tiles()
    entries = ((key, store.journal.sums_of(key)) for key in tiles)
    calls = ((store.root, part) for part in cut_batches(entries, _CHECKED_TILES))
    for found in spread(client, check_batch, calls, cancel=cancel):
        if isinstance(found, Event):
            yield found
        elif found:
            # looked at here once more: a worker may have lost sight of the folder
            for key in found:
                store.check_tile(key)
    store.checked = not cancel


def _take_over(writers: Mapping[str, StoreWriter], found: BatchResult) -> None:
    for name, noted in found.noted.items():
        writers[name].store.journal.take_over(noted)


def choose_batch_size(client: Client, count: int, *, most: int) -> int:
    """Return how many of `count` steps go out together: all have work until the end.

    Raises
    ------
    ClusterError
        If nobody can be asked any more.
    """
    return max(1, min(most, count // (4 * max(1, _count_threads(client)))))


def spread(
    client: Client,
    call: Callable[..., Any],
    words: Iterable[tuple[Any, ...]],
    *,
    cancel: Cancel,
) -> Iterator[Any]:
    """Call a function on workers; yield what it returns, as it comes, and events.

    After a cancel nothing more is sent, and what is being worked on still comes.

    Parameters
    ----------
    client
        Of the workers.
    call
        What they can import; small arguments and results travel with each call.
    words
        Arguments of each call.
    cancel
        Looked at before each call.
    """
    ended: SimpleQueue[Future[Any]] = SimpleQueue()
    running: dict[Any, Future[Any]] = {}
    rest = iter(words)
    alone = False
    try:
        while True:
            wanted = _PER_THREAD * max(1, _count_threads(client))
            while len(running) < wanted and not cancel:
                following = next(rest, None)
                if following is None:
                    break
                future = client.submit(call, *following, pure=False, retries=_RETRIES)
                running[future.key] = future
                future.add_done_callback(ended.put)
            if not running:
                return
            try:
                future = ended.get(timeout=_PATIENCE)
            except Empty:
                lonely = not _count_threads(client)
                if lonely and cancel:
                    return
                if lonely and not alone:
                    yield Noted("no worker is there yet; waiting for one")
                alone = lonely
                continue
            del running[future.key]
            yield _result_of(future, client)
    finally:
        # after an error nobody waits for the rest; it ends where it is
        if running and client.status == "running":
            client.cancel(list(running.values()))


def _result_of(future: Future[Any], client: Client) -> Any:
    from distributed import KilledWorker

    if future.status == "cancelled":
        raise _explain_loss(client)
    try:
        return future.result()
    except StructsrError:
        raise
    except KilledWorker as error:
        raise ClusterError(
            "a batch of tiles ended several workers, most likely for want of memory; "
            f"give workers more, or start fewer on a machine; {_AGAIN}"
        ) from error
    except ImportError as error:
        raise ClusterError(
            f"a worker cannot load what it needs ({error}); install napari-structsr "
            "there, of the same version as here, and start the same command again"
        ) from error


def _count_threads(client: Client) -> int:
    """Return how many batches workers can work on at once, now."""
    if client.status in ("closing", "closed"):
        raise _explain_loss(client)
    try:
        threads: Mapping[str, int] = client.nthreads()
    except OSError as error:
        raise _explain_loss(client) from error
    return sum(threads.values())


def _explain_loss(client: Client) -> ClusterError:
    address = getattr(client.scheduler, "address", "")
    return ClusterError(
        f"the scheduler {address} was lost, or has dropped the run; "
        f"{_AGAIN}, with the address of one that runs"
    )
