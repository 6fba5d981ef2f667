"""RobustDIR, the Slicer module: register two volumes, see the deformation, check it.

What it does lies in `RobustDIRLib.panel`; this file is what Slicer asks of a scripted module. Importing it and opening
the panel need nothing that Slicer does not come with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import slicer
from slicer import (
    vtkMRMLGridTransformNode,
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
)
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

try:
    from slicer.i18n import tr as _
    from slicer.i18n import translate
    from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
except ImportError:  # a Slicer that is too old, as the panel says; until then the names must be there

    def _as_it_is(*words):
        return words[-1]

    _ = translate = WithinRange = parameterNodeWrapper = _as_it_is


_THUMBNAIL = Path(__file__).parent / "Resources" / "Icons" / "BrainPair.png"
_SECTIONS = (
    "inputsCollapsibleButton", "methodCollapsibleButton", "outputsCollapsibleButton", "runFrame",
    "lookCollapsibleButton", "checkCollapsibleButton", "applyCollapsibleButton",
)  # fmt: skip


class RobustDIR(ScriptedLoadableModule):
    """Name, place and description of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("RobustDIR")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        parent.dependencies = []
        parent.contributors = ["RobustDIR contributors"]
        parent.helpText = _(
            "Deformable registration of CT and MR volumes by a neural network, with transform and inverse, views of "
            "the deformation and figures to check it. Research software, not a medical device."
        )
        parent.acknowledgementText = _("Built on 3D Slicer, PyTorch, SimpleITK, SciPy, scikit-image and NiBabel.")
        slicer.app.connect("startupCompleted()", _offer_sample_data)


@parameterNodeWrapper
class RobustDIRParameterNode:
    """All that the panel remembers; saved with the scene, one node for each parameter set."""

    fixedVolume: vtkMRMLScalarVolumeNode
    movingVolume: vtkMRMLScalarVolumeNode
    fixedMask: vtkMRMLSegmentationNode
    movingMask: vtkMRMLSegmentationNode
    fixedMaskSegment: str
    movingMaskSegment: str
    blankOutside: bool = False
    fixedLandmarks: vtkMRMLMarkupsFiducialNode
    movingLandmarks: vtkMRMLMarkupsFiducialNode
    fixedSegmentation: vtkMRMLSegmentationNode
    movingSegmentation: vtkMRMLSegmentationNode

    model: str = "generic"
    preset: str = "generic"
    alignment: str = "automatic"
    quality: str = "balanced"
    device: str = "auto"

    makeTransform: bool = True
    makeWarped: bool = True
    makeInverse: bool = True
    makeJacobian: bool = True
    transformNode: vtkMRMLGridTransformNode
    warpedNode: vtkMRMLScalarVolumeNode
    inverseNode: vtkMRMLGridTransformNode
    jacobianNode: vtkMRMLScalarVolumeNode

    compare: str = "off"
    blend: Annotated[float, WithinRange(0, 100)] = 50.0
    deformation: str = "off"
    deformationSpacing: Annotated[float, WithinRange(2, 50)] = 10.0
    deformationInSlices: bool = True
    deformationIn3D: bool = False
    deformationColoured: bool = True
    linkSlices: bool = False

    record: str  # JSON: run.json of the run that made the outputs, what of it concerns the scene, and its origin
    structures: str  # JSON: rows of the last measurement of structures, and what they rest on
    chosenOutputs: str  # JSON: outputs whose node the user chose after the run
    ofFixedVolume: vtkMRMLScalarVolumeNode  # what that run was given, and what it filled; see panel/origins.py
    ofMovingVolume: vtkMRMLScalarVolumeNode
    ofFixedMask: vtkMRMLSegmentationNode
    ofMovingMask: vtkMRMLSegmentationNode
    madeTransform: vtkMRMLGridTransformNode
    madeWarped: vtkMRMLScalarVolumeNode
    madeInverse: vtkMRMLGridTransformNode
    madeJacobian: vtkMRMLScalarVolumeNode
    tolerances: str  # JSON: limits by name


