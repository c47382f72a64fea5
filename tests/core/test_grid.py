import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_structsr.core.grid import TileGrid


@st.composite
def grids(draw):
    return TileGrid(
        loops=tuple(draw(st.lists(st.integers(1, 3), max_size=3))),
        shape=(draw(st.integers(1, 40)), draw(st.integers(1, 40))),
        factor=draw(st.sampled_from([1, 2, 3, 4])),
        unit=(draw(st.integers(1, 64)), draw(st.integers(1, 64))),
        halo=draw(st.integers(0, 20)),
        align=draw(st.sampled_from([1, 2, 4, 7, 8])),
    )


@given(grids())
def test_every_output_pixel_is_written_once(grid):
    fine = [size * grid.factor for size in grid.shape]
    written = np.zeros((*grid.loops, *fine), int)
    for tile in grid:
        written[(*tile.plane, *tile.write)] += 1
    assert (written == 1).all()


@given(grids())
def test_a_tile_reads_what_it_keeps_and_the_halo(grid):
    image = np.arange(np.prod(grid.shape)).reshape(grid.shape)
    fine = image.repeat(grid.factor, 0).repeat(grid.factor, 1)
    for tile in grid:
        upscaled = image[tile.read].repeat(grid.factor, 0).repeat(grid.factor, 1)
        np.testing.assert_array_equal(upscaled[tile.keep], fine[tile.write])
        for read, write, size in zip(tile.read, tile.write, grid.shape, strict=True):
            first = max(0, write.start // grid.factor - grid.halo)
            last = min(size, -(-write.stop // grid.factor) + grid.halo)
            assert 0 <= read.start <= first < read.start + grid.align
            assert read.stop - grid.align < last <= read.stop <= size


@given(grids(), st.integers(1, 30))
def test_what_is_read_lies_on_the_grid_of_the_windows(grid, side):
    for tile in grid:
        for window in (tile, *grid.split(tile, side)):
            inner = window.relative_to(tile)
            for read, part, size in zip(
                window.read, inner.read, grid.shape, strict=True
            ):
                assert read.start % grid.align == 0
                assert read.stop % grid.align == 0 or read.stop == size
                assert part.start % grid.align == 0


@given(grids(), st.integers(1, 30), st.data())
def test_splitting_a_tile_covers_it_once(grid, side, data):
    window = grid[data.draw(st.integers(0, len(grid) - 1))]
    rows, columns = window.write
    covered = np.zeros((rows.stop - rows.start, columns.stop - columns.start), int)
    for part in grid.split(window, side):
        inner = part.relative_to(window)
        assert all(s.stop - s.start <= side for s in inner.write)
        assert all(s.start >= 0 for s in (*inner.read, *inner.write))
        covered[inner.write] += 1
    assert (covered == 1).all()


def test_index_outside_is_an_index_error():
    grid = TileGrid((2,), (10, 10), 2, (8, 8), 1)
    with pytest.raises(IndexError):
        grid[len(grid)]
