"""A link opens a page, and nothing but a page."""

from __future__ import annotations

from qtpy.QtCore import QObject, QPoint, Qt, QUrl, Slot
from qtpy.QtGui import QDesktopServices

from napari_structsr.gui.widgets.link import make_link, set_link


class Browser(QObject):
    """Keeps what it was asked to show."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    @Slot(QUrl)
    def open(self, url: QUrl) -> None:
        self.asked.append(url.toString())


def test_a_click_opens_the_page(qtbot):
    browser = Browser()
    QDesktopServices.setUrlHandler("http", browser, "open")
    try:
        label = make_link()
        qtbot.addWidget(label)
        set_link(label, "Dashboard", "http://127.0.0.1:8787/status?a=1&b=2")
        label.show()
        place = QPoint(10, label.height() // 2)
        qtbot.mouseClick(label, Qt.MouseButton.LeftButton, pos=place)
    finally:
        QDesktopServices.unsetUrlHandler("http")
    assert browser.asked == ["http://127.0.0.1:8787/status?a=1&b=2"]


def test_what_is_no_page_is_text(qtbot):
    label = make_link()
    qtbot.addWidget(label)
    set_link(label, "Dashboard", 'file:///x"><a href="http://b">')
    assert "<a" not in label.text()
    set_link(label, "Dashboard", 'http://x"><img src="y">')
    assert "<img" not in label.text()