class RobustDIRWidget(ScriptedLoadableModuleWidget):
    """The panel."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        self.logic = self.panel = self.ui = None

    def setup(self):
        """Build the panel from its .ui file and follow the scene."""
        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/RobustDIR.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        problem = _too_old()
        if problem:
            self._refuse(problem)
            return
        widget.setMRMLScene(slicer.mrmlScene)
        from RobustDIRLib.panel.panel import Panel

        self.logic = RobustDIRLogic()
        self.panel = Panel(self.ui, self.logic)
        self.panel.begin()

    def _refuse(self, problem):
        """Say why nothing can be done, and let nothing be clicked."""
        self.ui.environmentLabel.text = problem
        for name in _SECTIONS:
            getattr(self.ui, name).enabled = False
        for name in ("installButton", "wheelsButton", "checkAgainButton"):
            getattr(self.ui, name).setVisible(False)

    def cleanup(self):
        """End what runs."""
        if self.panel is not None:
            self.panel.close()

    def enter(self):
        """The user came to the module: packages may have been installed meanwhile."""
        if self.panel is not None:
            self.panel.enter()

    def exit(self):
        """The user went to another module; a registration goes on."""


class RobustDIRLogic(ScriptedLoadableModuleLogic):
    """Parameter sets, for the panel and for scripts."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self.isSingletonParameterNode = False

    def getParameterNode(self):
        """The parameters of the scene's first set, made if there is none."""
        nodes = self.getAllParameterNodes()
        return RobustDIRParameterNode(nodes[0] if nodes else self.addParameterNode())

    def addParameterNode(self):
        """A new, empty set of parameters in the scene."""
        return slicer.mrmlScene.AddNode(self.createParameterNode())

    def parametersOf(self, node):
        """The parameters of one set; those of the first for None."""
        return self.getParameterNode() if node is None else RobustDIRParameterNode(node)

    def register(self, parameters):
        """Register the volumes of a parameter set and wait until the results are in the scene, for scripts.

        Raises:
            RobustDIRLib.errors.InputError: If it cannot be done; nothing in the scene has changed then.
        """
        from RobustDIRLib.errors import InputError
        from RobustDIRLib.panel import scripted

        if _too_old():
            raise InputError(_too_old())

        scripted.register(parameters)


class RobustDIRTest(ScriptedLoadableModuleTest):
    """The module's own test: registers a small pair and reads what comes of it."""

    def setUp(self):
        """An empty scene: what lies in it must not matter, and its own parameters stay out of the tests."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Everything, each on an empty scene."""
        self.setUp()
        self.test_refusal()
        self.setUp()
        self.test_registration()

    def test_refusal(self):
        """Without volumes there is a sentence, and the scene stays as it was."""
        logic = RobustDIRLogic()
        parameters = logic.getParameterNode()
        before = slicer.mrmlScene.GetNumberOfNodes()
        with self.assertRaisesRegex(ValueError, "No volumes are selected"):
            logic.register(parameters)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)

    def test_registration(self):
        """A ball that is moved: the transform finds it, and its inverse leads back."""
        from RobustDIRLib.panelparts import environment

        state = environment.examine()
        if not state.ready:
            self.delayDisplay(f"Skipped: {state.sentence()}")
            return
        logic = RobustDIRLogic()
        parameters = logic.getParameterNode()
        parameters.fixedVolume, parameters.movingVolume = (_ball(shift) for shift in (0.0, 4.0))
        parameters.alignment = "centre"
        logic.register(parameters)
        point = np.zeros(3)
        parameters.transformNode.GetTransformFromParent().TransformPoint(np.zeros(3), point)
        self.assertLess(abs(point[0] - 4.0), 1.5)
        parameters.inverseNode.GetTransformFromParent().TransformPoint(point.copy(), point)
        self.assertLess(np.linalg.norm(point), 1.5)
        self.assertEqual(
            parameters.warpedNode.GetImageData().GetDimensions(),
            parameters.fixedVolume.GetImageData().GetDimensions(),
        )


def _offer_sample_data():
    """Let the module Sample Data offer our pair; modules that are loaded before it find it only now."""
    if not _too_old():
        from RobustDIRLib.panel import sample

        sample.offer(_THUMBNAIL)


def _too_old():
    """Why this 3D Slicer cannot be used, in one sentence; empty if it can."""
    from RobustDIRLib.panelparts.environment import too_old

    return too_old(int(slicer.app.majorVersion), int(slicer.app.minorVersion))


def _ball(shift):
    """A volume with an off-round ball, its centre `shift` mm to the right of the world's."""
    z, y, x = (np.indices((30, 32, 34), dtype=np.float32).T - [14.5, 15.5, 16.5]).T * 2
    distance = np.sqrt((z / 1.2) ** 2 + y**2 + ((x - shift) / 0.9) ** 2)
    ijk_to_ras = np.diag([2.0, 2.0, 2.0, 1.0])
    ijk_to_ras[:3, 3] = [-33, -31, -29]
    array = (1 / (1 + np.exp(distance - 16)) + 0.02 * x / 33).astype(np.float32)
    return slicer.util.addVolumeFromArray(array, ijkToRAS=ijk_to_ras, name=f"Ball at {shift:g} mm")
