"""Readers that other packages bring, found by their entry points.

A package that names a function in the group `napari_structsr.readers` is asked for
files that nothing here reads. It was installed by the user, as any other code.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from napari_structsr.errors import SourceError, describe_error
from napari_structsr.io.formats.image_list import find_image, name_images
from napari_structsr.io.source import Source

GROUP = "napari_structsr.readers"
"""Of entry points."""

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class OtherReader:
    """The images that a function of another package has found in a file.

    Parameters
    ----------
    package
        Name of the entry point, for messages.
    images
        Whatever the function returned: one image, or a dictionary of images by name.
    """

    package: str
    images: dict[str, Any]

    def list_names(self, path: Path) -> tuple[str, ...]:
        """Return the names of all images; see `ImageEntry`."""
        return name_images(self.images)

    def open_file(
        self,
        path: Path,
        *,
        axes: str | None,
        level: int,
        series: int | str | None,
        name: str | None,
    ) -> Source:
        """Open one of them; see `open_source`.

        A source that the function returned is taken as it is.
        """
        from napari_structsr.io.arrays import open_array

        names = self.list_names(path)
        number = find_image(names, series, origin=str(path))
        image = list(self.images.values())[number]
        title = path.stem if len(names) == 1 else f"{path.stem} {names[number]}"
        if isinstance(image, Source):
            found: Any = image
            given = {"axes": axes, "level": level or None}
            if asked := [key for key, value in given.items() if value is not None]:
                raise SourceError(
                    f"{path} is read by the reader {self.package}, which takes no "
                    f"{' and no '.join(asked)}; leave that out"
                )
        elif all(hasattr(image, part) for part in ("shape", "dtype", "__getitem__")):
            found = open_array(image, axes=axes, level=level, name=name or title)
        else:
            raise SourceError(
                f"the reader {self.package} returned a {type(image).__name__} for "
                f"{path}, which is no image; tell its authors, or convert the file"
            )
        # the same path opens it again
        found.origin = str(path)
        found.images = names
        found.series = number if len(names) > 1 and series is not None else None
        opened: Source = found
        return opened


def find_other_reader(path: Path) -> OtherReader | None:
    """Return the first reader of another package that takes a file.

    Raises
    ------
    SourceError
        If a reader took the file and failed.
    """
    for entry in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        images = _ask(entry, path)
        if images is not None:
            several = images if isinstance(images, dict) else {"": images}
            return OtherReader(entry.name, {str(k): v for k, v in several.items()})
    return None


def _ask(entry: EntryPoint, path: Path) -> Any:
    try:
        read: Callable[[str], Any] = entry.load()
    except Exception as error:
        # one broken package must not keep others from reading
        _LOGGER.warning(
            "the reader %s cannot be loaded: %s", entry.name, describe_error(error)
        )
        return None
    try:
        return read(str(path))
    except Exception as error:
        raise SourceError(
            f"the reader {entry.name} cannot read {path} ({describe_error(error)}); "
            "convert the file, or remove the package that brings this reader"
        ) from error
