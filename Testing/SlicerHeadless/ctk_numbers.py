"""Stand-ins for CTK's widgets for numbers: boxes, sliders and ranges."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore
from PySide6.QtCore import Signal

from SlicerHeadless.widget_parts import forwarded_property, qt, row_layout, stored_property


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
