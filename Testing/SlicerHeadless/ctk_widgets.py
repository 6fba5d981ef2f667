"""The module `ctk`: stand-ins for the CTK widgets that the panels use, over PySide6.

A stand-in has the properties and signals of its original (`widget_properties.json` lists them) as far as panels use
them, and looks enough like it for pictures.
"""

from __future__ import annotations

import sys
import types
from typing import Any

from PySide6 import QtCore, QtGui
from PySide6.QtCore import Signal

from SlicerHeadless.ctk_numbers import ctkDoubleSlider, ctkDoubleSpinBox, ctkRangeWidget, ctkSliderWidget
from SlicerHeadless.dialogs import Shown, dialogs
from SlicerHeadless.widget_parts import qt, row_layout, stored_property

__all__ = ["WIDGETS", "ctkDoubleSlider", "ctkDoubleSpinBox", "ctkRangeWidget", "ctkSliderWidget", "install"]


class ctkCollapsibleButton(qt.QWidget):
    """A heading that folds what lies under it. (The original is a QAbstractButton.)"""

    contentsCollapsed = Signal(bool)
    toggled = Signal(bool)
    clicked = Signal(bool)
    _HEADING = 24

    def __init__(self, *arguments: Any) -> None:
        text = arguments[0] if arguments and isinstance(arguments[0], str) else ""
        parent = arguments[-1] if arguments and not isinstance(arguments[-1], str) else None
        super().__init__(parent)
        self._text, self._collapsed = text, False
        self.setContentsMargins(0, self._HEADING, 0, 0)

    def _set_text(self, text: str) -> None:
        self._text = text
        self.update()

    def _set_collapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        for child in self.children():
            if child.isWidgetType():
                child.setVisible(not collapsed)
        self.setMaximumHeight(self._HEADING if collapsed else 16777215)
        self.contentsCollapsed.emit(collapsed)
        self.toggled.emit(not collapsed)

    text = QtCore.Property(str, lambda s: s._text, lambda s, v: s._set_text(v))
    collapsed = QtCore.Property(bool, lambda s: s._collapsed, lambda s, v: s._set_collapsed(v))
    checked = QtCore.Property(bool, lambda s: not s._collapsed, lambda s, v: s._set_collapsed(not v))
    checkable = stored_property(bool, "checkable", True)
    flat = stored_property(bool, "flat", False)
    collapsedHeight = stored_property(int, "collapsedHeight", 8)

    def setText(self, text: str) -> None:
        self._set_text(text)

    def setChecked(self, checked: bool) -> None:
        self._set_collapsed(not checked)

    def isChecked(self) -> bool:
        return not self._collapsed

    def click(self) -> None:
        self._set_collapsed(not self._collapsed)
        self.clicked.emit(not self._collapsed)

    def mousePressEvent(self, event: Any) -> None:
        if event.position().y() <= self._HEADING:
            self.click()

    def showEvent(self, event: Any) -> None:
        for child in self.children():
            if child.isWidgetType() and self._collapsed:
                child.setVisible(False)
        super().showEvent(event)

    def paintEvent(self, _event: Any) -> None:
        painter, option = QtGui.QPainter(self), qt.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, self.rect.width(), self._HEADING)
        self.style().drawControl(qt.QStyle.CE_PushButtonBevel, option, painter, self)
        place = option.rect.adjusted(8, 0, -8, 0)
        arrow = "\u25b8" if self._collapsed else "\u25be"
        painter.setPen(self.palette.color(QtGui.QPalette.ColorRole.ButtonText))
        painter.drawText(place, qt.Qt.AlignVCenter | qt.Qt.AlignLeft, f"{arrow}  {self._text}")
        painter.end()


class ctkCollapsibleGroupBox(qt.QGroupBox):
    """A group box that folds."""

    def _set_collapsed(self, collapsed: bool) -> None:
        self._collapsed = collapsed
        for child in self.children():
            if child.isWidgetType():
                child.setVisible(not collapsed)

    collapsed = QtCore.Property(bool, lambda s: getattr(s, "_collapsed", False), lambda s, v: s._set_collapsed(v))
    collapsedHeight = stored_property(int, "collapsedHeight", 14)


