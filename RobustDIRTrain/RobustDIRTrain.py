"""RobustDIRTrain, the Slicer module: adapt a network to one's own data, watch it learn, judge and publish it.

What it does lies in `RobustDIRLib.trainpanel`, which the module RobustDIR of the same extension brings; this file is
what Slicer asks of a scripted module. Importing it and opening the panel need nothing that Slicer does not come with.
"""

from __future__ import annotations

import slicer
import vtk
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

try:
    from slicer.i18n import tr as _
    from slicer.i18n import translate
    from slicer.parameterNodeWrapper import parameterNodeWrapper
except ImportError:  # a Slicer that is too old, as the panel says; until then the names must be there

    def _as_it_is(*words):
        return words[-1]

    _ = translate = parameterNodeWrapper = _as_it_is


_TABS = ("Data", "Train", "Runs", "Evaluate")  # each has a .ui file of its own


class RobustDIRTrain(ScriptedLoadableModule):
    """Name, place and description of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("RobustDIR Train")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        parent.dependencies = ["RobustDIR"]
        parent.contributors = ["RobustDIR contributors"]
        parent.helpText = _(
            "Adapts a registration network to your own data, or teaches one anew: choose a data set, train with live "
            "curves, stop and resume, compare models by landmarks and structures, publish one to the module RobustDIR. "
            "Research software, not a medical device."
        )
        parent.acknowledgementText = _("Built on 3D Slicer, PyTorch, SimpleITK, SciPy, scikit-image and NiBabel.")


@parameterNodeWrapper
class RobustDIRTrainParameterNode:
    """All that the panel remembers; saved with the scene. Runs are remembered by their folders instead."""

    data: str  # JSON: what the tab Data holds
    training: str  # JSON: what the tab Train holds


class RobustDIRTrainWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = self.panel = self.ui = None

    def setup(self):
        """Build the panel from its .ui files and follow the scene."""
        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/RobustDIRTrain.ui"))
        self.layout.addWidget(widget)
        self._fill_tabs(slicer.util.childWidgetVariables(widget))
        self.ui = slicer.util.childWidgetVariables(widget)
        problem = _too_old()
        if problem:
            self._refuse(problem)
            return
        widget.setMRMLScene(slicer.mrmlScene)
        from RobustDIRLib.trainpanel.panel import TrainPanel

        self.logic = RobustDIRTrainLogic()
        self.panel = TrainPanel(self.ui, self.logic)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndImport)
        self.addObserver(scene, scene.NodeRemovedEvent, self.onNodeRemoved)
        self.panel.use(None)

    def _fill_tabs(self, ui):
        """Load the .ui file of every tab into it."""
        for name in _TABS:
            tab = slicer.util.loadUI(self.resourcePath(f"UI/{name}Tab.ui"))
            getattr(ui, f"{name.lower()}Tab").layout().addWidget(tab)
            tab.setMRMLScene(slicer.mrmlScene)

    def _refuse(self, problem):
        """Say why nothing can be done, and let nothing be clicked."""
        self.ui.environmentLabel.text = problem
        for name in ("trainTabs", "runsFolderButton"):
            getattr(self.ui, name).enabled = False
        for name in ("installButton", "wheelsButton", "checkAgainButton"):
            getattr(self.ui, name).setVisible(False)

    def cleanup(self):
        """Let go; runs go on."""
        self.removeObservers()
        if self.panel is not None:
            self.panel.close()

    def enter(self):
        """The user came to the module: packages may have been installed meanwhile."""
        if self.panel is None:
            return
        if self.panel.parameters is None:
            self.panel.use(None)
        self.panel.environment.examine()

    def exit(self):
        """The user went to another module; runs go on."""

    def onSceneStartClose(self, caller, event):
        """Runs do not belong to the scene, and go on."""
        self.panel.scene_closes()

    def onSceneEndClose(self, caller, event):
        """Work with the parameters of the scene that is there now."""
        self.panel.use(None)

    def onSceneEndImport(self, caller, event):
        """Work with the parameters that were loaded."""
        self.panel.scene_imported()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeRemoved(self, caller, event, node):
        """A node has gone."""
        self.panel.node_removed(node)


class RobustDIRTrainLogic(ScriptedLoadableModuleLogic):
    """The parameters, for the panel and for scripts; what the module does is done by the command `robustdir`."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self.isSingletonParameterNode = False

    def getParameterNode(self):
        """The parameters of the scene's first set, made if there is none."""
        nodes = self.getAllParameterNodes()
        return RobustDIRTrainParameterNode(nodes[0] if nodes else self.addParameterNode())

    def addParameterNode(self):
        """A new, empty set of parameters in the scene."""
        return slicer.mrmlScene.AddNode(self.createParameterNode())

    def parametersOf(self, node):
        """The parameters of one set; those of the first for None."""
        return self.getParameterNode() if node is None else RobustDIRTrainParameterNode(node)


class RobustDIRTrainTest(ScriptedLoadableModuleTest):
    """The module's own test, on an empty scene."""

    def setUp(self):
        """What lies in the scene must not matter."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Everything, each on an empty scene."""
        self.setUp()
        self.test_parameters()

    def test_parameters(self):
        """What is chosen lies in the scene, and not in the panel."""
        RobustDIRTrainLogic().getParameterNode().data = "{}"
        self.assertEqual(RobustDIRTrainLogic().getParameterNode().data, "{}")


def _too_old():
    """Why this 3D Slicer cannot be used, in one sentence; empty if it can."""
    from RobustDIRLib.panelparts.environment import too_old

    return too_old(int(slicer.app.majorVersion), int(slicer.app.minorVersion))
