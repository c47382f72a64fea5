"""A validation region, side by side: measured, bicubic, parent, adapted, truth.

Drawn pixel for pixel without smoothing, all with the contrast of the truth, so that
differences are those of the images.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QImage, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

__all__ = ["PreviewStrip"]

_COLUMNS = 3
_CAPTION = 16
_GAP = 4
_TITLES = {
    "measured": "measured",
    "bicubic": "bicubic",
    "parent": "parent",
    "adapted": "adapted",
    "truth": "truth",
}

Pixels = npt.NDArray[np.floating]


class PreviewStrip(QWidget):
    """Shows the five images of a region."""

    def __init__(self) -> None:
        super().__init__()
        self.images: dict[str, QImage] = {}
        self._note = ""
        self.setAccessibleName("Preview of a validation region")
        self.setToolTip(
            "A validation region, as it is upscaled now. All images have the same "
            "contrast."
        )
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_images(self, images: Mapping[str, Pixels], note: str) -> None:
        """Show images.

        Parameters
        ----------
        images
            Shape (h, w) or finer, by name; "truth" gives the contrast.
        note
            What stands beside them, such as the step.
        """
        low, high = np.percentile(images["truth"], (0.5, 99.5))
        self.images = {
            name: _image(images[name], float(low), float(high)) for name in _TITLES
        }
        self._note = note
        self.updateGeometry()
        self.update()

    def clear(self) -> None:
        """Show nothing."""
        self.images = {}
        self.updateGeometry()
        self.update()

    def hasHeightForWidth(self) -> bool:  # noqa: N802
        """Tell that the height follows from the width."""
        return True

    def heightForWidth(self, width: int) -> int:  # noqa: N802
        """Return the height of two lines of images."""
        return round(2 * (self._height(self._side(width)) + _CAPTION + _GAP))

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a comfortable size."""
        return QSize(300, self.heightForWidth(300))

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw."""
        if not self.images:
            return
        painter = QPainter(self)
        painter.setPen(self.palette().windowText().color())
        side = self._side(self.width())
        height = self._height(side)
        for number, name in enumerate([*_TITLES, ""]):
            line, column = divmod(number, _COLUMNS)
            x = column * (side + _GAP)
            y = line * (height + _CAPTION + _GAP)
            if not name:
                middle = int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap)
                painter.drawText(
                    QRectF(x, y + _CAPTION, side, height), middle, self._note
                )
                continue
            painter.drawText(
                QRectF(x, y, side, _CAPTION),
                int(Qt.AlignmentFlag.AlignCenter),
                _TITLES[name],
            )
            painter.drawImage(QRectF(x, y + _CAPTION, side, height), self.images[name])
        painter.end()

    def _side(self, width: int) -> float:
        return (width - (_COLUMNS - 1) * _GAP) / _COLUMNS

    def _height(self, side: float) -> float:
        image = self.images.get("truth")
        share = 1.0 if image is None else image.height() / image.width()
        return side * min(share, 1.5)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Leave room for captions."""
        return QSize(150, self.heightForWidth(max(150, self.width())))


def _image(pixels: Pixels, low: float, high: float) -> QImage:
    share = np.clip((pixels - low) / max(high - low, 1e-9), 0, 1)
    grey = np.ascontiguousarray(np.rint(255 * np.nan_to_num(share)).astype(np.uint8))
    height, width = grey.shape
    image = QImage(
        grey.tobytes(), width, height, width, QImage.Format.Format_Grayscale8
    )
    return image.copy()
