"""RobustDIRTrain, the Slicer module: adapt a network to one's own data, watch it learn, judge and publish it.

What it does lies in `RobustDIRLib.trainpanel`, which the module RobustDIR of the same extension brings; this file is
what Slicer asks of a scripted module. Importing it and opening the panel need nothing that Slicer does not come with.
"""

from __future__ import annotations

from typing import Annotated

import slicer
from slicer import vtkMRMLMarkupsFiducialNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

try:
    from slicer.i18n import tr as _
    from slicer.i18n import translate
    from slicer.parameterNodeWrapper import Decimals, WithinRange, parameterNodeWrapper
except ImportError:  # a Slicer that is too old, as the panel says; until then the names must be there

    def _as_it_is(*words):
        return words[-1]

    _ = translate = Decimals = WithinRange = parameterNodeWrapper = _as_it_is


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

    dataSource: str = "auto"
    dataPath: str
    dataPart: str
    dataPreset: str = "generic"
    patternFixed: str
    patternMoving: str
    patternFixedLabels: str
    patternMovingLabels: str
    patternFixedLandmarks: str
    patternMovingLandmarks: str
    pairing: str = "neighbours"
    pairFixedVolume: vtkMRMLScalarVolumeNode
    pairMovingVolume: vtkMRMLScalarVolumeNode
    pairFixedSegmentation: vtkMRMLSegmentationNode
    pairMovingSegmentation: vtkMRMLSegmentationNode
    pairFixedLandmarks: vtkMRMLMarkupsFiducialNode
    pairMovingLandmarks: vtkMRMLMarkupsFiducialNode
    scenePairs: str  # JSON: whose each pair is; its nodes are references, see trainpanel/scene_pairs.py
    dataName: str
    trainPercent: Annotated[int, WithinRange(1, 100)] = 70
    validationPercent: Annotated[int, WithinRange(0, 90)] = 10
    splitSeed: Annotated[int, WithinRange(0, 999999)] = 0
    assigned: str  # JSON: subjects of each part, where they were not drawn

    purpose: str = "finetune"  # these to `precision` as trainpanel/plan.py has them
    startModel: str = "generic"
    network: str = "pyramid"
    loss: str = "auto"
    lossWeight: Annotated[float, WithinRange(0.0, 1000.0)] = 1.0
    gradientWeight: Annotated[float, WithinRange(0.0, 1000.0)] = 0.1
    epochs: Annotated[int, WithinRange(1, 100000)] = 300
    pairsPerEpoch: Annotated[int, WithinRange(0, 100000)] = 0
    learningRate: Annotated[float, Decimals(7), WithinRange(0.0000001, 1.0)] = 0.0001
    stopWhenConverged: bool = True
    augmentIntensity: bool = False
    augmentFlip: bool = False
    augmentAffine: bool = False
    virtualPercent: Annotated[int, WithinRange(0, 100)] = 0
    deformationModel: str
    device: str = "auto"
    threads: Annotated[int, WithinRange(0, 1024)] = 0
    seed: Annotated[int, WithinRange(0, 999999)] = 0
    shapes: str = "varied"
    maps: Annotated[int, WithinRange(1, 10000)] = 100
    side: Annotated[int, WithinRange(16, 512)] = 64
    steps: Annotated[int, WithinRange(1, 10000000)] = 20000
    contrast: str = "mixed"
    strength: Annotated[float, WithinRange(0.0, 20.0)] = 2.2
    extraDice: Annotated[float, WithinRange(0.0, 1000.0)] = 0.0
    extraLocalNcc: Annotated[float, WithinRange(0.0, 1000.0)] = 0.0
    extraNmi: Annotated[float, WithinRange(0.0, 1000.0)] = 0.0
    extraMind: Annotated[float, WithinRange(0.0, 1000.0)] = 0.0
    extraLandmarks: Annotated[float, WithinRange(0.0, 1000.0)] = 0.0
    freeze: str
    warmup: Annotated[int, WithinRange(-1, 1000000)] = -1
    weightDecay: Annotated[float, Decimals(5), WithinRange(0.0, 1.0)] = 0.0
    clip: Annotated[float, WithinRange(0.0, 1000.0)] = 1.0
    batch: Annotated[int, WithinRange(1, 64)] = 1
    bothDirections: bool = True
    judge: str = "auto"
    drawPairs: str = "auto"
    alignment: str = "automatic"
    runPreset: str
    mostSubjects: Annotated[int, WithinRange(0, 100000)] = 0
    virtualLow: Annotated[float, WithinRange(0.0, 10.0)] = 1.2
    virtualHigh: Annotated[float, WithinRange(0.0, 10.0)] = 1.7
    precision: str = "auto"


class RobustDIRTrainWidget(ScriptedLoadableModuleWidget):
    """The panel."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
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
        self.panel.begin()

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
        if self.panel is not None:
            self.panel.close()

    def enter(self):
        """The user came to the module: packages may have been installed meanwhile."""
        if self.panel is not None:
            self.panel.enter()

    def exit(self):
        """The user went to another module; runs go on."""


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
        RobustDIRTrainLogic().getParameterNode().dataPath = "somewhere"
        self.assertEqual(RobustDIRTrainLogic().getParameterNode().dataPath, "somewhere")


def _too_old():
    """Why this 3D Slicer cannot be used, in one sentence; empty if it can."""
    from RobustDIRLib.panelparts.environment import too_old

    return too_old(int(slicer.app.majorVersion), int(slicer.app.minorVersion))
