"""The module `qt` over PySide6 with the habits of PythonQt, in which Slicer's panels are written.

What differs between the two, and is made alike here: Qt properties are attributes (`button.enabled = True`), signals
are also connected by signature (`button.connect("clicked()", slot)`), and a class found by `findChild` is the class one
wrote. What would pass silently in the application and does not here: setting an attribute that no widget of that class
has, and connecting to a signal that does not exist.
"""

from __future__ import annotations

import inspect
import os
import sys
import types
from collections.abc import Callable
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import QObject

from SlicerHeadless import ui_check

# Properties that PythonQt leaves methods, or whose attribute would shadow a virtual function that Qt itself calls.
_METHODS = {"sizeHint", "minimumSizeHint", "children", "parent", "layout", "locale"}
_VIRTUAL = {("QProgressBar", "text")}
# Classes that may not be subclassed without breaking what Qt makes of them itself.
_LEFT_AS_THEY_ARE = {"QObject", "QCoreApplication", "QGuiApplication", "QApplication", "QAbstractItemModel"}
_SIGNAL_TYPES = {"bool": bool, "int": int, "double": float, "QString": str}

name_of = QObject.objectName  # Qt's own function, several times as quick as the property

widget_classes: dict[str, type] = {}  # by name: the classes that a .ui file's plain Qt widgets are made of


class QtProperty:
    """A Qt property read and set as an attribute; on the class, what was there before (static functions)."""

    def __init__(self, name: str, original: Any) -> None:
        self.name, self.original = name, original

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self.original if self.original is not None else self
        return QObject.property(instance, self.name)

    def __set__(self, instance: Any, value: Any) -> None:
        QObject.setProperty(instance, self.name, list(value) if isinstance(value, tuple) else value)


def connect(sender: Any, signature: str, slot: Callable[..., Any]) -> bool:
    """PythonQt's `sender.connect("signal(type)", slot)`.

    Raises:
        AttributeError: If the sender has no such signal; PythonQt would say nothing and never call the slot.
    """
    class_name = type(sender).__name__
    known = ui_check.signals_of(class_name) or set(_signatures(sender))
    if ui_check.normalized(signature) not in known:
        raise AttributeError(f"{class_name} has no signal {signature}: it would never be heard")
    _overload(getattr(sender, signature.split("(")[0]), signature).connect(slot)
    return True


def disconnect(sender: Any, signature: str, slot: Callable[..., Any]) -> bool:
    """Undoes `connect`; false if there was no such connection."""
    try:
        _overload(getattr(sender, signature.split("(")[0]), signature).disconnect(slot)
    except (RuntimeError, TypeError):
        return False
    return True


def _signatures(sender: QObject) -> list[str]:
    """Signatures of the signals of an object whose class is none that Slicer or Qt has."""
    meta = sender.metaObject()
    methods = [meta.method(k) for k in range(meta.methodCount())]
    signals = [m for m in methods if m.methodType() == QtCore.QMetaMethod.MethodType.Signal]
    return [ui_check.normalized(bytes(m.methodSignature()).decode()) for m in signals]


def _overload(signal: Any, signature: str) -> Any:
    """The overload of a signal that a signature names, where PySide6 tells overloads apart."""
    inside = signature[signature.find("(") + 1 : signature.rfind(")")] if "(" in signature else ""
    kinds = [_SIGNAL_TYPES.get(part.replace("const ", "").strip(" &")) for part in inside.split(",")]
    if not inside or None in kinds:
        return signal
    try:
        return signal[kinds[0] if len(kinds) == 1 else tuple(kinds)]
    except (KeyError, IndexError, TypeError):
        return signal


class _Lookalike(type(QObject)):
    """A Python subclass of a Qt class that counts as that class: objects that Qt itself made are instances too.

    PySide6 hard-wires `connect` unless the very class of an object defines it, so every subclass is given ours.
    """

    def __new__(cls, name: str, bases: tuple[type, ...], members: dict[str, Any], **named: Any) -> Any:
        return super().__new__(cls, name, bases, {"connect": connect, "disconnect": disconnect, **members}, **named)

    def __instancecheck__(cls, instance: Any) -> bool:
        original = cls.__dict__.get("_original")
        return isinstance(instance, original) if original is not None else type.__instancecheck__(cls, instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        original = cls.__dict__.get("_original")
        return issubclass(subclass, original) if original is not None else type.__subclasscheck__(cls, subclass)


def original_of(qt_class: Any) -> Any:
    """PySide6's own class of one of the module's classes."""
    return getattr(qt_class, "__dict__", {}).get("_original", qt_class)


def install() -> types.ModuleType:
    """Makes `import qt` work and an application exist; once per process.

    Returns:
        The module `qt`.
    """
    if "qt" in sys.modules:
        return sys.modules["qt"]
    names = {n: getattr(m, n) for m in (QtCore, QtGui, QtWidgets) for n in dir(m) if not n.startswith("_")}
    qt_classes = {n: c for n, c in names.items() if inspect.isclass(c) and issubclass(c, QObject)}
    for qt_class in qt_classes.values():
        _properties_as_attributes(qt_class)
    _extend_qobject()
    for name in sorted(set(qt_classes) - _LEFT_AS_THEY_ARE):
        lookalike = _lookalike(name, qt_classes[name])
        if lookalike is not None:
            names[name] = widget_classes[name] = lookalike
    module = types.ModuleType("qt", "Stand-in for PythonQt's module qt.")
    module.__dict__.update(names)
    sys.modules["qt"] = module
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["slicer-headless"])
    application.setStyle("Fusion")
    module._application = application  # kept alive as long as the module
    return module


def _properties_as_attributes(qt_class: type) -> None:
    meta = getattr(qt_class, "staticMetaObject", None)
    if meta is None:
        return
    for k in range(meta.propertyOffset(), meta.propertyCount()):
        name = meta.property(k).name()
        if name not in _METHODS and (qt_class.__name__, name) not in _VIRTUAL:
            setattr(qt_class, name, QtProperty(name, getattr(qt_class, name, None)))


def _extend_qobject() -> None:
    find_children, find_child = QObject.findChildren, QObject.findChild
    QObject.connect, QObject.disconnect = connect, disconnect
    QObject.name = property(name_of, lambda o, name: o.setObjectName(name))
    QObject.className = lambda o: o.metaObject().className()
    QObject.delete = lambda o: o.deleteLater()
    QObject.findChildren = lambda o, kind=QObject, *rest: find_children(o, original_of(kind), *rest)
    QObject.findChild = lambda o, kind=QObject, *rest: find_child(o, original_of(kind), *rest)


def _lookalike(name: str, qt_class: type) -> type | None:
    """A Python class in place of a Qt class; None if Python may not extend that class."""

    def set_attribute(self: Any, attribute: str, value: Any) -> None:
        if not attribute.startswith("_"):
            if isinstance(value, QObject) and name_of(value) == attribute:
                return  # PySide6's loader hangs children on the form; PythonQt's does not
            if not hasattr(type(self), attribute):
                raise AttributeError(f"{type(self).__name__} has no property {attribute}")
        qt_class.__setattr__(self, attribute, value)

    try:
        return _Lookalike(name, (qt_class,), {"_original": qt_class, "__setattr__": set_attribute})
    except TypeError:
        return None
