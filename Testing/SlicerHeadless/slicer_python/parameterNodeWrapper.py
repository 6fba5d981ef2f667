"""`slicer.parameterNodeWrapper`: typed parameters in a node of the scene, by the public contract of Slicer's own.

Members: int, float, str, bool, pathlib.Path, enum.Enum, node classes (also Optional), list of int, float or str. Stored
as in Slicer where a scene file shows it: parameters by name, enums by their name, nodes as references.

Widgets in `connectGui` are those Slicer connects and no others: a panel that works here must work there.
"""

import enum
import json
import pathlib
import types
import typing

import slicer
import vtk

_NO_DEFAULT = object()


class Default:
    """Annotation: the default value."""

    def __init__(self, value):
        self.value = value


class Decimals(Default):
    """Annotation: digits that a box shows."""


class SingleStep(Default):
    """Annotation: step of a box or slider."""


class WithinRange:
    """Annotation: smallest and largest value."""

    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value):
        if value is not None and not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


class Minimum:
    """Annotation: smallest value."""

    def __init__(self, minimum):
        self.minimum = minimum

    def validate(self, value):
        if value is not None and value < self.minimum:
            raise ValueError(f"Value must be greater than or equal to {self.minimum}, is {value}")


class Maximum:
    """Annotation: largest value."""

    def __init__(self, maximum):
        self.maximum = maximum

    def validate(self, value):
        if value is not None and value > self.maximum:
            raise ValueError(f"Value must be less than or equal to {self.maximum}, is {value}")


class Choice:
    """Annotation: the values to choose from."""

    def __init__(self, choices):
        self.choices = list(choices)

    def validate(self, value):
        if value not in self.choices:
            raise ValueError(f"Value must be one of {self.choices}, is {value}")


def _is_node(kind):
    return isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)


def _is_enum(kind):
    return isinstance(kind, type) and issubclass(kind, enum.Enum)


class _Parameter:
    """One member of a wrapped class: its type, annotations and default, and how it stands in a node."""

    def __init__(self, name, hint, default):
        self.name, self.annotations = name, []
        if typing.get_origin(hint) is typing.Annotated:
            hint, *self.annotations = typing.get_args(hint)
        if typing.get_origin(hint) in (typing.Union, types.UnionType):
            hint = next(kind for kind in typing.get_args(hint) if kind is not type(None))
        self.item = typing.get_args(hint)[0] if typing.get_origin(hint) is list else None
        self.type = list if self.item else hint
        self.default = self._find_default(default)

    def annotation(self, kind):
        return next((a for a in self.annotations if type(a) is kind), None)

    def _find_default(self, default):
        if default is not _NO_DEFAULT:
            return default
        if self.annotation(Default):
            return self.annotation(Default).value
        if _is_node(self.type):
            return None
        return next(iter(self.type)) if _is_enum(self.type) else self.type()

    def is_in(self, node):
        return node.HasParameter(self.name)

    def read(self, node):
        if not self.is_in(node):
            self.write(node, self.default)
        if _is_node(self.type):
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if self.type is bool:
            return text == "True"
        if self.item:
            return [self.item(entry) for entry in json.loads(text)]
        return self.type[text] if _is_enum(self.type) else self.type(text)

    def write(self, node, value):
        self._check(value)
        if _is_node(self.type):
            node.SetParameter(self.name, "")  # says that the parameter is set, even to None
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        elif self.item:
            node.SetParameter(self.name, json.dumps(list(value)))
        else:
            node.SetParameter(self.name, value.name if _is_enum(self.type) else str(value))

    def _check(self, value):
        allowed = (int, float) if self.type is float else self.type
        if not isinstance(value, allowed) and not (_is_node(self.type) and value is None):
            raise ValueError(f"{self.name}: expected {self.type.__name__}, got {type(value).__name__}")
        for annotation in self.annotations:
            if hasattr(annotation, "validate"):
                annotation.validate(value)


class _Connector:
    """Ties a widget's value to a parameter."""

    def __init__(self, widget, signal, read, write):
        self.widget, self.signal, self.read, self.write, self.slot = widget, signal, read, write, None

    def on_change(self, slot):
        self.slot = slot
        getattr(self.widget, self.signal).connect(slot)

    def disconnect(self):
        getattr(self.widget, self.signal).disconnect(self.slot)


