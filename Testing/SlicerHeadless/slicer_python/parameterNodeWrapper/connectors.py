"""Widgets tied to parameters: exactly the classes of widgets that Slicer ties, each to the types it may show."""

import enum
import pathlib

import slicer
from slicer.parameterNodeWrapper.parameters import (
    Choice,
    Decimals,
    Maximum,
    Minimum,
    SingleStep,
    WithinRange,
    is_enum,
    is_node,
)


class Connector:
    """Ties a widget's value to a parameter."""

    def __init__(self, widget, signal, read, write):
        self.widget, self.signal, self.read, self.write, self.slot = widget, signal, read, write, None

    def on_change(self, slot):
        self.slot = slot
        getattr(self.widget, self.signal).connect(slot)

    def disconnect(self):
        getattr(self.widget, self.signal).disconnect(self.slot)


def _by_attribute(widget, signal, attribute, convert=lambda value: value):
    return Connector(
        widget, signal, lambda: convert(getattr(widget, attribute)), lambda value: setattr(widget, attribute, value)
    )


def _bool_connector(widget, _parameter):
    if type(widget).__name__ == "QPushButton":
        widget.checkable = True
    return _by_attribute(widget, "toggled", "checked")


def _number_connector(widget, parameter):
    for annotation, attribute in ((Decimals, "decimals"), (SingleStep, "singleStep")):
        if parameter.annotation(annotation):
            setattr(widget, attribute, parameter.annotation(annotation).value)
    limits = parameter.annotation(WithinRange)
    low, high = limits or parameter.annotation(Minimum), limits or parameter.annotation(Maximum)
    if "lider" in type(widget).__name__ and not (low and high):
        raise RuntimeError(f"{parameter.name}: a slider needs a parameter with smallest and largest value")
    unlimited = 1e300 if parameter.type is float else 2**31 - 1
    widget.minimum = parameter.type(low.minimum if low else -unlimited)
    widget.maximum = parameter.type(high.maximum if high else unlimited)
    return _by_attribute(widget, "valueChanged", "value", parameter.type)


def _choice_connector(widget, parameter):
    if is_enum(parameter.type):
        values = list(parameter.type)
        label = getattr(parameter.type, "label", lambda value: value.name)
    else:
        if not parameter.annotation(Choice):
            raise RuntimeError(f"{parameter.name}: a combo box needs a parameter with the Choice annotation")
        values, label = parameter.annotation(Choice).choices, str
    widget.clear()
    widget.addItems([label(value) for value in values])
    return Connector(
        widget,
        "currentIndexChanged",
        lambda: values[widget.currentIndex],
        lambda value: setattr(widget, "currentIndex", values.index(value)),
    )


def _text_connector(widget, _parameter):
    if type(widget).__name__ == "QLineEdit":
        return _by_attribute(widget, "textChanged", "text")
    return Connector(widget, "textChanged", widget.toPlainText, widget.setPlainText)


def _path_connector(widget, _parameter):
    signal, attribute = (
        ("directoryChanged", "directory")
        if type(widget).__name__ == "ctkDirectoryButton"
        else ("currentPathChanged", "currentPath")
    )
    return Connector(
        widget,
        signal,
        lambda: pathlib.Path(getattr(widget, attribute)),
        lambda value: setattr(widget, attribute, str(value)),
    )


def _node_connector(widget, parameter):
    widget.nodeTypes = [parameter.type.__name__]
    return Connector(widget, "currentNodeChanged", widget.currentNode, widget.setCurrentNode)


# Which widget may show which type: Slicer asks for exactly these classes.
_CONNECTORS = {
    ("QCheckBox", bool): _bool_connector,
    ("QPushButton", bool): _bool_connector,
    ("QSlider", int): _number_connector,
    ("QSpinBox", int): _number_connector,
    ("QDoubleSpinBox", float): _number_connector,
    ("ctkSliderWidget", float): _number_connector,
    ("QComboBox", int): _choice_connector,
    ("QComboBox", float): _choice_connector,
    ("QComboBox", str): _choice_connector,
    ("QComboBox", bool): _choice_connector,
    ("QComboBox", enum.Enum): _choice_connector,
    ("QLineEdit", str): _text_connector,
    ("QTextEdit", str): _text_connector,
    ("ctkPathLineEdit", pathlib.Path): _path_connector,
    ("ctkDirectoryButton", pathlib.Path): _path_connector,
    ("qMRMLNodeComboBox", slicer.vtkMRMLNode): _node_connector,
}


def connector_of(widget, parameter):
    """What ties a widget to a parameter.

    Raises:
        RuntimeError: If Slicer has none for that class of widget and type.
    """
    kind = parameter.type
    kind = enum.Enum if is_enum(kind) else slicer.vtkMRMLNode if is_node(kind) else kind
    make = _CONNECTORS.get((type(widget).__name__, kind))
    if make is None:
        raise RuntimeError(
            f"Unable to create GUI connector from datatype {parameter.type.__name__} ({parameter.name}) to widget "
            f"type {type(widget).__name__}"
        )
    return make(widget, parameter)
