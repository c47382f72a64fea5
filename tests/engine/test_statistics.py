"""Samples of a stack, as they are read."""

import threading

import numpy as np

from napari_structsr import open_source
from napari_structsr.core.intensity import fit_intensity
from napari_structsr.engine.statistics import list_samples, measure_intensity

STACK = np.random.default_rng(0).integers(100, 60000, (9, 40, 50), np.uint16)


class Far:
    """A store that answers a read when the next one is asked for."""

    def __init__(self, source):
        self._source = source
        self._two = threading.Barrier(2, timeout=20)
        self.spec, self.chunks = source.spec, source.chunks
        self.origin, self.options = source.origin, source.options

    def read(self, *place):
        self._two.wait()
        return self._source.read(*place)


def test_a_store_that_is_far_away_is_asked_for_several_samples_at_once():
    near = open_source(STACK, axes="zyx")
    assert measure_intensity(Far(near)) == measure_intensity(near)


def test_samples_are_measured_in_their_order():
    source = open_source(STACK, axes="zyx")
    blocks = [block for p in list_samples(source, 0) for block in source.read(*p)]
    assert measure_intensity(source) == (fit_intensity(blocks),)
