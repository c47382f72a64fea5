"""What a worker of a cluster does: it makes tiles of a job and writes them itself.

A job is a frozen description, small enough to travel with each batch of tiles. A
process opens images and models of it once. What a batch has written is on disk before
the batch is over; its sums go to the process that keeps the journal, and nobody else
writes there.
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from napari_structsr.core.axes import ImageSpec
from napari_structsr.core.grid import Tile
from napari_structsr.core.record import Record
from napari_structsr.core.types import Array
from napari_structsr.engine.events import Cancel, Warned
from napari_structsr.engine.run_tiles import TileComputer, run_tiles
from napari_structsr.errors import ClusterError, SourceError, StructsrError
from napari_structsr.io.ome_zarr.chunk_files import FileSum, hold_sums
from napari_structsr.io.ome_zarr.chunk_store import ChunkArrays
from napari_structsr.io.ome_zarr.disk import translate_os_errors
from napari_structsr.io.ome_zarr.journal import FileNotes, Key
from napari_structsr.io.ome_zarr.layout import Layout
from napari_structsr.io.open import open_source
from napari_structsr.io.records import read_zarr_record
from napari_structsr.io.remote.address import is_stored
from napari_structsr.io.source import Source, keep_chunks

MakeComputer = Callable[[], TileComputer[Any, Mapping[str, Array]]]


@dataclass(frozen=True)
class StorePlace:
    """A store that workers fill.

    Parameters
    ----------
    root
        Its folder.
    layout
        How the image lies in it.
    """

    root: Path
    layout: Layout


@dataclass(frozen=True)
class ImagePath:
    """An image as any machine opens it.

    Parameters
    ----------
    origin
        Absolute path, pattern, or address.
    options
        Arguments of `open_source`.
    spec
        What the image is; names and colours may have been changed since it was opened.
    """

    origin: str
    options: Mapping[str, Any]
    spec: ImageSpec | None = None

    @classmethod
    def of(cls, source: Source) -> ImagePath:
        """Return where a source lies.

        Raises
        ------
        ClusterError
            If it is no file that others could open.
        """
        if not is_stored(source.origin):
            raise ClusterError(
                f"the image is a {source.origin}, which workers of a cluster cannot "
                "read; write it as TIFF or OME-Zarr and give its path"
            )
        return cls(source.origin, dict(source.options), source.spec)

    def open(self) -> Source:
        """Open it.

        Raises
        ------
        ClusterError
            If this machine does not see it.
        """
        with blame_worker(f"the image {self.origin}"):
            source = open_source(self.origin, **self.options)
        keep_chunks(source)
        # of another image its own spec tells that it is another one
        if self.spec is not None and _is_same_grid(source.spec, self.spec):
            source.spec = self.spec
        return source


def _is_same_grid(one: ImageSpec, other: ImageSpec) -> bool:
    mine = one.axes.names, one.axes.shape, one.dtype
    return mine == (other.axes.names, other.axes.shape, other.dtype)


class TileJob(Protocol):
    """What workers make tiles of; pickled by dask between processes of one user."""

    @property
    def key(self) -> str:
        """What tells it from all other jobs."""

    @property
    def record(self) -> Record:
        """Everything that decides its bytes."""

    @property
    def stores(self) -> Mapping[str, StorePlace]:
        """Where the images of a tile go, by their names."""

    def open(self) -> MakeComputer:
        """Open images and models; return what makes a computer of tiles.

        Raises
        ------
        StructsrError
            If this machine cannot do what the job asks for.
        """


@dataclass(frozen=True)
class BatchResult:
    """What a batch has written, by store, and what the user should hear."""

    count: int
    noted: Mapping[str, Mapping[Key, tuple[FileSum, ...]]]
    warnings: tuple[str, ...] = ()


def run_batch(job: TileJob, tiles: Sequence[int]) -> BatchResult:
    """Make tiles and write them; return once they are on disk."""
    make = open_job(job)
    stores = {name: _OpenStore(job, place) for name, place in job.stores.items()}

    def write(tile: Tile, images: Mapping[str, Array]) -> None:
        for name, store in stores.items():
            with translate_os_errors(store.root):
                store.arrays.write(tile, images[name])

    events = run_tiles(
        make(), tiles, write=write, writers=(), cancel=Cancel(), doing="working"
    )
    warnings = tuple(one.message for one in events if isinstance(one, Warned))
    noted = {name: store.take() for name, store in stores.items()}
    return BatchResult(len(tiles), noted, warnings)


def coarsen_batch(
    job: TileJob, name: str, level: int, tiles: Sequence[int]
) -> BatchResult:
    """Make tiles of a level of one store from the finer one, which must be complete."""
    store = _OpenStore(job, job.stores[name])
    with translate_os_errors(store.root):
        for index in tiles:
            store.arrays.coarsen(level, index)
    return BatchResult(len(tiles), {name: store.take()})


def check_batch(
    root: Path, written: Sequence[tuple[Key, tuple[FileSum, ...]]]
) -> list[Key]:
    """Return the tiles whose files are not what was written."""
    return [
        (level, index)
        for (level, index), sums in written
        if not hold_sums(root / str(level), sums)
    ]


class _OpenStore:
    """A store of a job as one batch has it, with notes of its own."""

    def __init__(self, job: TileJob, place: StorePlace) -> None:
        self.root = place.root
        try:
            status, record = read_zarr_record(place.root)
        except (SourceError, OSError):
            status, record = None, None
        # a folder of that name on a disk of its own is not the one of the run
        if status != "partial" or record != job.record:
            raise ClusterError(describe_folder(f"cannot see the result {place.root}"))
        self._notes = FileNotes(place.root)
        with translate_os_errors(place.root):
            self.arrays = ChunkArrays(place.root, place.layout, self._notes)

    def take(self) -> dict[Key, tuple[FileSum, ...]]:
        with translate_os_errors(self.root):
            return self._notes.take()


# One job at a time is open in a process: images hold files, models memory. Threads of
# one worker share them.
_LOCK = threading.Lock()
_OPENED: dict[str, MakeComputer] = {}


def open_job(job: TileJob) -> MakeComputer:
    """Return what the job opens, of which a process has one at a time."""
    with _LOCK:
        if job.key not in _OPENED:
            _OPENED.clear()
            _OPENED[job.key] = job.open()
        return _OPENED[job.key]


@contextmanager
def blame_worker(what: str) -> Iterator[None]:
    """Say of an error which machine it happened on, and what may differ there."""
    try:
        yield
    except StructsrError as error:
        raise ClusterError(
            f"{name_worker()} cannot open {what} ({error}); what a run needs must have "
            "the same path on all machines: put it on a disk that they share, or leave "
            "such workers out"
        ) from error


def check_alike(found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Refuse a worker on which numbers may come out otherwise.

    Parameters
    ----------
    found, wanted
        Devices, number formats and versions, by their names.

    Raises
    ------
    ClusterError
        Naming what differs.
    """
    different = [
        f"{name} {found.get(name, 'missing')} where the run has {value}"
        for name, value in wanted.items()
        if found.get(name) != value
    ]
    if different:
        raise ClusterError(
            f"{name_worker()} would compute other numbers: it has "
            f"{' and '.join(different)}; give all workers the same environment and the "
            "same kind of device, or leave such workers out"
        )


def describe_folder(seen: str) -> str:
    """Say what a worker sees in place of a folder of results, and what to do."""
    return (
        f"{name_worker()} {seen}; a folder of results must have the same path on all "
        "machines: write to one that they share, or leave such workers out"
    )


def name_worker() -> str:
    """Return which worker this process is, in words."""
    from distributed import get_worker

    try:
        return f"the worker {get_worker().address} on {platform.node()}"
    except ValueError:
        # not called by dask, such as in a test
        return f"this process on {platform.node()}"


def cut_batches(steps: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Cut steps into batches of `size`, the last one shorter."""
    batch = []
    for step in steps:
        batch.append(step)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
