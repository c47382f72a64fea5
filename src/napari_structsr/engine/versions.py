"""Versions of the packages that decide the numbers of a result."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["versions"]


def versions() -> dict[str, str]:
    """Return the version of each package by name."""
    return {name: _version(name) for name in ("napari-structsr", "torch", "numpy")}


def _version(name: str) -> str:
    """Return one version; a source tree that is not installed has none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "uninstalled"
