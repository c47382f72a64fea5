"""What can be upscaled: one protocol for whatever holds planes.

A `Source` gives rectangles of planes, lazily, and says what the image is. It knows
nothing of models, tiles or devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from napari_structsr.core.axes import ImageSpec
from napari_structsr.core.types import Array


def keep_chunks(source: Source) -> None:
    """Let a source keep the chunks that it reads, where it can; see `Source`."""
    if keep := getattr(source, "keep_chunks", None):
        keep()


@runtime_checkable
class Source(Protocol):
    """A stack of planes that can be read by rectangles, from several threads.

    A source may also have ``close()``, where it holds files open; ``images``, the names
    of all images in its file, as `napari_structsr.io.open.list_images` returns them;
    and ``fingerprint()``, which returns plain values that are others once the image has
    changed on disk; from then on `read` refuses what has changed. Without one, samples
    of the pixels count. ``depths`` holds how many planes along an axis are stored
    together, and ``keep_chunks()`` says that a run begins, which will read neighbours:
    chunks that it reads stay unpacked.
    """

    options: Mapping[str, Any]
    """Arguments of `open_source` that, beside `origin`, open it again."""

    spec: ImageSpec
    """What the image is, axes in the order of the stored array."""

    chunks: tuple[int, int]
    """Rows and columns that are stored together; reading them whole is cheap."""

    origin: str
    """Where the pixels come from: an absolute path, or what kind of object."""

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Read a rectangle of one plane.

        Parameters
        ----------
        plane
            Index along ``spec.axes.loops``.
        rows, columns
            Pixels along y and x, inside the plane.

        Returns
        -------
        ndarray
            Shape (samples, rows, columns), the source's own dtype; a copy.

        Raises
        ------
        SourceError
            If the pixels are gone or have changed, or cannot be read or decoded.
        """
        ...
