"""News that the user's models have changed, so that every open dock offers them."""

from __future__ import annotations

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]


class _Offered(QObject):
    """Emits when a model was accepted, imported or removed."""

    changed = Signal()


models_offered = _Offered()
