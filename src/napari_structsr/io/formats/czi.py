"""CZI files of Zeiss, through the library czifile, of 2019 or of 2025 and later.

Pixels lie in blocks, several to a plane in a mosaic. Those at full resolution are
read; where blocks overlap the later one of the mosaic counts, and gaps are zeros.
Scenes are images of their own.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from napari_structsr.core.types import Array
from napari_structsr.errors import SourceError
from napari_structsr.io.formats.czi_xml import (
    find_scene_names,
    parse_metadata,
    read_channels,
    read_steps,
)
from napari_structsr.io.formats.frames import (
    Index,
    PieceCache,
    check_piece,
)
from napari_structsr.io.formats.image_list import name_images
from napari_structsr.io.formats.instrument_source import (
    FileImage,
    FileImages,
    InstrumentSource,
    open_instrument,
)
from napari_structsr.io.formats.libraries import explain_missing
from napari_structsr.io.tiff.codec_trial import CodecTrial
from napari_structsr.io.tiff.decoding import find_piece_fault

_COLOURS = (3, 4)
_LZW = 2
# JPEG, LZW, lossless JPEG and JPEG XR, as CZI and as TIFF number them
_COMPRESSIONS = {1: 7, _LZW: 5, 3: 7, 4: 22610}


@dataclass(frozen=True)
class _Block:
    """A block of pixels, told in the same words whatever the library's version.

    Parameters
    ----------
    dims
        Letters of its dimensions, samples of a pixel not among them.
    start, shape
        Where it lies, and its size.
    scene
        Number of its scene; None where the file has none.
    order
        In the mosaic.
    dtype, samples
        Of a pixel.
    full
        Whether it has full resolution.
    entry
        Of the library.
    """

    dims: str
    start: tuple[int, ...]
    shape: tuple[int, ...]
    scene: int | None
    order: int
    dtype: np.dtype
    samples: int
    full: bool
    entry: Any


def list_names(path: Path) -> tuple[str, ...]:
    """Return the names of all scenes; see `ImageEntry`."""
    with _open(path) as file:
        return _find_images(file, path).names


def open_file(path: Path, **options: Any) -> InstrumentSource:
    """Open one scene of a CZI file; see `open_source`."""
    return open_instrument(path, _open, _find_images, **options)


def _find_images(file: Any, path: Path) -> FileImages:
    scenes = _group_scenes(_list_blocks(file), path)

    def read(number: int) -> FileImage:
        array = _BlockArray(file, list(scenes.values())[number], origin=str(path))
        about = _read_metadata(file)
        steps, channels = read_steps(about), read_channels(about)
        return FileImage(array, array.dims, steps, channels, array.close)

    return FileImages(_name_scenes(file, list(scenes)), read)


class _BlockArray:
    """The pixels of one scene: leading dimensions, y, x, and samples of a colour."""

    def __init__(self, file: Any, blocks: Sequence[_Block], *, origin: str) -> None:
        first = blocks[0]
        for block in blocks:
            if block.dims != first.dims or block.samples != first.samples:
                raise SourceError(
                    f"{origin} mixes images of the axes {first.dims} and {block.dims}; "
                    "export it as OME-TIFF in the program ZEN"
                )
            check_piece((*block.shape, block.samples), block.dtype, origin=origin)
        self._file, self._blocks = file, blocks
        self._cache, self._trial = PieceCache(), CodecTrial()
        self._starts = np.array([block.start for block in blocks])
        self._stops = self._starts + np.array([block.shape for block in blocks])
        self._origin = self._starts.min(axis=0)
        coloured = first.samples in _COLOURS
        self.dims = first.dims + ("S" if coloured else "")
        size = (self._stops.max(axis=0) - self._origin).tolist()
        self.shape = (*size, first.samples) if coloured else tuple(size)
        self.dtype = np.result_type(*{block.dtype for block in blocks})

    def __getitem__(self, index: Index) -> Array:
        spans = [
            range(size)[part] if isinstance(part, slice) else range(part, part + 1)
            for part, size in zip(index, self.shape, strict=True)
        ]
        places = spans[: len(self._origin)]
        low = np.array([span.start for span in places]) + self._origin
        high = np.array([span.stop for span in places]) + self._origin
        found = np.zeros([len(span) for span in spans], self.dtype)
        touched = (self._starts < high) & (self._stops > low)
        for number in np.flatnonzero(touched.all(axis=1)).tolist():
            start, stop = self._starts[number], self._stops[number]
            first, last = np.maximum(start, low), np.minimum(stop, high)
            there = tuple(map(slice, (first - low).tolist(), (last - low).tolist()))
            here = tuple(map(slice, (first - start).tolist(), (last - start).tolist()))
            pixels = self._cache.get(
                number,
                partial(_read_block, self._file, self._blocks[number], self._trial),
            )
            found[there] = pixels[here]
        keep = tuple(slice(None) if isinstance(part, slice) else 0 for part in index)
        return found[keep]

    def close(self) -> None:
        """Close the file; reading is over."""
        self._file.close()
        self._trial.close()


def _open(path: Path) -> Any:
    with explain_missing(path, kind="a CZI file of Zeiss"):
        import czifile
    return czifile.CziFile(str(path))


def _read_metadata(file: Any) -> Any:
    with warnings.catch_warnings():
        # a file without metadata has pixels all the same
        warnings.simplefilter("ignore")
        return parse_metadata(file.metadata())


def _list_blocks(file: Any) -> list[_Block]:
    with warnings.catch_warnings():
        # without a directory the library looks for the blocks themselves
        warnings.simplefilter("ignore")
        entries = file.subblock_directory
    return [_describe(entry) for entry in entries]


def _describe(entry: Any) -> _Block:
    """Return a block from an entry of the library."""
    # since 2025 entries tell their dimensions in tuples; the last is the samples
    if hasattr(entry, "dims"):
        return _Block(
            "".join(entry.dims[:-1]),
            tuple(entry.start[:-1]),
            tuple(entry.shape[:-1]),
            None if entry.scene_index < 0 else entry.scene_index,
            entry.mosaic_index,
            np.dtype(entry.dtype),
            int(entry.shape[-1]),
            tuple(entry.shape) == tuple(entry.stored_shape),
            entry,
        )
    own = {dim.dimension: dim for dim in entry.dimension_entries}
    scene, order = own.pop("S", None), own.pop("M", None)
    pixel = np.dtype(entry.dtype)
    sizes = tuple(dim.size for dim in own.values())
    return _Block(
        "".join(own),
        tuple(dim.start for dim in own.values()),
        sizes,
        None if scene is None else scene.start,
        -1 if order is None else order.start,
        pixel.base,
        pixel.shape[0] if pixel.shape else 1,
        all(dim.stored_size in (0, dim.size) for dim in own.values()),
        entry,
    )


def _group_scenes(
    blocks: Sequence[_Block], path: Path
) -> dict[int | None, list[_Block]]:
    """Return the blocks of each scene at full resolution, later ones last."""
    scenes: dict[int | None, list[_Block]] = {}
    for block in sorted(blocks, key=lambda one: one.order):
        if block.full and min(block.shape, default=0) > 0:
            scenes.setdefault(block.scene, []).append(block)
    if not scenes:
        raise SourceError(
            f"{path} holds no image at full resolution; export it as OME-TIFF in the "
            "program ZEN"
        )
    # what belongs to no scene comes first
    numbers = sorted(scenes, key=lambda scene: -1 if scene is None else scene)
    return {scene: scenes[scene] for scene in numbers}


def _name_scenes(file: Any, scenes: Sequence[int | None]) -> tuple[str, ...]:
    named = find_scene_names(_read_metadata(file)) if len(scenes) > 1 else {}
    return name_images(named.get(scene) for scene in scenes)


def _read_block(file: Any, block: _Block, trial: CodecTrial) -> Array:
    """Return the pixels of a block, colours as red, green and blue."""
    entry = block.entry
    is_new = hasattr(entry, "read_segment_data")
    segment = entry.read_segment_data(file) if is_new else entry.data_segment()
    # the older library goes by what stands beside the pixels, not in the directory
    compression = int(segment.directory_entry.compression)
    if compression in _COMPRESSIONS:
        _check_before_decoding(segment.data(raw=True), compression, block, trial)
    coloured = block.samples in _COLOURS
    shape = (*block.shape, block.samples) if coloured else block.shape
    if is_new:
        pixels = segment.data()
    elif compression == _LZW:
        # the older library does so by a function that numpy has no more
        data = bytes(imagecodecs.lzw_decode(segment.data(raw=True)))
        pixels = np.frombuffer(data, block.dtype).reshape(shape)
        return pixels[..., ::-1] if coloured else pixels
    else:
        try:
            pixels = segment.data(resize=False)
        except KeyError as error:
            raise ValueError(
                f"its compression {entry.compression} is unknown to the installed "
                "version of czifile; Python 3.12 or later has a newer one"
            ) from error
    return np.asarray(pixels).reshape(shape)


def _check_before_decoding(
    data: bytes, compression: int, block: _Block, trial: CodecTrial
) -> None:
    """Raise ValueError if what is packed would end its decoder, or take all memory."""
    pixels = math.prod(block.shape)
    fault = find_piece_fault(
        data,
        _COMPRESSIONS[compression],
        pixels=pixels,
        unpacked=pixels * block.samples * block.dtype.itemsize,
        trial=trial,
    )
    if fault:
        raise ValueError(f"a block cannot be unpacked: {fault}")
