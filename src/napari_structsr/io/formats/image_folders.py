"""Collections of images: one folder a source, of PNG and TIFF files.

What trainings and comparisons read; the stacks that users upscale are opened by
`napari_structsr.io.open`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_structsr.core.types import Array
from napari_structsr.errors import SourceError
from napari_structsr.io.limits import PIECE_BYTES, check_regular, read_limited

_ENDINGS = (".png", ".tif", ".tiff")


@dataclass(frozen=True)
class ImageFile:
    """An image of a source, read when its planes are asked for.

    Parameters
    ----------
    source
        Name of the source, which is what tables average over first.
    name
        Name of the image.
    read
        Returns a plane (y, x), a stack of planes, or colour with samples last.
    """

    source: str
    name: str
    read: Callable[[], Array]

    def planes(self, every: int) -> Iterator[tuple[str, Array]]:
        """Yield name and values of planes, of a stack each `every`-th one.

        Colour becomes luminance.

        Raises
        ------
        SourceError
            If the file cannot be read.
        """
        from skimage.color import rgb2gray

        try:
            image = self.read()
            if image.ndim < 2 or not image.size:
                raise ValueError(f"its shape is {image.shape}")
        except Exception as error:
            raise SourceError(
                f"{self.source}/{self.name} cannot be read ({error}); copy it again "
                "from where it came from"
            ) from error
        # a stack whose planes are 3 or 4 pixels wide is taken for colour
        if image.ndim >= 3 and image.shape[-1] in (3, 4):
            image = rgb2gray(image[..., :3])
        if image.ndim == 2:
            yield self.name, image
            return
        stack = image.reshape(-1, *image.shape[-2:])
        for index in range(0, len(stack), every):
            yield f"{self.name}[{index}]", stack[index]


def find_images(folder: Path, *, limit: int | None = None) -> list[ImageFile]:
    """List the images of a folder that holds one folder a source.

    Parameters
    ----------
    limit
        Images of each source, spread over its files by name; None means all.

    Raises
    ------
    SourceError
        If there is no folder, or no image in it.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder} is no folder; give one that holds images")
    found = []
    for source in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = [path for path in source.iterdir() if path.suffix.lower() in _ENDINGS]
        found += [
            # path is bound here: all would read the last file otherwise
            ImageFile(source.name, path.name, lambda path=path: _read(path))  # type: ignore[misc]
            for path in _spread(sorted(files), limit)
        ]
    if not found:
        raise SourceError(
            f"{folder} holds no images; expected one folder a source, with PNG or "
            "TIFF files in it"
        )
    return found


def _spread(files: list[Path], count: int | None) -> list[Path]:
    """Return `count` files, the first and others as far apart as can be."""
    if count is None or count >= len(files):
        return files
    return [files[number * len(files) // count] for number in range(count)]


def _read(path: Path) -> Array:
    import imageio.v3

    from napari_structsr.io.tiff.decoding import read_whole

    if path.suffix.lower() == ".png":
        # the ending is given: from bytes imageio would try one plugin after another
        data = read_limited(path, PIECE_BYTES)
        return np.asarray(imageio.v3.imread(data, extension=".png"))
    check_regular(path)
    return read_whole(path)
