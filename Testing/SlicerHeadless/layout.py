"""`slicer.app.layoutManager()`: the view nodes of the real layout logic, with views that render when they are asked to.

Without rendering, slices can still be moved, layers set and layouts changed: all of that is MRML.
"""

from __future__ import annotations

from typing import Any

import slicer
import vtk


class Controller:
    """The bar on top of a view."""

    def __init__(self) -> None:
        self.visible = True

    def setVisible(self, visible: bool) -> None:
        self.visible = visible

    def fitSliceToBackground(self) -> None: ...

    def setSliceVisible(self, visible: bool) -> None: ...


class View:
    """A view of a node; `offscreen` is made at the first use, so that only tests that render need OpenGL."""

    def __init__(self, node: Any, make: Any) -> None:
        self._node, self._make, self._offscreen = node, make, None

    @property
    def offscreen(self) -> Any:
        if self._offscreen is None:
            self._offscreen = self._make()
        return self._offscreen

    def mrmlSliceNode(self) -> Any:
        return self._node

    mrmlViewNode = mrmlSliceNode

    def renderWindow(self) -> Any:
        return self.offscreen.window

    def interactor(self) -> Any:
        return self.offscreen.interactor

    def forceRender(self) -> None:
        """Draws at once, if the view has ever been drawn (else there is nobody to see it)."""
        if self._offscreen is not None:
            self._offscreen.render()

    scheduleRender = repaint = forceRender

    def resetFocalPoint(self) -> None: ...

    def rotateToViewAxis(self, _axis: int) -> None: ...


class SliceWidget:
    """`layoutManager().sliceWidget("Red")`."""

    def __init__(self, node: Any, application_logic: Any, scene: Any) -> None:
        from SlicerHeadless.views import OffscreenSliceView

        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(application_logic)
        application_logic.GetSliceLogics().AddItem(self._logic)
        self._logic.SetMRMLScene(scene)
        self._logic.SetSliceNode(node)
        self._logic.ResizeSliceNode(500, 500)
        self._view = View(node, lambda: OffscreenSliceView(self._logic))
        self._controller = Controller()

    def sliceLogic(self) -> Any:
        return self._logic

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> Any:
        return self._logic.GetSliceCompositeNode()

    def sliceView(self) -> View:
        return self._view

    def sliceController(self) -> Controller:
        return self._controller

    def fitSliceToBackground(self) -> None:
        self._logic.FitSliceToBackground()


class ThreeDWidget:
    """`layoutManager().threeDWidget(0)`."""

    def __init__(self, node: Any, application_logic: Any, scene: Any) -> None:
        from SlicerHeadless.views import OffscreenThreeDView

        self._logic = slicer.vtkMRMLViewLogic()
        self._logic.SetMRMLApplicationLogic(application_logic)
        application_logic.GetViewLogics().AddItem(self._logic)
        self._logic.SetMRMLScene(scene)
        self._logic.AddViewNode(node.GetLayoutName())  # a singleton: gives the node that is there
        self._node, self._view = node, View(node, lambda: OffscreenThreeDView(node))
        self._controller = Controller()

    def viewLogic(self) -> Any:
        return self._logic

    def mrmlViewNode(self) -> Any:
        return self._node

    def threeDView(self) -> View:
        return self._view

    def threeDController(self) -> Controller:
        return self._controller


class DataWidget:
    """`layoutManager().tableWidget(0)` and `plotWidget(0)`: the node that says what is shown, without a picture."""

    def __init__(self, node: Any, _application_logic: Any = None, _scene: Any = None) -> None:
        self._node, self._view, self._controller = node, View(node, lambda: None), Controller()

    def mrmlTableViewNode(self) -> Any:
        return self._node

    mrmlPlotViewNode = mrmlTableViewNode

    def tableView(self) -> View:
        return self._view

    plotView = tableView

    def tableController(self) -> Controller:
        return self._controller

    plotController = tableController


class LayoutManager:
    """`slicer.app.layoutManager()`; which views there are follows the real layout node."""

    def __init__(self, scene: Any, application_logic: Any) -> None:
        self._scene, self._application_logic = scene, application_logic
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._logic.SetMRMLScene(scene)
        self._widgets: dict[str, Any] = {}
        self._logic.GetLayoutNode().AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._make_widgets())
        self.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)

    def layoutLogic(self) -> Any:
        return self._logic

    def setLayout(self, layout: int) -> None:
        self._logic.GetLayoutNode().SetViewArrangement(layout)

    @property
    def layout(self) -> int:
        """Number of the layout, one of `vtkMRMLLayoutNode.SlicerLayout...`."""
        return self._logic.GetLayoutNode().GetViewArrangement()

    @layout.setter
    def layout(self, layout: int) -> None:
        self.setLayout(layout)

    def sliceViewNames(self) -> list[str]:
        return [node.GetLayoutName() for node in self._nodes("vtkMRMLSliceNode")]

    def sliceWidget(self, name: str) -> SliceWidget | None:
        for node in self._nodes("vtkMRMLSliceNode"):
            if node.GetLayoutName() == name:
                return self._widget(node)
        return None

    def mrmlSliceLogics(self) -> Any:
        """A collection with the logic of every slice view in the layout."""
        logics = vtk.vtkCollection()
        for name in self.sliceViewNames():
            logics.AddItem(self.sliceWidget(name).sliceLogic())
        return logics

    @property
    def threeDViewCount(self) -> int:
        return len(self._nodes("vtkMRMLViewNode"))

    def threeDWidget(self, index: int) -> ThreeDWidget | None:
        nodes = self._nodes("vtkMRMLViewNode")
        return self._widget(nodes[index]) if index < len(nodes) else None

    @property
    def tableViewCount(self) -> int:
        return len(self._nodes("vtkMRMLTableViewNode"))

    def tableWidget(self, index: int) -> DataWidget | None:
        return self._data_widget("vtkMRMLTableViewNode", index)

    @property
    def plotViewCount(self) -> int:
        return len(self._nodes("vtkMRMLPlotViewNode"))

    def plotWidget(self, index: int) -> DataWidget | None:
        return self._data_widget("vtkMRMLPlotViewNode", index)

    def resetSliceViews(self) -> None:
        for name in self.sliceViewNames():
            self.sliceWidget(name).fitSliceToBackground()

    def resetThreeDViews(self) -> None: ...

    def setRenderPaused(self, _paused: bool) -> None: ...

    def pauseRender(self) -> None: ...

    def resumeRender(self) -> None: ...

    def _nodes(self, node_class: str) -> list[Any]:
        shown = self._logic.GetViewNodes()
        nodes = [shown.GetItemAsObject(k) for k in range(shown.GetNumberOfItems())]
        return [node for node in nodes if node.IsA(node_class)]

    def _make_widgets(self) -> None:
        """Makes the widgets of the views in the layout, as the application does: slices need their layers at once."""
        shown = self._logic.GetViewNodes()
        for k in range(shown.GetNumberOfItems()):
            self._widget(shown.GetItemAsObject(k))

    def _widget(self, node: Any) -> Any:
        if node.GetID() not in self._widgets:
            kinds = {"vtkMRMLSliceNode": SliceWidget, "vtkMRMLViewNode": ThreeDWidget}
            kind = kinds.get(node.GetClassName(), DataWidget)
            self._widgets[node.GetID()] = kind(node, self._application_logic, self._scene)
        return self._widgets[node.GetID()]

    def _data_widget(self, node_class: str, index: int) -> DataWidget | None:
        nodes = self._nodes(node_class)
        return self._widget(nodes[index]) if index < len(nodes) else None