class ctkPathLineEdit(qt.QWidget):
    """A line for a path with a button that browses."""

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)
    Dirs, Files, Readable, Writable, Executable = 0x001, 0x002, 0x010, 0x020, 0x040

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._line, button = qt.QLineEdit(), qt.QToolButton()
        button.text = "..."
        row_layout(self, self._line, button)
        self._line.textChanged.connect(self.currentPathChanged)
        button.clicked.connect(lambda *_: self.browse())

    currentPath = QtCore.Property(str, lambda s: s._line.text, lambda s, v: s._line.setText(v or ""))
    filters = stored_property(int, "filters", 0)
    nameFilters = stored_property("QStringList", "nameFilters", [])
    settingKey = stored_property(str, "settingKey", "")
    showBrowseButton = stored_property(bool, "showBrowseButton", True)
    showHistoryButton = stored_property(bool, "showHistoryButton", True)

    def setCurrentPath(self, path: str) -> None:
        self.currentPath = path

    def browse(self) -> None:
        chosen = dialogs.take(Shown("Browse", "choose a path"))
        if chosen:
            self.currentPath = str(chosen)

    def addCurrentPathToHistory(self) -> None: ...


class ctkDirectoryButton(qt.QPushButton):
    """A button that shows and chooses a folder."""

    directoryChanged = Signal(str)

    def _set_directory(self, directory: str) -> None:
        if directory != self.text:
            self.text = directory
            self.directoryChanged.emit(directory)

    directory = QtCore.Property(str, lambda s: s.text, lambda s, v: s._set_directory(v))
    caption = stored_property(str, "caption", "")


class ctkComboBox(qt.QComboBox):
    """A combo box with a text for no choice."""

    defaultText = stored_property(str, "defaultText", "")
    forceDefault = stored_property(bool, "forceDefault", False)


class ctkCheckableComboBox(qt.QComboBox):
    """A combo box whose entries are checked each."""

    checkedIndexesChanged = Signal()

    def checkState(self, row: int) -> Any:
        return self.model().item(row).checkState()

    def setCheckState(self, row: int, state: Any) -> None:
        self.model().item(row).setCheckState(state)
        self.checkedIndexesChanged.emit()


class ctkPushButton(qt.QPushButton):
    """A push button."""


class ctkMenuButton(qt.QPushButton):
    """A push button with a menu at its side."""


class ctkCheckablePushButton(qt.QPushButton):
    """A push button with a check box on it."""

    checkBoxToggled = Signal(bool)
    checkBoxControlsButton = stored_property(bool, "checkBoxControlsButton", True)
    checkBoxControlsButtonToggleState = stored_property(bool, "checkBoxControlsButtonToggleState", True)


class ctkCheckBox(qt.QCheckBox):
    """A check box that can show icons."""


class ctkColorPickerButton(qt.QPushButton):
    """A button that shows and chooses a colour."""

    colorChanged = Signal(QtGui.QColor)
    color = stored_property(QtGui.QColor, "color", QtGui.QColor("black"), lambda s: s.colorChanged.emit(s.color))
    displayColorName = stored_property(bool, "displayColorName", True)

    def setColor(self, color: Any) -> None:
        self.color = color


class ctkExpandableWidget(qt.QFrame):
    """A frame that can be pulled larger."""


class ctkFittedTextBrowser(qt.QTextBrowser):
    """A text browser as high as its text."""

    collapsed = stored_property(bool, "collapsed", False)


class ctkMessageBox(qt.QMessageBox):
    """A message box that can be told not to come again."""

    dontShowAgainVisible = stored_property(bool, "dontShowAgainVisible", False)
    dontShowAgain = stored_property(bool, "dontShowAgain", False)
    dontShowAgainSettingsKey = stored_property(str, "dontShowAgainSettingsKey", "")


WIDGETS = {name: c for name, c in list(globals().items()) if name.startswith("ctk") and isinstance(c, type)}


def install() -> types.ModuleType:
    """Makes `import ctk` work."""
    module = types.ModuleType("ctk", "Stand-in for the module ctk.")
    module.__dict__.update(WIDGETS)
    sys.modules["ctk"] = module
    return module
