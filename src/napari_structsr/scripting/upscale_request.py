"""What all images of one call of `sr.upscale` have in common."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_structsr.core.names import expand_home
from napari_structsr.engine.events import Cancel, Event, Plan
from napari_structsr.engine.provenance import take_fingerprint
from napari_structsr.errors import StructsrError
from napari_structsr.io.records import read_record
from napari_structsr.io.sink import MemorySink, Sink
from napari_structsr.io.source import Source
from napari_structsr.models.model import SRModel
from napari_structsr.scripting.output import (
    Format,
    choose_sink,
    describe_image,
    name_outputs,
)
from napari_structsr.upscaling.settings import UpscaleSettings
from napari_structsr.upscaling.upscale import iter_upscale, plan


@dataclass(frozen=True)
class UpscaleRequest:
    """What all images of a call have in common.

    Parameters
    ----------
    model, settings
        By what, and how.
    reading
        Keywords of `open_source`.
    overwrite, ome_version, kind
        How results are written; `kind` where they are named here.
    client
        Whose workers do it, see `iter_upscale`.
    """

    model: SRModel
    settings: UpscaleSettings
    reading: Mapping[str, Any] = field(default_factory=dict)
    overwrite: bool = False
    ome_version: str = "0.5"
    kind: Format = "zarr"
    client: Any = None

    @property
    def factor(self) -> int:
        """How many times the pixels."""
        return self.model.factor

    def choose_sink(self, out: Any) -> Sink:
        """Return where a result goes: a path, a sink, or None for memory."""
        if out is None:
            return MemorySink()
        if isinstance(out, (str, os.PathLike)):
            return choose_sink(
                out, overwrite=self.overwrite, ome_version=self.ome_version
            )
        sink: Sink = out
        return sink

    def start(self, source: Source, sink: Sink, *, cancel: Cancel) -> Iterator[Event]:
        """Return the events of the run of one image."""
        return iter_upscale(
            source,
            self.model,
            sink,
            settings=self.settings,
            cancel=cancel,
            client=self.client,
        )

    def plan(self, source: Source, sink: Sink) -> Plan:
        """Say what a run of one image would do."""
        return plan(source, self.model, sink, settings=self.settings)

    def name_outputs(
        self, images: Sequence[Any], folder: str | os.PathLike[str]
    ) -> list[Path]:
        """Return where the results of images go in a folder."""
        place = expand_home(folder).absolute()
        named = [describe_image(image, n) for n, image in enumerate(images, start=1)]
        label = f"x{self.factor}"
        return name_outputs(named, place, label=label, kind=self.kind)

    def is_done(self, source: Source, path: Path | str) -> bool:
        """Say whether an earlier run has finished the same result of the same image.

        `path` is a local one, or an address.
        """
        if self.overwrite or (isinstance(path, Path) and not path.exists()):
            return False
        try:
            status, record = read_record(path)
        except StructsrError:
            return False
        if status != "finished" or record is None or record.task != "upscale":
            return False
        settings = self.settings.to_record()
        # what was left to the program, a run before may have chosen otherwise
        asked = {name: value for name, value in settings.items() if value != "auto"}
        sharpness = self.model.card.sharpness
        theirs = (
            {name: record.settings.get(name) for name in asked},
            record.model["name"],
            record.model["factor"],
            record.model.get("sha256"),
            record.model.get("sharpness"),
            record.source["origin"],
            record.source["options"],
            record.fingerprint.get("source"),
        )
        mine = (
            asked,
            self.model.origin,
            self.factor,
            self.model.card.sha256,
            sharpness,
            source.origin,
            dict(source.options),
            take_fingerprint(source),
        )
        # as JSON gives it back
        same: bool = json.loads(json.dumps(mine)) == json.loads(json.dumps(theirs))
        return same
