"""Types, annotations and defaults of parameters, and how they stand in a node of the scene."""

import enum
import json
import types
import typing

import slicer

NO_DEFAULT = object()


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


def is_node(kind):
    return isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)


def is_enum(kind):
    return isinstance(kind, type) and issubclass(kind, enum.Enum)


class Parameter:
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
        if default is not NO_DEFAULT:
            return default
        if self.annotation(Default):
            return self.annotation(Default).value
        if is_node(self.type):
            return None
        return next(iter(self.type)) if is_enum(self.type) else self.type()

    def is_in(self, node):
        return node.HasParameter(self.name)

    def read(self, node):
        if not self.is_in(node):
            self.write(node, self.default)
        if is_node(self.type):
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if self.type is bool:
            return text == "True"
        if self.item:
            return [self.item(entry) for entry in json.loads(text)]
        return self.type[text] if is_enum(self.type) else self.type(text)

    def write(self, node, value):
        self._check(value)
        if is_node(self.type):
            node.SetParameter(self.name, "")  # says that the parameter is set, even to None
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        elif self.item:
            node.SetParameter(self.name, json.dumps(list(value)))
        else:
            node.SetParameter(self.name, value.name if is_enum(self.type) else str(value))

    def _check(self, value):
        allowed = (int, float) if self.type is float else self.type
        if not isinstance(value, allowed) and not (is_node(self.type) and value is None):
            raise ValueError(f"{self.name}: expected {self.type.__name__}, got {type(value).__name__}")
        for annotation in self.annotations:
            if hasattr(annotation, "validate"):
                annotation.validate(value)
