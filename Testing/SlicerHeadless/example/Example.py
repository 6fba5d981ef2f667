"""A small scripted module that the bench's own tests open: choosers, a slider, a check box, a button and a table."""

from typing import Annotated

import numpy as np
import slicer
import vtk
from slicer import vtkMRMLGridTransformNode, vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class Example(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Example")
        parent.categories = ["Testing"]


@parameterNodeWrapper
class ExampleParameterNode:
    fixedVolume: vtkMRMLScalarVolumeNode
    movingVolume: vtkMRMLScalarVolumeNode
    outputTransform: vtkMRMLGridTransformNode
    showGrid: bool = True
    gridSpacing: Annotated[float, WithinRange(2, 40)] = 10.0


class ExampleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/Example.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = ExampleLogic()
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.parameters = self.logic.getParameterNode()
        self.guiTag = self.parameters.connectGui(self.ui)
        self.addObserver(self.parameters, vtk.vtkCommand.ModifiedEvent, self._update)
        self._update()

    def cleanup(self):
        self.removeObservers()
        self.parameters.disconnectGui(self.guiTag)

    def _update(self, *_):
        self.ui.applyButton.enabled = bool(self.parameters.fixedVolume and self.parameters.movingVolume)

    def onApply(self):
        with slicer.util.tryWithErrorDisplay(_("The example failed."), waitCursor=True):
            if self.parameters.fixedVolume is self.parameters.movingVolume:
                raise ValueError("both volumes are the same")
            table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "Means")
            volumes = (self.parameters.fixedVolume, self.parameters.movingVolume)
            means = [np.array([slicer.util.arrayFromVolume(v).mean()]) for v in volumes]
            slicer.util.updateTableFromArray(table, means, ["fixed", "moving"])
            self.ui.qaTableView.setMRMLTableNode(table)


class ExampleLogic(ScriptedLoadableModuleLogic):
    def getParameterNode(self):
        return ExampleParameterNode(super().getParameterNode())


class ExampleTest(ScriptedLoadableModuleTest):
    def runTest(self):
        slicer.mrmlScene.Clear(0)
        assert ExampleLogic().getParameterNode().gridSpacing == 10.0
