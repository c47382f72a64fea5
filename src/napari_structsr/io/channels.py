"""A choice of a source's channels as a source of its own; it reads no pixels itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from napari_structsr.core.axes import Axes, ImageSpec
from napari_structsr.core.types import Array
from napari_structsr.errors import SettingsError
from napari_structsr.io.source import Source

__all__ = ["ChannelSubset"]


class ChannelSubset:
    """Some channels of a source, in an order of one's own.

    Parameters
    ----------
    source
        Any source with an axis c.
    channels
        Indices or names of the channels to keep.

    Raises
    ------
    SettingsError
        If the source has no axis c, or a channel is unknown or chosen twice.
    """

    def __init__(self, source: Source, channels: Sequence[int | str]) -> None:
        spec = source.spec
        if "c" not in spec.axes:
            raise SettingsError(
                f"{source.origin} has the axes {spec.axes.names} and no axis c to "
                "choose channels from; leave the choice of channels out"
            )
        if isinstance(channels, str) or not channels:
            raise SettingsError(
                f"channels are given as {channels!r}; give a list with at least one "
                "index or name"
            )
        self.options: Mapping[str, Any] = {}
        self._source = source
        self._kept = [_find_channel(spec, channel) for channel in channels]
        if len(set(self._kept)) != len(self._kept):
            raise SettingsError(
                f"channels {list(channels)} name one channel twice; name each once"
            )
        self._loop = [axis.name for axis in spec.axes.loops].index("c")
        self._spec = replace(
            spec,
            axes=Axes(
                tuple(
                    replace(axis, size=len(self._kept)) if axis.name == "c" else axis
                    for axis in spec.axes.items
                )
            ),
            channels=tuple(spec.channels[index] for index in self._kept)
            if spec.channels
            else (),
        )

    @property
    def spec(self) -> ImageSpec:
        """What the chosen channels are."""
        return self._spec

    @property
    def chunks(self) -> tuple[int, int]:
        """Rows and columns stored together."""
        return self._source.chunks

    @property
    def origin(self) -> str:
        """Where the pixels come from."""
        return self._source.origin

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Read a rectangle of one plane; `plane` counts the chosen channels."""
        position = list(plane)
        position[self._loop] = self._kept[position[self._loop]]
        return self._source.read(tuple(position), rows, columns)

    def close(self) -> None:
        """Close the source, where it can be closed."""
        if close := getattr(self._source, "close", None):
            close()


def _find_channel(spec: ImageSpec, channel: int | str) -> int:
    names = [entry.name for entry in spec.channels]
    if isinstance(channel, str):
        # a name that two channels share names none
        if names.count(channel) == 1:
            return names.index(channel)
        fault = "occurs twice" if channel in names else "does not exist"
    elif 0 <= channel < spec.axes["c"].size:
        return int(channel)
    else:
        fault = "does not exist"
    listed = ", ".join(f"{i} {name!r}" for i, name in enumerate(names) if name)
    raise SettingsError(
        f"channel {channel!r} {fault}; choose from the indices 0 to "
        f"{spec.axes['c'].size - 1}" + (f" or the names in {listed}" if listed else "")
    )