def _by_attribute(widget, signal, attribute, convert=lambda value: value):
    return _Connector(
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
    if _is_enum(parameter.type):
        values = list(parameter.type)
        label = getattr(parameter.type, "label", lambda value: value.name)
    else:
        if not parameter.annotation(Choice):
            raise RuntimeError(f"{parameter.name}: a combo box needs a parameter with the Choice annotation")
        values, label = parameter.annotation(Choice).choices, str
    widget.clear()
    widget.addItems([label(value) for value in values])
    return _Connector(
        widget,
        "currentIndexChanged",
        lambda: values[widget.currentIndex],
        lambda value: setattr(widget, "currentIndex", values.index(value)),
    )


def _text_connector(widget, _parameter):
    if type(widget).__name__ == "QLineEdit":
        return _by_attribute(widget, "textChanged", "text")
    return _Connector(widget, "textChanged", widget.toPlainText, widget.setPlainText)


def _path_connector(widget, _parameter):
    signal, attribute = (
        ("directoryChanged", "directory")
        if type(widget).__name__ == "ctkDirectoryButton"
        else ("currentPathChanged", "currentPath")
    )
    return _Connector(
        widget,
        signal,
        lambda: pathlib.Path(getattr(widget, attribute)),
        lambda value: setattr(widget, attribute, str(value)),
    )


def _node_connector(widget, parameter):
    widget.nodeTypes = [parameter.type.__name__]
    return _Connector(widget, "currentNodeChanged", widget.currentNode, widget.setCurrentNode)


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


def _connector(widget, parameter):
    kind = parameter.type
    kind = enum.Enum if _is_enum(kind) else slicer.vtkMRMLNode if _is_node(kind) else kind
    make = _CONNECTORS.get((type(widget).__name__, kind))
    if make is None:
        raise RuntimeError(
            f"Unable to create GUI connector from datatype {parameter.type.__name__} ({parameter.name}) to widget "
            f"type {type(widget).__name__}"
        )
    return make(widget, parameter)


class _Wrapper:
    """What every wrapped class can do beside its parameters."""

    allParameters: dict

    def __init__(self, parameterNode, prefix=None):
        self.parameterNode = parameterNode
        self._connected, self._next_tag, self._updating = {}, 0, False
        for parameter in self.allParameters.values():
            if not parameter.is_in(parameterNode):
                parameter.write(parameterNode, parameter.default)

    def default(self, name):
        return Default(self._parameter(name).default)

    def dataType(self, name):
        return self._parameter(name).type

    def isParameter(self, name):
        return name in self.allParameters

    def getValue(self, name):
        return self._parameter(name).read(self.parameterNode)

    def setValue(self, name, value):
        self._parameter(name).write(self.parameterNode, value)

    def _parameter(self, name):
        if name not in self.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}")
        return self.allParameters[name]

    def connectGui(self, gui):
        """Ties every widget that names a parameter in its property SlicerParameterName to it; gives a tag."""
        widgets = gui.findChildren() if hasattr(gui, "isWidgetType") else list(vars(gui).values())
        named = {w.property("SlicerParameterName"): w for w in widgets if w.property("SlicerParameterName")}
        return self.connectParametersToGui(named)

    def connectParametersToGui(self, widgets):
        """Ties widgets to parameters by name; gives a tag."""
        connectors = {name: _connector(widget, self._parameter(name)) for name, widget in widgets.items()}
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.on_change(self._taker(name, connector))
        tag, self._next_tag = self._next_tag, self._next_tag + 1
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._show())
        self._connected[tag] = (connectors, observer)
        return tag

    def disconnectGui(self, tag):
        connectors, observer = self._connected.pop(tag, ({}, None))
        for connector in connectors.values():
            connector.disconnect()
        if observer is not None:
            self.RemoveObserver(observer)

    def _taker(self, name, connector):
        def take(*_):
            if not self._updating:
                self.setValue(name, connector.read())

        return take

    def _show(self):
        if self._updating:
            return
        self._updating = True
        try:
            for connectors, _ in list(self._connected.values()):
                for name, connector in connectors.items():
                    connector.write(self.getValue(name))
        finally:
            self._updating = False

    def StartModify(self):
        return self.parameterNode.StartModify()

    def EndModify(self, was_modifying):
        return self.parameterNode.EndModify(was_modifying)

    def AddObserver(self, event, callback, priority=0.0):
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag):
        self.parameterNode.RemoveObserver(tag)

    def Modified(self):
        self.parameterNode.Modified()


def parameterNodeWrapper(wrapped=None):
    """Class decorator: annotated members become parameters of the node the class is made with."""
    if wrapped is None:
        return parameterNodeWrapper
    hints = typing.get_type_hints(wrapped, include_extras=True)
    parameters = {name: _Parameter(name, hint, vars(wrapped).get(name, _NO_DEFAULT)) for name, hint in hints.items()}
    members = {name: value for name, value in vars(wrapped).items() if name not in ("__dict__", "__weakref__")}
    members["allParameters"] = parameters
    for name in parameters:
        members[name] = property(
            lambda self, name=name: self.getValue(name), lambda self, value, name=name: self.setValue(name, value)
        )
    taken = set(vars(_Wrapper)) & set(hints)
    if taken:
        raise ValueError(f"Cannot use reserved name '{sorted(taken)[0]}' in a parameterNodeWrapper")
    return type(wrapped.__name__, (_Wrapper,), members)


def isParameterNodeWrapper(thing):
    """Whether a class or an object of it was wrapped."""
    return issubclass(thing if isinstance(thing, type) else type(thing), _Wrapper)
