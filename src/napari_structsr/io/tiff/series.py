"""Many TIFF files of one kind as one image, the files along an axis of their own.

Each file is opened for a read and closed again, so that neither open files nor memory
grow with their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tifffile

from napari_structsr.core.axes import Axes, Axis, Channel, ImageSpec
from napari_structsr.core.types import Array
from napari_structsr.errors import AxesError, SourceError, blame_file
from napari_structsr.io.arrays import make_spec
from napari_structsr.io.fingerprint import Fingerprint, WatchedFiles
from napari_structsr.io.tiff.reader import TiffSource
from napari_structsr.io.units import Step


class TiffFiles:
    """The files of a pattern, in natural order: 2 before 10.

    Parameters
    ----------
    pattern, files
        Absolute pattern, which is the image's origin, and what it matches.
    axes, level, series, name
        As in `open_source`. By default the files are z; if they hold a z themselves t,
        and c if they hold both; and the image is called as the folder.

    Raises
    ------
    SourceError, AxesError
        If files differ in shape or type, or no axis is left for them.
    """

    def __init__(
        self,
        pattern: Path,
        files: Sequence[Path],
        *,
        axes: str | None = None,
        level: int = 0,
        series: int | str | None = None,
        name: str | None = None,
    ) -> None:
        self.options: Mapping[str, Any] = {}
        # natural order: plane10 comes after plane9
        self._files = tifffile.natural_sorted(str(file.absolute()) for file in files)
        self._watch = WatchedFiles([Path(file) for file in self._files])
        self._level, self._series = level, series
        self._axes = axes[1:] if axes else None
        self.origin = str(pattern)
        with self._open_file(0) as first:
            inner, self.chunks, steps = first.spec, first.chunks, first.steps
            self.images, self.series = first.images, first.series
        # the most likely first: a stack saved plane by plane, then a time series
        free = axes.lower() if axes else [n for n in "ztc" if n not in inner.axes]
        if not free:
            raise AxesError(
                f"each file of {pattern} holds the axes {inner.axes.names}, so that no "
                "axis is left for the files; open the files one by one"
            )
        own = free[0]
        specs = [inner]
        # every file is looked into now: a wrong one must not end a long run
        for index in range(1, len(self._files)):
            with self._open_file(index) as other:
                spec = other.spec
            if _describe(spec) != _describe(inner):
                raise SourceError(
                    f"the files of {pattern} differ: {self._files[0]} holds "
                    f"{_describe(inner)}, but {self._files[index]} {_describe(spec)}; "
                    "narrow the pattern to files of one kind"
                )
            specs.append(spec)
        channels = inner.channels
        if own == "c":
            # a channel without a name is called as its file
            firsts = ((*spec.channels, Channel())[0] for spec in specs)
            channels = tuple(
                replace(channel, name=channel.name or Path(file).stem)
                for channel, file in zip(firsts, self._files, strict=True)
            )
        axis = Axis(own, len(self._files), *steps.get(own, Step()))
        all_axes = Axes((axis, *inner.axes.items))
        self._position = [item.name for item in all_axes.loops].index(own)
        self.spec = make_spec(
            name or pattern.parent.name,
            all_axes,
            inner.dtype,
            channels,
        )

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Read a rectangle of one plane of one file; see `Source.read`."""
        inner = list(plane)
        index = inner.pop(self._position)
        with self._open_file(index) as file:
            # it may be another one than when the pattern was opened
            self._watch.check_file(Path(self._files[index]))
            return file.read(tuple(inner), rows, columns)

    def fingerprint(self) -> Fingerprint:
        """Return what tells the files from others; see `Source`."""
        return self._watch.fingerprint()

    def _open_file(self, index: int) -> TiffSource:
        path = Path(self._files[index])
        remedy = "check that it is there and whole, and that you may read it"
        with blame_file(path, SourceError, what="an image", remedy=remedy):
            return TiffSource(
                path, axes=self._axes, level=self._level, series=self._series
            )


def _describe(spec: ImageSpec) -> str:
    return f"{spec.axes.names} {spec.axes.shape} {spec.dtype}"
