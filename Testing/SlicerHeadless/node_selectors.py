"""Stand-ins for Slicer's node selectors, on the real scene.

As in Slicer, a selector is a QWidget that has a combo box; it shows nothing until it is given the scene, which is what
a forgotten connection in a .ui file looks like.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import shiboken6
import slicer
import vtk
from PySide6 import QtCore
from PySide6.QtCore import Signal

from SlicerHeadless.widget_parts import qt, row_layout, stored_property


class Observer:
    """Calls a widget's method on events of a VTK object while the widget lives, without keeping it alive.

    Args:
        method: Called with the node of a scene's event that has one, else with None.
    """

    def __init__(self, method: Callable[[Any], None]) -> None:
        self._method = weakref.WeakMethod(method)
        self._tags: list[tuple[Any, int]] = []

    def observe(self, observed: Any, events: tuple[Any, ...]) -> None:
        """Listens to these events of an object and to nothing else; to nothing at all if it is None."""
        self.stop()
        if observed is not None:
            self._tags = [
                (observed, observed.AddObserver(event, self._called_of_node if event in _OF_NODES else self._called))
                for event in events
            ]

    def stop(self) -> None:
        """Listens no more."""
        for observed, tag in self._tags:
            observed.RemoveObserver(tag)
        self._tags = []

    def _called(self, *_: Any) -> None:
        self._call(None)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _called_of_node(self, _caller: Any, _event: Any, node: Any) -> None:
        self._call(node)

    def _call(self, node: Any) -> None:
        method = self._method()
        if method is not None and shiboken6.isValid(method.__self__):
            method(node)
        else:
            self.stop()


_OF_NODES = (slicer.vtkMRMLScene.NodeAddedEvent, slicer.vtkMRMLScene.NodeRemovedEvent)


def _scene_events() -> tuple[Any, ...]:
    names = ("EndCloseEvent", "EndImportEvent", "EndBatchProcessEvent")
    return (*_OF_NODES, *(getattr(slicer.vtkMRMLScene, name) for name in names))


class qMRMLNodeComboBox(qt.QWidget):
    """Chooses a node of some classes; may offer none and to make new ones."""

    currentNodeChanged = Signal((object,), (bool,))
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAdded = Signal(object)
    nodeAddedByUser = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._box = qt.QComboBox()
        # As narrow as it may get: long names of nodes are cut off, they do not widen the panel.
        self._box.sizeAdjustPolicy = qt.QComboBox.AdjustToMinimumContentsLengthWithIcon
        self._box.minimumContentsLength = 8
        row_layout(self, self._box)
        self._scene, self._current, self._had_nodes = None, None, False
        self._entries: list[Any] = []  # node IDs, None, or ("new", class) by row
        self._attributes: list[tuple[str, str, str | None]] = []
        self._observer = Observer(self._follow)
        self._box.activated.connect(self._activate)

    def _rebuild_if_filled(self) -> None:
        if self._scene is not None:
            self._rebuild()

    nodeTypes = stored_property("QStringList", "nodeTypes", [], _rebuild_if_filled)
    hideChildNodeTypes = stored_property("QStringList", "hideChildNodeTypes", [], _rebuild_if_filled)
    showChildNodeTypes = stored_property(bool, "showChildNodeTypes", True, _rebuild_if_filled)
    showHidden = stored_property(bool, "showHidden", False, _rebuild_if_filled)
    noneEnabled = stored_property(bool, "noneEnabled", False, _rebuild_if_filled)
    noneDisplay = stored_property(str, "noneDisplay", "None", _rebuild_if_filled)
    addEnabled = stored_property(bool, "addEnabled", True, _rebuild_if_filled)
    removeEnabled = stored_property(bool, "removeEnabled", True)
    renameEnabled = stored_property(bool, "renameEnabled", False)
    editEnabled = stored_property(bool, "editEnabled", False)
    selectNodeUponCreation = stored_property(bool, "selectNodeUponCreation", True)
    baseName = stored_property(str, "baseName", "")
    currentNodeID = QtCore.Property(str, lambda s: s._current or "", lambda s, v: s._select(v or None))

    def addAttribute(self, node_class: str, name: str, value: Any = None) -> None:
        """Offers only nodes of the class that have the attribute (of that value, if one is given)."""
        self._attributes.append((node_class, name, value))
        self._rebuild_if_filled()

    def removeAttribute(self, node_class: str, name: str) -> None:
        self._attributes = [a for a in self._attributes if a[:2] != (node_class, name)]
        self._rebuild_if_filled()

    def setNodeTypeLabel(self, _label: str, _node_class: str) -> None: ...

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        self._scene, self._had_nodes = scene, False
        self._observer.observe(scene, _scene_events())
        self._rebuild()

    def currentNode(self) -> Any:
        return self._scene.GetNodeByID(self._current) if self._scene is not None and self._current else None

    def setCurrentNode(self, node: Any) -> None:
        self._select(node.GetID() if node is not None else None)

    def setCurrentNodeID(self, node_id: str) -> None:
        self._select(node_id or None)

    def nodeCount(self) -> int:
        return len(self._nodes())

    def nodeFromIndex(self, index: int) -> Any:
        return self._nodes()[index]

    def addNode(self, node_class: str | None = None) -> Any:
        """What the entry "Create new ..." does."""
        node_class = node_class or self.nodeTypes[0]
        name = self.baseName or node_class.replace("vtkMRML", "").replace("Node", "")
        node = self._scene.AddNewNodeByClass(node_class, self._scene.GenerateUniqueName(name))
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAdded.emit(node)
        self.nodeAddedByUser.emit(node)
        return node

    def _accepts(self, node: Any) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        if any(node.IsA(hidden) for hidden in self.hideChildNodeTypes or []):
            return False
        exact = not self.showChildNodeTypes
        if not any(node.GetClassName() == kind if exact else node.IsA(kind) for kind in self.nodeTypes or []):
            return False
        return all(
            not node.IsA(kind) or (node.GetAttribute(name) is not None and value in (None, node.GetAttribute(name)))
            for kind, name, value in self._attributes
        )

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        kinds = self.nodeTypes or []
        if len(kinds) == 1:  # as most have: found by the scene, which is quick
            nodes = slicer.util.getNodesByClass(kinds[0], self._scene)
        else:
            nodes = [self._scene.GetNthNode(k) for k in range(self._scene.GetNumberOfNodes())]
        return [node for node in nodes if self._accepts(node)]

    def _follow(self, node: Any) -> None:
        """What the scene says; as in Slicer, a node that is not offered costs next to nothing."""
        if node is None or self._accepts(node) or node.GetID() in self._entries:
            self._rebuild()

    def _rebuild(self) -> None:
        nodes = self._nodes()
        rows: list[tuple[str, Any]] = [(node.GetName() or "", node.GetID()) for node in nodes]
        if self.noneEnabled:
            rows.insert(0, (self.noneDisplay, None))
        if self.addEnabled:
            rows += [(f"Create new {_label(kind)}", ("new", kind)) for kind in self.nodeTypes or []]
        self._box.blockSignals(True)
        self._box.clear()
        self._box.addItems([text for text, _ in rows])
        self._box.blockSignals(False)
        self._entries = [entry for _, entry in rows]
        self._keep_or_choose(nodes)

    def _keep_or_choose(self, nodes: list[Any]) -> None:
        """Keeps the current node; where there was none to choose from before and none is no choice, takes the first."""
        current = self._current if self._current in self._entries else None
        if current is None and nodes and not self.noneEnabled and not self._had_nodes:
            current = nodes[0].GetID()
        self._had_nodes = bool(nodes)
        self._select(current)

    def _select(self, node_id: str | None) -> None:
        if node_id is not None and node_id not in self._entries:
            node_id = None  # not of the right class, or in no scene this selector knows
        self._box.blockSignals(True)
        self._box.setCurrentIndex(self._entries.index(node_id) if node_id in self._entries else -1)
        self._box.blockSignals(False)
        if node_id == self._current:
            return
        self._current = node_id
        node = self.currentNode()
        self.currentNodeChanged[object].emit(node)
        self.currentNodeChanged[bool].emit(node is not None)
        self.currentNodeIDChanged.emit(node_id or "")

    def _activate(self, row: int) -> None:
        entry = self._entries[row]
        if isinstance(entry, tuple):
            self.addNode(entry[1])
        else:
            self._select(entry)
            self.nodeActivated.emit(self.currentNode())


def _label(node_class: str) -> str:
    return node_class.replace("vtkMRML", "").replace("Node", "")


class qMRMLCheckableNodeComboBox(qMRMLNodeComboBox):
    """A node selector whose nodes are checked each."""

    checkedNodesChanged = Signal()

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._checked: list[str] = []

    def checkedNodes(self) -> list[Any]:
        return [node for node in self._nodes() if node.GetID() in self._checked]

    def uncheckedNodes(self) -> list[Any]:
        return [node for node in self._nodes() if node.GetID() not in self._checked]

    def checkState(self, node: Any) -> Any:
        checked = node.GetID() in self._checked
        return QtCore.Qt.CheckState.Checked if checked else QtCore.Qt.CheckState.Unchecked

    def setCheckState(self, node: Any, state: Any) -> None:
        checked, before = QtCore.Qt.CheckState(state) == QtCore.Qt.CheckState.Checked, list(self._checked)
        self._checked = [i for i in before if i != node.GetID()] + [node.GetID()] * checked
        if sorted(before) != sorted(self._checked):
            self._show_checked()
            self.checkedNodesChanged.emit()

    def _keep_or_choose(self, nodes: list[Any]) -> None:
        kept = [node.GetID() for node in nodes if node.GetID() in self._checked]
        changed, self._checked = kept != self._checked, kept
        self._show_checked()
        if changed:
            self.checkedNodesChanged.emit()

    def _show_checked(self) -> None:
        names = [node.GetName() for node in self.checkedNodes()]
        self._box.setPlaceholderText(", ".join(names) or self.noneDisplay)
        self._box.setCurrentIndex(-1)
