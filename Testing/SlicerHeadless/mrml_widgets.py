"""Stand-ins for the qMRML and qSlicer widgets that panels use beside the node selectors, on the real scene."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6.QtCore import Signal

from SlicerHeadless.ctk_numbers import ctkDoubleSpinBox, ctkRangeWidget, ctkSliderWidget
from SlicerHeadless.node_selectors import Observer, qMRMLCheckableNodeComboBox, qMRMLNodeComboBox
from SlicerHeadless.widget_parts import qt, row_layout, stored_property

__all__ = ["WIDGETS", "install", "qMRMLCheckableNodeComboBox", "qMRMLNodeComboBox"]


class qMRMLWidget(qt.QWidget):
    """A widget that is given the scene and passes it on by its signal."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)


class qSlicerWidget(qMRMLWidget):
    """As qMRMLWidget."""


class qMRMLSegmentSelectorWidget(qMRMLWidget):
    """Chooses a segmentation (or label map) and a segment of it."""

    currentNodeChanged = Signal((object,), (bool,))
    currentSegmentChanged = Signal(str)
    segmentSelectionChanged = Signal("QStringList")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._nodes, self._segments = qMRMLNodeComboBox(), qt.QComboBox()
        self._nodes.nodeTypes, self._nodes.noneEnabled = ["vtkMRMLSegmentationNode"], True
        self._nodes.addEnabled = False
        row_layout(self, self._nodes, self._segments)
        self._ids: list[str] = []
        self._observer = Observer(self._refill)
        self._nodes.currentNodeChanged.connect(self._node_changed)
        self._segments.currentIndexChanged.connect(lambda _row: self._segment_changed())

    def _refill_with_none(self) -> None:
        self._refill()

    noneEnabled = stored_property(bool, "noneEnabled", False, _refill_with_none)
    multiSelection = stored_property(bool, "multiSelection", False)
    editEnabled = stored_property(bool, "editEnabled", False)
    horizontalLayout = stored_property(bool, "horizontalLayout", True)
    selectNodeUponCreation = stored_property(bool, "selectNodeUponCreation", True)
    segmentationNodeSelectorVisible = stored_property(bool, "segmentationNodeSelectorVisible", True)

    def setMRMLScene(self, scene: Any) -> None:
        super().setMRMLScene(scene)
        self._nodes.setMRMLScene(scene)

    def currentNode(self) -> Any:
        return self._nodes.currentNode()

    def currentNodeID(self) -> str:
        return self._nodes.currentNodeID

    def setCurrentNode(self, node: Any) -> None:
        self._nodes.setCurrentNode(node)

    def setCurrentNodeID(self, node_id: str) -> None:
        self._nodes.setCurrentNodeID(node_id)

    def segmentationNodeComboBox(self) -> Any:
        return self._nodes

    def currentSegmentID(self) -> str:
        row = self._segments.currentIndex
        return self._ids[row] if 0 <= row < len(self._ids) else ""

    def setCurrentSegmentID(self, segment_id: str) -> None:
        self._segments.setCurrentIndex(self._ids.index(segment_id) if segment_id in self._ids else -1)

    def segmentIDs(self) -> list[str]:
        return [i for i in self._ids if i]

    def _node_changed(self, node: Any = None) -> None:
        self._observer.observe(node, (vtk.vtkCommand.AnyEvent,))
        self._refill()
        self.currentNodeChanged[object].emit(node)
        self.currentNodeChanged[bool].emit(node is not None)

    def _refill(self, _node: Any = None) -> None:
        node = self._nodes.currentNode()
        segmentation = node.GetSegmentation() if node is not None else None
        ids = [] if segmentation is None else list(segmentation.GetSegmentIDs())
        names = [segmentation.GetSegment(i).GetName() for i in ids]
        if self.noneEnabled:
            ids, names = ["", *ids], ["None", *names]
        if ids == self._ids and names == [self._segments.itemText(k) for k in range(self._segments.count)]:
            return
        chosen = self.currentSegmentID()
        self._segments.blockSignals(True)
        self._segments.clear()
        self._segments.addItems(names)
        self._ids = ids
        self._segments.setCurrentIndex(ids.index(chosen) if chosen in ids else (0 if ids else -1))
        self._segments.blockSignals(False)
        if self.currentSegmentID() != chosen:
            self._segment_changed()

    def _segment_changed(self) -> None:
        self.currentSegmentChanged.emit(self.currentSegmentID())
        self.segmentSelectionChanged.emit([self.currentSegmentID()] if self.currentSegmentID() else [])


