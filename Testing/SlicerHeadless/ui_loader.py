"""`qt.QUiLoader`: builds a panel from its .ui file with the stand-ins, strictly.

A file that `ui_check` objects to, or that uses a Slicer widget without stand-in, is refused with what is wrong.
"""

from __future__ import annotations

import functools
import xml.etree.ElementTree as ET
from typing import Any

import shiboken6
from PySide6 import QtCore, QtUiTools

from SlicerHeadless import ctk_widgets, mrml_widgets, pythonqt, ui_check

STAND_INS = {**ctk_widgets.WIDGETS, **mrml_widgets.WIDGETS}

_alive: list[Any] = []  # Python halves of widgets, which Qt alone would not keep


class QUiLoader(QtUiTools.QUiLoader):
    """Makes widgets of the stand-ins' classes, and their connections, which pass types that PySide6 does not know."""

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:
        kind = STAND_INS.get(class_name) or pythonqt.widget_classes.get(class_name)
        if kind is None:
            return super().createWidget(class_name, parent, name)
        widget = kind(parent) if parent is not None else kind()
        widget.setObjectName(name)
        _alive.append(widget)
        return widget

    def load(self, device: Any, parent: Any = None) -> Any:
        """The panel of an open .ui file.

        Raises:
            RuntimeError: If the file has a fault or uses a widget without stand-in.
        """
        _alive[:] = [widget for widget in _alive if shiboken6.isValid(widget)]
        content, connections = _understood(bytes(device.readAll().data()))
        buffer = QtCore.QBuffer()
        buffer.setData(content)
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        panel = super().load(buffer, parent)
        for sender, signal, receiver, slot in connections:
            _widget(panel, sender).connect(signal, getattr(_widget(panel, receiver), slot.split("(")[0]))
        return panel


@functools.lru_cache
def _understood(text: bytes) -> tuple[bytes, list[list[str]]]:
    """The .ui file without its connections, and these; every test opens the same few files.

    Raises:
        RuntimeError: If the file has a fault or uses a widget without stand-in.
    """
    root = ET.fromstring(text)
    _refuse_faults(root)
    connections = _taken_out(root)
    return ET.tostring(root), connections


def _refuse_faults(root: ET.Element) -> None:
    faults = ui_check.problems_in(root)
    classes = {w.get("class", "") for w in root.iter("widget")}
    faults += [f"{c} has no stand-in" for c in sorted(classes) if c in ui_check.table() and c not in STAND_INS]
    if faults:
        raise RuntimeError("the .ui file cannot be used: " + "; ".join(faults))


def _taken_out(root: ET.Element) -> list[list[str]]:
    section = root.find("connections")
    if section is None:
        return []
    parts = ("sender", "signal", "receiver", "slot")
    connections = [[c.findtext(part, "") for part in parts] for c in section.findall("connection")]
    root.remove(section)
    return connections


def _widget(panel: Any, name: str) -> Any:
    return panel if panel.objectName == name else panel.findChild(QtCore.QObject, name)
