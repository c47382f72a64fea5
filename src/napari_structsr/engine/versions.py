"""Versions of the packages that decide the numbers of a result."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["versions"]


_ALWAYS = ("napari-structsr", "torch", "numpy")


def versions(*others: str) -> dict[str, str]:
    """Return the version of each package by name, and of others that took part."""
    return {name: _version(name) for name in (*_ALWAYS, *others)}


def _version(name: str) -> str:
    """Return one version; a source tree that is not installed has none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "uninstalled"