class qMRMLTableView(qt.QTableWidget):
    """Shows a table node. (The original is a QTableView with a model of its own.)"""

    mrmlSceneChanged = Signal(object)
    selectionChanged_ = Signal()

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._node, self._observer = None, Observer(self._fill)

    firstRowLocked = stored_property(bool, "firstRowLocked", False)
    firstColumnLocked = stored_property(bool, "firstColumnLocked", False)
    transposed = stored_property(bool, "transposed", False)

    def setMRMLScene(self, scene: Any) -> None:
        self.mrmlSceneChanged.emit(scene)

    def mrmlTableNode(self) -> Any:
        return self._node

    def setMRMLTableNode(self, node: Any) -> None:
        self._node = node
        self._observer.observe(node, (vtk.vtkCommand.ModifiedEvent,))
        self._fill()

    def _fill(self, _node: Any = None) -> None:
        table = self._node.GetTable() if self._node is not None else vtk.vtkTable()
        rows, columns = table.GetNumberOfRows(), table.GetNumberOfColumns()
        self.setRowCount(rows)
        self.setColumnCount(columns)
        self.setHorizontalHeaderLabels([table.GetColumnName(c) or "" for c in range(columns)])
        for row in range(rows):
            for column in range(columns):
                self.setItem(row, column, qt.QTableWidgetItem(table.GetValue(row, column).ToString()))


class qMRMLPlotView(qt.QWidget):
    """Shows a plot; here it only remembers which."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._view_node = None

    def setMRMLScene(self, scene: Any) -> None:
        self.mrmlSceneChanged.emit(scene)

    def setMRMLPlotViewNode(self, node: Any) -> None:
        self._view_node = node

    def mrmlPlotViewNode(self) -> Any:
        return self._view_node


class qSlicerSimpleMarkupsWidget(qMRMLWidget):
    """Chooses and edits a list of points; here only chooses."""

    markupsNodeChanged = Signal()
    currentMarkupsControlPointSelectionChanged = Signal(int)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._nodes = qMRMLNodeComboBox()
        self._nodes.nodeTypes = ["vtkMRMLMarkupsFiducialNode"]
        row_layout(self, self._nodes)
        self._nodes.currentNodeChanged.connect(lambda *_: self.markupsNodeChanged.emit())

    nodeSelectorVisible = stored_property(bool, "nodeSelectorVisible", True)
    optionsVisible = stored_property(bool, "optionsVisible", True)
    jumpToSliceEnabled = stored_property(bool, "jumpToSliceEnabled", False)

    def setMRMLScene(self, scene: Any) -> None:
        super().setMRMLScene(scene)
        self._nodes.setMRMLScene(scene)

    def markupsSelectorComboBox(self) -> Any:
        return self._nodes

    def currentNode(self) -> Any:
        return self._nodes.currentNode()

    def setCurrentNode(self, node: Any) -> None:
        self._nodes.setCurrentNode(node)


class qMRMLSliderWidget(ctkSliderWidget):
    """A slider that knows the scene's units; here it knows none."""

    quantity = stored_property(str, "quantity", "")

    def setMRMLScene(self, _scene: Any) -> None: ...


class qMRMLSpinBox(ctkDoubleSpinBox):
    """A box for a number that knows the scene's units; here it knows none."""

    quantity = stored_property(str, "quantity", "")

    def setMRMLScene(self, _scene: Any) -> None: ...


class qMRMLRangeWidget(ctkRangeWidget):
    """A range that knows the scene's units; here it knows none."""

    quantity = stored_property(str, "quantity", "")

    def setMRMLScene(self, _scene: Any) -> None: ...


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """What holds the panel of a scripted module; `self()` gives the Python object, as in Slicer."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._python = None

    def self(self) -> Any:
        return self._python


WIDGETS = {name: c for name, c in list(globals().items()) if name.startswith(("qMRML", "qSlicer"))}


def install() -> None:
    """Makes the widgets known as `slicer.qMRMLNodeComboBox` and so on."""
    for name, widget in WIDGETS.items():
        setattr(slicer, name, widget)
