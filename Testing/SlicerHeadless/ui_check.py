"""Checks a .ui file against what the widgets of Slicer really have: classes, properties, signals, slots' senders.

Qt Designer's loader ignores what it does not know, so that a misspelt property goes unnoticed until a user misses it.
`widget_properties.json` lists base, properties and signals of the CTK, qMRML and qSlicer widgets; those of Qt's own
widgets are asked of PySide6.
"""

from __future__ import annotations

import functools
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).with_name("widget_properties.json")
# What Qt Designer itself writes for a form, and pages of containers, beside the properties of the class.
_ATTRIBUTES = {"SlicerParameterName"}


def problems_of(path: Path) -> list[str]:
    """What is wrong with a .ui file; empty if nothing is."""
    return problems_in(ET.fromstring(path.read_text(encoding="utf-8")))


def problems_in(root: ET.Element) -> list[str]:
    """What is wrong in the XML of a .ui file; empty if nothing is."""
    classes = {w.get("name", ""): w.get("class", "") for w in root.iter("widget")}
    found = [problem for widget in root.iter("widget") for problem in _widget_problems(widget)]
    found += [problem for c in root.iter("connection") for problem in _connection_problems(c, classes)]
    names = [w.get("name") for w in root.iter("widget")]
    found += [problem for widget in root.iter("widget") for problem in _buddy_problems(widget, classes)]
    found += [f"two widgets are named {name}" for name in sorted({n for n in names if names.count(n) > 1})]
    return found


@functools.lru_cache
def table() -> dict[str, Any]:
    """The widgets of Slicer by class name: base, properties (with types), signals."""
    return json.loads(_TABLE.read_text(encoding="utf-8"))


@functools.lru_cache
def properties_of(class_name: str) -> frozenset[str] | None:
    """Properties of a widget class and its bases; None if there is no such class."""
    if class_name in table():
        own = set(table()[class_name]["properties"])
        return frozenset(own | (properties_of(table()[class_name]["base"]) or set()))
    meta = _qt_meta(class_name)
    return None if meta is None else frozenset(meta.property(k).name() for k in range(meta.propertyCount()))


@functools.lru_cache
def signals_of(class_name: str) -> frozenset[str]:
    """Normalised signatures of the signals of a widget class and its bases."""
    if class_name in table():
        own = {normalized(signal) for signal in table()[class_name]["signals"]}
        return frozenset(own | signals_of(table()[class_name]["base"]))
    meta = _qt_meta(class_name)
    if meta is None:
        return frozenset()
    methods = [meta.method(k) for k in range(meta.methodCount())]
    return frozenset(bytes(m.methodSignature()).decode() for m in methods if m.methodType().name == "Signal")


def normalized(signature: str) -> str:
    """A signature as Qt compares them: no names of parameters, no references to constants, no spaces."""
    name, _, inside = signature.partition("(")
    parts = [p for p in inside.rstrip(") ").split(",") if p.strip()]
    return f"{name.strip()}({','.join(_type_alone(part) for part in parts)})"


def _type_alone(parameter: str) -> str:
    text = re.sub(r"^\s*const\s+|&", " ", parameter.split("=")[0]).strip()
    text = re.sub(r"\s*\*\s*", "* ", text).strip()
    words = text.split()
    return words[0] if len(words) < 2 else (words[0] if words[0] not in ("unsigned", "long") else " ".join(words[:-1]))


def _qt_meta(class_name: str) -> Any:
    from PySide6 import QtCore, QtGui, QtWidgets

    if class_name == "Line":  # Designer's name for a QFrame that is a line
        class_name = "QFrame"
    qt_class = next((getattr(m, class_name) for m in (QtWidgets, QtGui, QtCore) if hasattr(m, class_name)), None)
    return getattr(qt_class, "staticMetaObject", None)


def _widget_problems(widget: ET.Element) -> list[str]:
    class_name, name = widget.get("class", ""), widget.get("name", "")
    known = properties_of(class_name)
    if known is None:
        return [f"{name}: there is no widget class {class_name}"]
    written = [p for p in widget.findall("property") if p.get("stdset") != "0"]
    dynamic = [p for p in widget.findall("property") if p.get("stdset") == "0"]
    found = [f"{name}: {class_name} has no property {p.get('name')}" for p in written if not _has(known, class_name, p)]
    found += [
        f"{name}: dynamic property {p.get('name')} is none that Slicer reads"
        for p in dynamic
        if p.get("name") not in _ATTRIBUTES | known
    ]
    return found


def _has(known: frozenset[str], class_name: str, prop: ET.Element) -> bool:
    # Two that the loader itself sees to, though the classes have no such property.
    return prop.get("name") in known or (class_name, prop.get("name")) in {("Line", "orientation"), ("QLabel", "buddy")}


def _buddy_problems(widget: ET.Element, classes: dict[str, str]) -> list[str]:
    """A label whose mnemonic would lead nowhere."""
    buddies = [p.findtext("cstring", "") for p in widget.findall("property") if p.get("name") == "buddy"]
    return [f"{widget.get('name')}: there is no widget {buddy}" for buddy in buddies if buddy not in classes]


def _connection_problems(connection: ET.Element, classes: dict[str, str]) -> list[str]:
    sender, signal = connection.findtext("sender", ""), connection.findtext("signal", "")
    receiver = connection.findtext("receiver", "")
    found = [f"connection: there is no widget {name}" for name in (sender, receiver) if name not in classes]
    if sender in classes and normalized(signal) not in signals_of(classes[sender]):
        found.append(f"{sender}: {classes[sender]} has no signal {signal}")
    return found
