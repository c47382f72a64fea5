"""Why the workers of a cluster cannot do what is asked for, and what to do then."""

from __future__ import annotations

from collections.abc import Sequence

_NO_DASK = (
    "dask.distributed is missing: install it with pip install "
    "'napari-structsr[cluster]' and start napari again, or leave Cluster empty."
)


def describe_memory(output: str) -> str:
    """Say that workers cannot write into memory; `output` is what to choose instead."""
    return (
        "Workers of a cluster cannot write into the memory of this computer: choose "
        f"Output: {output}, or leave Cluster empty."
    )


def find_reading_obstacle(memory: Sequence[str], *, has_dask: bool) -> str | None:
    """Say why workers cannot read what they are asked for; None if they can.

    Parameters
    ----------
    memory
        Names of the layers that were read from no file.
    has_dask
        Whether what talks to a cluster is installed.
    """
    if not has_dask:
        return _NO_DASK
    return describe_unreachable(memory[0]) if memory else None


def describe_unreachable(name: str, path: str | None = None) -> str:
    """Say that workers cannot read a layer, or not from its file, and what to do."""
    what = f"not what {path} holds" if path else "in the memory of this computer"
    return (
        f"{name} is {what}, and workers of a cluster read files: save it as OME-Zarr "
        "and open that, or leave Cluster empty."
    )
