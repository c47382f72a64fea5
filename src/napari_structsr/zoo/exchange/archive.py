"""A package of a stranger, a zip or a folder: its files by name, none of them unpacked.

Names are looked up and never followed: nothing is written, and nothing outside of the
package is read.
"""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath
from types import TracebackType

from napari_structsr.errors import ModelError, blame_file
from napari_structsr.io.limits import TEXT_BYTES, read_limited

DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml", "rdf.yml", "bioimageio.yml")
"""Names of the description of a package."""

_WHAT, _REMEDY = "a package of a model", "get the package again"
_LARGEST_RATIO = 100  # of unpacked to packed bytes: weights hardly shrink
_FREE_BYTES = 2**20  # whatever the ratio
_MOST_MEMBERS = 10_000


def is_package(path: Path) -> bool:
    """Tell a package from files of other kinds."""
    if path.suffix.lower() == ".zip":
        return True
    return path.is_dir() and any((path / name).is_file() for name in DESCRIPTIONS)


class Archive:
    """The files at the top of a zip or a folder.

    Parameters
    ----------
    path
        The zip or the folder.

    Raises
    ------
    ModelError
        If it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._entries: dict[str, zipfile.ZipInfo] = {}
        with blame_file(path, ModelError, what=_WHAT, remedy=_REMEDY):
            if path.is_dir():
                self.names = sorted(one.name for one in path.iterdir())
                return
            self._zip = zipfile.ZipFile(path)
            entries = self._zip.infolist()
            if len(entries) > _MOST_MEMBERS:
                raise ModelError(f"{path} holds {len(entries)} files, and no model")
            self._entries = {entry.filename: entry for entry in entries}
            self.names = sorted(self._entries)

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._zip is not None:
            self._zip.close()

    def read(self, name: str, limit: int = TEXT_BYTES) -> bytes:
        """Return a file of at most `limit` bytes.

        Raises
        ------
        ModelError
            If it is missing, lies elsewhere, or is larger than it may be.
        """
        # only names of one part: neither folders nor what lies above them
        if PurePosixPath(name).name != name or "\\" in name or ":" in name:
            raise ModelError(
                f"{self.path} names {name!r}, which lies outside of it; get the "
                "package with all of its files, from its page: Download"
            )
        if name not in self.names:
            raise ModelError(f"{self.path} lacks its file {name}; {_REMEDY}")
        with blame_file(self.path, ModelError, what=_WHAT, remedy=_REMEDY):
            if self._zip is None:
                return read_limited(self.path / name, limit)
            entry = self._entries[name]
            allowed = min(limit, _FREE_BYTES + _LARGEST_RATIO * entry.compress_size)
            if entry.file_size > allowed:
                raise ModelError(
                    f"{self.path} holds {name} of {entry.file_size} bytes, which is "
                    "too large for a model; ask for it to be packed again"
                )
            with self._zip.open(entry) as file:
                # what the directory says of a size is no promise
                data = file.read(allowed + 1)
            if len(data) > allowed:
                raise ModelError(
                    f"{self.path} holds {name}, which is larger than it says; {_REMEDY}"
                )
            return data
