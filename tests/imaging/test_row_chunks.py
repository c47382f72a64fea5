"""Chunks of rows are computed side by side, and give what the whole image gives."""

import threading

import pytest
import torch

from napari_structsr.imaging import row_chunks
from napari_structsr.imaging.filters import separable_filter
from napari_structsr.imaging.row_chunks import compute_side_by_side, map_row_chunks


@pytest.fixture
def two_threads(monkeypatch):
    """Let torch have two threads, wherever the tests run."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    row_chunks._open_pool.cache_clear()
    monkeypatch.setattr(row_chunks, "_CPU_CHUNK", 1 << 12)
    yield
    torch.set_num_threads(before)
    row_chunks._open_pool.cache_clear()


def blur(image):
    return separable_filter(image, [1 / 9] * 9)


@pytest.mark.parametrize("shape", [(1, 1, 300, 200), (2, 3, 97, 64), (1, 1, 9, 3000)])
def test_chunks_equal_the_whole(two_threads, shape):
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    found = map_row_chunks(blur, image, radius=4)
    torch.testing.assert_close(found, blur(image), rtol=0, atol=1e-6)


def test_threads_compute_alone_and_in_the_mode_of_the_caller(two_threads):
    def look(_):
        modes = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
        return threading.current_thread().name, torch.get_num_threads(), modes

    for mode in (torch.inference_mode(), torch.no_grad(), torch.enable_grad()):
        with mode:
            wanted = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
            found = compute_side_by_side(look, range(20), on_cpu=True)
        assert {modes for *_, modes in found} == {wanted}
        assert {count for _, count, _ in found} == {1}
        assert all(name.startswith("chunk") for name, *_ in found)
    # the caller, and threads that begin later, keep theirs
    assert torch.get_num_threads() == 2
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [2]


def test_chunks_within_chunks_are_computed_in_their_thread(two_threads):
    def nest(image):
        return map_row_chunks(blur, image, radius=4)

    image = torch.rand(1, 1, 300, 200, generator=torch.Generator().manual_seed(0))
    found = map_row_chunks(nest, image, radius=4)
    torch.testing.assert_close(found, blur(image), rtol=0, atol=1e-6)


def test_an_error_in_a_chunk_is_raised(two_threads):
    def fail(_):
        raise ArithmeticError("in the chunk")

    with pytest.raises(ArithmeticError, match="in the chunk"):
        map_row_chunks(fail, torch.rand(1, 1, 300, 200), radius=4)
