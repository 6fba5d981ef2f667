"""What the stand-ins of widgets are put together from: Qt properties, and parts laid out in a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6 import QtCore

from SlicerHeadless import pythonqt

qt = pythonqt.install()


def stored_property(kind: Any, name: str, default: Any, changed: Callable[[Any], None] | None = None) -> Any:
    """A Qt property that keeps its value and does nothing more; `changed(widget)` is called when it does change."""
    attribute = f"_kept_{name}"

    def read(widget: Any) -> Any:
        return getattr(widget, attribute, default)

    def write(widget: Any, value: Any) -> None:
        before = read(widget)
        setattr(widget, attribute, value)
        if changed is not None and before != value:
            changed(widget)

    return QtCore.Property(kind, read, write)


def forwarded_property(kind: Any, inner: str, name: str) -> Any:
    """A Qt property that is the one of the same name of the widget's part `inner`."""
    return QtCore.Property(
        kind, lambda w: getattr(getattr(w, inner), name), lambda w, value: setattr(getattr(w, inner), name, kind(value))
    )


def row_layout(widget: Any, *parts: Any) -> None:
    """Lays parts of a widget out side by side, without margins."""
    layout = qt.QHBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    for part in parts:
        layout.addWidget(part)
