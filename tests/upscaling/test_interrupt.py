"""A cancel is heard inside a tile and inside the statistics, not at their end."""

import numpy as np
import pytest

from napari_structsr.engine.device import Device
from napari_structsr.engine.events import Cancel, Cancelled, Progressed
from napari_structsr.io.arrays import open_array
from napari_structsr.io.ome_zarr.writer import OmeZarrSink
from napari_structsr.io.sink import MemorySink
from napari_structsr.upscaling.settings import UpscaleSettings
from napari_structsr.upscaling.upscale import iter_upscale
from napari_structsr.zoo.catalogue import load_model

SETTINGS = UpscaleSettings(device="cpu", precision="float32", tile=256)
IMAGE = np.random.default_rng(0).integers(0, 4000, (512, 512), np.uint16)


def count_layers(model, *, cancel, after):
    """Count layers as they begin; cancel when so many have."""
    begun = []

    def count(*_):
        begun.append(1)
        if len(begun) == after:
            cancel()

    for layer in model.network.modules():
        if not list(layer.children()):
            layer.register_forward_hook(count)
    return begun


@pytest.mark.parametrize("after", [1, 9])
def test_no_layer_of_a_network_begins_after_a_cancel(after):
    model, cancel = load_model("faithful", factor=2), Cancel()
    found = []
    events = iter_upscale(
        open_array(IMAGE, axes="yx", level=0, name="cells"),
        model,
        MemorySink(),
        settings=SETTINGS,
        cancel=cancel,
    )
    for event in events:
        found.append(event)
        if len(found) == 1:  # what came before was the self-test
            begun = count_layers(model, cancel=cancel, after=after)
    assert len(begun) == after
    assert isinstance(found[-1], Cancelled)
    assert len(list(model.network.modules())) > 2 * after
    hooks = [layer._forward_pre_hooks for layer in model.network.modules()]
    assert not any(hooks), "a model that is used again would not stop"


def test_no_block_begins_after_a_cancel_in_half_precision(monkeypatch):
    monkeypatch.setattr(Device, "block", 64)  # of 64 in all
    model, cancel, begun = load_model("faithful", factor=2), Cancel(), []

    def count(*_):
        begun.append(1)
        if len(begun) == 3:
            cancel()

    events = iter_upscale(
        open_array(IMAGE, axes="yx", level=0, name="cells"),
        model,
        MemorySink(),
        settings=UpscaleSettings(device="cpu", precision="bfloat16"),
        cancel=cancel,
    )
    found = [next(events)]
    model.network.register_forward_hook(count)
    found += events
    assert len(begun) == 3
    assert isinstance(found[-1], Cancelled)


def test_what_was_finished_is_kept_and_gone_on_with(tmp_path):
    source = open_array(IMAGE, axes="yx", level=0, name="cells")

    def run(cancel, name):
        return iter_upscale(
            source,
            load_model("faithful", factor=2),
            OmeZarrSink(tmp_path / name, chunk=256, shard=256),
            settings=SETTINGS,
            cancel=cancel,
        )

    cancel, done = Cancel(), 0
    for event in run(cancel, "cells.zarr"):
        if isinstance(event, Progressed) and event.done == 1:
            cancel()
        if isinstance(event, Cancelled):
            done = event.done
    assert done
    first = next(iter(run(Cancel(), "cells.zarr")))
    assert first.plan.done == done


class Slow:
    """A source that is cancelled while its samples are read."""

    def __init__(self, source, cancel):
        self.options, self.origin = source.options, source.origin
        self.spec, self.chunks = source.spec, source.chunks
        self.reads = 0
        self._source, self._cancel = source, cancel

    def read(self, *place):
        self.reads += 1
        self._cancel()
        return self._source.read(*place)


@pytest.mark.parametrize("options", [{}, {"width_from_image": True}])
def test_statistics_stop_between_two_reads(options):
    cancel = Cancel()
    stack = np.random.default_rng(0).integers(0, 4000, (8, 600, 600), np.uint16)
    source = Slow(open_array(stack, axes="zyx", level=0, name="cells"), cancel)
    name = "conditional" if options else "bicubic"
    events = list(
        iter_upscale(
            source,
            load_model(name, factor=2),
            MemorySink(),
            settings=UpscaleSettings(device="cpu", **options),
            cancel=cancel,
        )
    )
    assert [type(event) for event in events] == [Cancelled]
    # samples are read four at a time, of 72
    assert source.reads <= 4
