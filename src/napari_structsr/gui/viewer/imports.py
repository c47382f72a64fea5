"""Imports that the thread of the interface does not wait for.

What reads and computes stands on libraries that take a second or two to import, once in
a program. Whoever offers a dock or a command imports them here, and goes on afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module

from napari_structsr.engine.events import Cancel, Event, Finished
from napari_structsr.gui.viewer.jobs import Job

_imported: set[str] = set()


def when_imported(module: str, act: Callable[[], object]) -> Job | None:
    """Do something, in this thread, once a module has been imported in another.

    It is done at once, and None is returned, if it was imported here before.
    """
    if module in _imported:
        act()
        return None

    def run(cancel: Cancel) -> Iterator[Event]:
        import_module(module)
        yield Finished(module)

    def go_on(event: Finished) -> None:
        _imported.add(module)
        act()

    job = Job("Opening", run, needs_torch=False)
    job.finished.connect(go_on)
    job.start()
    return job
