"""The module `ctk`: stand-ins for the CTK widgets that the panels use, over PySide6.

A stand-in has the properties and signals of its original (`widget_properties.json` lists them) as far as panels use
them, and looks enough like it for pictures.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtGui
from PySide6.QtCore import Signal

from SlicerHeadless import pythonqt
from SlicerHeadless.dialogs import Shown, dialogs

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


class ctkDoubleSpinBox(qt.QWidget):
    """A box for a number, that HAS a QDoubleSpinBox, as the original does."""

    valueChanged = Signal(float)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._box = qt.QDoubleSpinBox()
        row_layout(self, self._box)
        self._box.valueChanged.connect(self.valueChanged)

    value = forwarded_property(float, "_box", "value")
    minimum = forwarded_property(float, "_box", "minimum")
    maximum = forwarded_property(float, "_box", "maximum")
    singleStep = forwarded_property(float, "_box", "singleStep")
    decimals = forwarded_property(int, "_box", "decimals")
    suffix = forwarded_property(str, "_box", "suffix")
    prefix = forwarded_property(str, "_box", "prefix")

    def setValue(self, value: float) -> None:
        self._box.setValue(float(value))

    def setRange(self, minimum: float, maximum: float) -> None:
        self._box.setRange(float(minimum), float(maximum))


class ctkSliderWidget(qt.QWidget):
    """A slider beside a box, both for one number."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)
    decimalsChanged = Signal(int)
    _STEPS = 1000

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._slider, self._box = qt.QSlider(QtCore.Qt.Orientation.Horizontal), qt.QDoubleSpinBox()
        self._slider.setRange(0, self._STEPS)
        self._box.setRange(0, 99)
        row_layout(self, self._slider, self._box)
        self._box.valueChanged.connect(self._follow_box)
        self._slider.sliderMoved.connect(self._follow_slider)

    def _follow_box(self, value: float) -> None:
        self._place_slider()
        self.valueChanged.emit(value)

    def _place_slider(self) -> None:
        low, high = self._box.minimum, self._box.maximum
        self._slider.setValue(round(self._STEPS * (self._box.value - low) / ((high - low) or 1)))

    def _follow_slider(self, step: int) -> None:
        low, high = self._box.minimum, self._box.maximum
        self._box.setValue(low + (high - low) * step / self._STEPS)
        self.valueIsChanging.emit(self._box.value)

    def _limit(name: str) -> Any:  # noqa: N805
        def write(widget: Any, value: float) -> None:
            setattr(widget._box, name, float(value))
            widget._place_slider()

        return QtCore.Property(float, lambda w: getattr(w._box, name), write)

    value = forwarded_property(float, "_box", "value")
    minimum = _limit("minimum")
    maximum = _limit("maximum")
    del _limit
    singleStep = forwarded_property(float, "_box", "singleStep")
    decimals = forwarded_property(int, "_box", "decimals")
    suffix = forwarded_property(str, "_box", "suffix")
    prefix = forwarded_property(str, "_box", "prefix")
    pageStep = stored_property(float, "pageStep", 10.0)
    tickInterval = stored_property(float, "tickInterval", 0.0)
    tracking = stored_property(bool, "tracking", True)
    spinBoxVisible = stored_property(bool, "spinBoxVisible", True)
    popupSlider = stored_property(bool, "popupSlider", False)
    invertedAppearance = stored_property(bool, "invertedAppearance", False)
    invertedControls = stored_property(bool, "invertedControls", False)

    def setValue(self, value: float) -> None:
        self._box.setValue(float(value))

    def setMinimum(self, value: float) -> None:
        self.minimum = value

    def setMaximum(self, value: float) -> None:
        self.maximum = value

    def setRange(self, minimum: float, maximum: float) -> None:
        self.minimum, self.maximum = minimum, maximum

    def reset(self) -> None:
        self._box.setValue(self._box.minimum)


class ctkDoubleSlider(ctkSliderWidget):
    """A slider for a number, here with its box."""


class ctkRangeWidget(qt.QWidget):
    """Two boxes for a range."""

    valuesChanged = Signal(float, float)
    minimumValueChanged = Signal(float)
    maximumValueChanged = Signal(float)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._low, self._high = qt.QDoubleSpinBox(), qt.QDoubleSpinBox()
        row_layout(self, self._low, self._high)
        self._low.valueChanged.connect(self.minimumValueChanged)
        self._high.valueChanged.connect(self.maximumValueChanged)
        for box in (self._low, self._high):
            box.valueChanged.connect(lambda _value: self.valuesChanged.emit(self._low.value, self._high.value))

    def _set_both(self, name: str, value: Any) -> None:
        for box in (self._low, self._high):
            setattr(box, name, value)

    minimumValue = QtCore.Property(float, lambda s: s._low.value, lambda s, v: s._low.setValue(v))
    maximumValue = QtCore.Property(float, lambda s: s._high.value, lambda s, v: s._high.setValue(v))
    minimum = QtCore.Property(float, lambda s: s._low.minimum, lambda s, v: s._set_both("minimum", v))
    maximum = QtCore.Property(float, lambda s: s._low.maximum, lambda s, v: s._set_both("maximum", v))
    singleStep = QtCore.Property(float, lambda s: s._low.singleStep, lambda s, v: s._set_both("singleStep", v))
    decimals = QtCore.Property(int, lambda s: s._low.decimals, lambda s, v: s._set_both("decimals", v))
    suffix = QtCore.Property(str, lambda s: s._low.suffix, lambda s, v: s._set_both("suffix", v))

    def setRange(self, minimum: float, maximum: float) -> None:
        self.minimum, self.maximum = float(minimum), float(maximum)

    def setValues(self, low: float, high: float) -> None:
        self._low.setValue(low)
        self._high.setValue(high)


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
