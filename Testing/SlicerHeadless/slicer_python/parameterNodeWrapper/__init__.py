"""`slicer.parameterNodeWrapper`: typed parameters in a node of the scene, by the public contract of Slicer's own.

Members: int, float, str, bool, pathlib.Path, enum.Enum, node classes (also Optional), list of int, float or str. Stored
as in Slicer where a scene file shows it: parameters by name, enums by their name, nodes as references.

Widgets in `connectGui` are those Slicer connects and no others: a panel that works here must work there.
"""

import typing

import vtk
from slicer.parameterNodeWrapper.connectors import connector_of
from slicer.parameterNodeWrapper.parameters import (
    NO_DEFAULT,
    Choice,
    Decimals,
    Default,
    Maximum,
    Minimum,
    Parameter,
    SingleStep,
    WithinRange,
)

__all__ = [
    "Choice",
    "Decimals",
    "Default",
    "Maximum",
    "Minimum",
    "SingleStep",
    "WithinRange",
    "isParameterNodeWrapper",
    "parameterNodeWrapper",
]


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
        connectors = {name: connector_of(widget, self._parameter(name)) for name, widget in widgets.items()}
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
    parameters = {name: Parameter(name, hint, vars(wrapped).get(name, NO_DEFAULT)) for name, hint in hints.items()}
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
