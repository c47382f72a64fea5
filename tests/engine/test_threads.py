"""Threads: one where that is quicker and gives the same bytes, else all there are."""

import pytest
import torch

from napari_structsr.engine.device import choose_device
from napari_structsr.engine.events import Noted
from napari_structsr.engine.threads import quicker_threads
from napari_structsr.io.sink import MemorySink
from napari_structsr.upscaling import upscale
from napari_structsr.zoo.catalogue import load_model

PIXELS = 1 << 26


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Machine:
    """Computes in a time that depends on the number of threads alone."""

    def __init__(self, one, two, *, exact=True):
        self.took, self.exact, self.now, self.calls = {1: one, 2: two}, exact, 0.0, 0

    def compute(self, image):
        self.calls += 1
        self.now += self.took[torch.get_num_threads()]
        return image if self.exact else image * torch.get_num_threads()

    def choose(self, pixels=PIXELS):
        with quicker_threads(self.compute, pixels, clock=lambda: self.now) as count:
            assert torch.get_num_threads() == count
        assert torch.get_num_threads() == 2
        return count


@pytest.mark.parametrize(
    ("one", "two", "count"), [(1.0, 0.5, 2), (1.0, 1.1, 2), (1.0, 2.0, 1)]
)
def test_one_thread_is_taken_where_it_is_clearly_quicker(one, two, count):
    assert Machine(one, two).choose() == count


def test_a_plain_case_is_tried_once():
    machine = Machine(1.0, 20.0)
    assert machine.choose() == 1
    assert machine.calls == 4  # with either number, then for the bytes


def test_all_threads_are_kept_where_their_number_changes_the_bytes():
    assert Machine(1.0, 5.0, exact=False).choose() == 2


def test_nothing_is_tried_for_a_short_run_or_against_a_wish(monkeypatch):
    machine = Machine(1.0, 5.0)
    assert machine.choose(pixels=1 << 20) == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert machine.choose() == 2
    assert machine.calls == 0


def test_threads_come_back_when_a_run_breaks():
    with (
        pytest.raises(ValueError, match="broken"),
        quicker_threads(Machine(1.0, 5.0).compute, 0),
    ):
        raise ValueError("broken")
    assert torch.get_num_threads() == 2


def test_a_run_says_that_it_takes_one_thread(monkeypatch):
    machine = Machine(1.0, 5.0)

    def choose(compute, pixels):
        assert pixels == 40 * 30
        assert compute(torch.zeros(1, 1, 8, 8)).shape == (1, 1, 16, 16)
        return quicker_threads(machine.compute, PIXELS, clock=lambda: machine.now)

    monkeypatch.setattr(upscale, "quicker_threads", choose)
    image = torch.rand(40, 30).numpy()
    model = load_model("bicubic", factor=2)
    events = list(upscale.iter_upscale(image, model, MemorySink()))
    notes = [event.message for event in events if isinstance(event, Noted)]
    assert notes == ["other programs use the processor: one thread is quicker than 2"]


@pytest.mark.parametrize(
    ("name", "factor", "precision", "shapes"),
    [
        ("faithful", 2, "float32", [(37, 53), (131, 260)]),
        ("sharp", 4, "float32", [(128, 128)]),
        ("conditional", 2, "float32", [(97, 140)]),
        # emulated where the processor does not know it, and slow
        ("faithful", 2, "bfloat16", [(37, 53)]),
    ],
)
def test_shipped_networks_give_the_same_bytes_with_one_thread(
    name, factor, precision, shapes
):
    model = load_model(name, factor=factor)
    device, _ = choose_device("cpu", precision, model)
    generator = torch.Generator().manual_seed(0)
    for shape in shapes:
        image = torch.rand((1, 1, *shape), generator=generator)
        found = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(device.run(model, image))
        assert torch.equal(found[0], found[1])
        assert torch.equal(found[0], found[2])
