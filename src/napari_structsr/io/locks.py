"""One run at a time writes to a place: locks that die with their process.

The lock of a file or store NAME is the hidden file ``.NAME.lock`` beside it, that of a
folder which a job fills lies in it. Runs that make a result together, part by part,
each hold a lock of their part, and that of the whole only while they begin. The
operating system holds the lock, so that a process which was killed holds none. The file
says, for others to read, who has it.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import re
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from napari_structsr.core.part import RunPart
from napari_structsr.errors import BusyError, SinkError
from napari_structsr.io.atomic import find_target, list_hidden, sweep_beside
from napari_structsr.io.remote.address import hide_credentials

# seconds: a lock that is just being released is waited for
_PATIENCE = 0.2
# a part begins while others do, and each of them looks at what is there
_PARTS_PATIENCE = 60.0
_IN_FOLDER = ".structsr.lock"
# what file systems say that lock nothing
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}
_LOCK = re.compile(r"\..+\.lock")
_OURS = re.compile(
    r"\.(zarr|tiff?|json|safetensors|structsr)(\.part-\d+-of-\d+)?\.lock", re.IGNORECASE
)
_LONGEST = 200  # letters of a command that are told


@contextmanager
def lock_output(path: Path, part: RunPart | None = None) -> Iterator[ExitStack]:
    """Keep other runs from writing to a file or store, and sweep what they left.

    Parameters
    ----------
    path
        The file or store.
    part
        Lock this part of it alone, once the stack that is yielded is left: until then
        no other part begins.

    Raises
    ------
    SinkError
        If another run writes there, saying which.
    """
    with _lock(find_lock(path), path, part) as whole:
        sweep_beside(path)
        yield whole


@contextmanager
def _lock(file: Path, target: Path, part: RunPart | None) -> Iterator[ExitStack]:
    """Lock the whole, or a part; yield what must be left to let other parts begin."""
    with ExitStack() as held, ExitStack() as whole:
        if part is None:
            whole.enter_context(_hold(file, target))
            for other in _find_part_locks(file):
                _probe(other, target)
        else:
            whole.enter_context(_hold(file, target, patience=_PARTS_PATIENCE))
            held.enter_context(_hold(_name_part_lock(file, part.label), target))
        yield whole


@contextmanager
def lock_folder(
    folder: Path, *, parents: bool = True, part: RunPart | None = None
) -> Iterator[None]:
    """Keep other runs from writing into a folder, and sweep what they left in it.

    It is made if it is missing, and removed again if it stays empty.

    Parameters
    ----------
    folder
        What a job fills.
    parents
        Whether missing folders above it are made too.
    part
        Lock this part of the job alone, beside other parts.

    Raises
    ------
    SinkError
        If another run writes there, saying which.
    """
    above = [folder, *(folder.parents if parents else ())]
    made = [one for one in above if not one.exists()]
    folder.mkdir(parents=parents, exist_ok=True)
    try:
        with _lock(folder / _IN_FOLDER, folder, part) as whole:
            for entry in list_hidden(folder):
                target = find_target(entry)
                if target is not None and not is_locked(target):
                    sweep_beside(target)
            if part is not None:
                whole.close()
            yield
    finally:
        for one in made:
            # one that holds anything by now stays
            with suppress(OSError):
                one.rmdir()


def check_unlocked(path: Path, part: RunPart | None = None) -> None:
    """Refuse a file or store that another run is writing; see `lock_output`."""
    if part is not None:
        _probe(_name_part_lock(find_lock(path), part.label), path)
        return
    for file in (find_lock(path), *_find_part_locks(find_lock(path))):
        _probe(file, path)


def is_locked(path: Path) -> bool:
    """Tell whether a run is writing to a file, a store, or into a folder."""
    try:
        for file in (find_lock(path), path / _IN_FOLDER):
            for one in (file, *_find_part_locks(file)):
                _probe(one, path)
    except SinkError:
        return True
    return False


def find_lock(path: Path) -> Path:
    """Return the file that locks a file or store."""
    return path.with_name(f".{path.name}.lock")


def _name_part_lock(file: Path, label: str) -> Path:
    return file.with_name(f"{file.name.removesuffix('.lock')}.{label}.lock")


def _find_part_locks(file: Path) -> list[Path]:
    start = glob.escape(file.name.removesuffix(".lock"))
    return sorted(file.parent.glob(f"{start}.part-*-of-*.lock"))


def is_lock(path: Path) -> bool:
    """Tell whether a file is a lock that was written here."""
    if not _LOCK.fullmatch(path.name) or not path.is_file():
        return False
    # one that is empty was killed before it could say who it was
    ours = path.stat().st_size == 0 and _OURS.search(path.name)
    return bool(ours) or _read_holder(path) is not None


@contextmanager
def _hold(file: Path, target: Path, *, patience: float = _PATIENCE) -> Iterator[None]:
    lock = _acquire(file, target, patience)
    try:
        # a disk that is full keeps no note, and the lock holds without one
        with suppress(OSError):
            _write_holder(file)
        yield
    finally:
        # While it is held: whoever has opened the file meanwhile finds it deleted, and
        # makes a new one. Windows deletes no open file; there filelock does it after.
        if os.name == "posix":
            file.unlink(missing_ok=True)
        lock.release()


def _probe(file: Path, target: Path) -> None:
    """Refuse a lock that is held; one that is not stays as it is."""
    if file.exists():
        _acquire(file, target).release()


def _acquire(file: Path, target: Path, patience: float = _PATIENCE) -> BaseFileLock:
    # any thread may end a run, such as the one that collects garbage
    lock: BaseFileLock = FileLock(file, thread_local=False, fallback_to_soft=False)
    marker: Path | None = None
    try:
        try:
            lock.acquire(timeout=patience, poll_interval=0.05)
        except OSError as error:
            if isinstance(error, Timeout) or error.errno not in _NO_LOCKS:
                raise
            # then a second file is the lock, by being there
            marker = file.with_name(f"{file.name}ed")
            lock = SoftFileLock(marker, thread_local=False)
            lock.acquire(timeout=patience, poll_interval=0.05)
    except Timeout:
        raise BusyError(_describe(file, target, marker=marker)) from None
    except OSError as error:
        raise SinkError(
            f"{target} cannot be written ({file}: {error.strerror or error}); check "
            "its folder and the space there, and start the same command again"
        ) from error
    return lock


def _describe(file: Path, target: Path, *, marker: Path | None) -> str:
    holder = _read_holder(file)
    who = ""
    if holder is not None:
        who = (
            f" ({holder['command']}; process {holder['pid']} on {holder['host']}, "
            f"since {holder['since']})"
        )
    remedy = "wait until it has ended, stop it, or choose another name"
    if marker is not None:
        remedy += f"; if there is no such run any more, delete {marker}"
    return f"{target} is being written by another run{who}; {remedy}"


def _write_holder(file: Path) -> None:
    program = Path(sys.argv[0]).name
    # `python -m napari_structsr.cli` is the same command
    program = "structsr" if program == "__main__.py" else program
    # others can read it, and an address may hold a password
    command = shlex.join([program, *map(hide_credentials, sys.argv[1:])])
    holder = {
        "command": command if len(command) <= _LONGEST else f"{command[:_LONGEST]} ...",
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    }
    with file.open("r+b", buffering=0) as opened:
        # behind the first byte, which is what Windows locks
        opened.write(b" " + json.dumps(holder).encode())
        opened.truncate()


def _read_holder(file: Path) -> dict[str, object] | None:
    """Return who has, or had, a lock; None where that cannot be read."""
    try:
        with file.open("rb", buffering=0) as opened:
            opened.seek(1)
            holder = json.loads(opened.read(8 * _LONGEST))
    except (OSError, ValueError):
        return None
    known = isinstance(holder, dict) and {"command", "pid", "host", "since"} <= {
        *holder
    }
    return holder if known else None
