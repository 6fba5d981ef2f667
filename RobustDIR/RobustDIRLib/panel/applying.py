"""The transform applied to what else belongs to the two volumes: registered copies, and taking them back.

A grid transform node on a moving thing brings it onto the fixed volume: MRML resamples images by its FromParent
direction, fixed to moving, and moves points by ToParent, moving to fixed. What belongs to the fixed volume goes the
other way. Where both output nodes are there, each kind of data gets the one whose direction needs no numeric inverse:
images of the fixed volume the inverse transform, points and surfaces of it the transform itself.

Images are resampled by our own means, once, from their own voxels, through all transforms above them, onto the voxels
that the reference has in the world: Slicer's own resampling goes astray where the reference lies under a transform.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from RobustDIRLib import mrml
from RobustDIRLib.errors import InputError
from RobustDIRLib.mrml.geometry import chained, transform_from_world, transform_to_world
from RobustDIRLib.mrml.nodes import Node, PlacedNode, ShownNode, TransformNode, VolumeNode, is_volume
from RobustDIRLib.mrml.resampling import Resampler, boxes
from RobustDIRLib.mrml.volumes import image_of
from RobustDIRLib.mrml.vtk_objects import Transform
from RobustDIRLib.panelparts.words import _

MOVING, FIXED = "moving", "fixed"
SIDES = {MOVING: _("Moving volume (bring onto fixed)"), FIXED: _("Fixed volume (bring onto moving)")}
_COPY = "RobustDIR.AppliedTo"
_DOSE = "DicomRtImport.DoseVolume"
# Attributes that name the file or stored image that a node was read from.
_OF_FILES = ("DICOM.instanceUIDs", "DICOM.RTSTRUCT", "DICOM.Referenced")


@dataclass(frozen=True)
class RegistrationNodes:
    """What there is to apply of a registration; one of both transforms is enough.

    Attributes:
        transform: Grid transform node of the moving volume: brings it onto the fixed one.
        inverse: Grid transform node of the fixed volume.
        reference: Volume node whose voxels images are resampled to; images alone need it.
    """

    transform: TransformNode | None
    inverse: TransformNode | None
    reference: VolumeNode | None = None

    def check(self, node: Node) -> None:
        """Refuse what cannot be done to a node.

        Raises:
            InputError: Says what is missing.
        """
        if self.transform is None and self.inverse is None:
            raise InputError(
                _("There is no transform to apply: register first, with the transform ticked under Outputs.")
            )
        if is_volume(node):
            image = node.GetImageData()
            if image is None or not image.GetPointData().GetScalars():
                raise InputError(_("{node} holds no voxels; load it again.").format(node=node.GetName()))
            if self.reference is None or self.reference.GetImageData() is None:
                raise InputError(_("Select both volumes under Inputs: the result takes its voxels from one of them."))

    def from_world(self, node: PlacedNode, side: str) -> Transform:
        """VTK's transform from the world RAS of the result to the own RAS of an image, as resampling needs it."""
        own, other = (self.transform, self.inverse) if side == MOVING else (self.inverse, self.transform)
        registered = _from_parent(own) if own is not None else _to_parent(other)
        return chained(registered, transform_from_world(node))

    def to_world(self, node: PlacedNode, side: str) -> Transform:
        """VTK's transform that takes the own coordinates of what is no image through its parents and across."""
        own, other = (self.transform, self.inverse) if side == MOVING else (self.inverse, self.transform)
        imagelike = node.IsA("vtkMRMLSegmentationNode")
        take_own = other is None or (own is not None and (side == MOVING or imagelike))
        return chained(transform_to_world(node), _to_parent(own) if take_own else _from_parent(other))


def _from_parent(node: TransformNode | None) -> Transform:
    assert node is not None  # `RegistrationNodes.check`
    return node.GetTransformFromParent()


def _to_parent(node: TransformNode | None) -> Transform:
    assert node is not None
    return node.GetTransformToParent()


class Applied:
    """Registered copies made so far, the last one last."""

    def __init__(self) -> None:
        self._made: list[list[str]] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is a copy to remove."""
        return any(slicer.mrmlScene.GetNodeByID(ids[0]) for ids in self._made)

    def apply(self, node: ShownNode, side: str, registration: RegistrationNodes) -> ShownNode:
        """Make a registered copy of a node.

        Args:
            node: Volume, segmentation, model or markups, wherever its parent transforms put it.
            side: Which volume it belongs to, of `SIDES`.
            registration: What is applied.
        Returns:
            The copy, in the world, with no parent transform.
        Raises:
            InputError: If there is nothing to apply, or it cannot be.
        """
        steps = self.begin(node, side, registration)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                copy: ShownNode = end.value
                return copy

    def begin(
        self, node: ShownNode | None, side: str, registration: RegistrationNodes
    ) -> Generator[float, None, ShownNode]:
        """As `apply`, in steps of some hundredths of a second: gives how much is done, 0 to 1, and at last the copy.

        Nothing is in the scene before the last step.
        """
        if node is None:
            raise InputError(_("Select a volume, segmentation, model or markups to apply the transform to."))
        registration.check(node)
        copy: ShownNode
        if is_volume(node) and registration.reference is not None:
            copy = yield from _resampled(node, registration.from_world(node, side), registration.reference)
        else:
            copy = _moved(node, registration.to_world(node, side))
        copy.SetName(slicer.mrmlScene.GenerateUniqueName(_("{node} registered").format(node=node.GetName())))
        copy.SetAttribute(_COPY, node.GetName())
        _keep_place(node, copy)
        self._made.append([copy.GetID()])
        return copy

    def undo(self) -> str | None:
        """Remove the last copy that is still there; its name, or None."""
        while self._made:
            node = slicer.mrmlScene.GetNodeByID(self._made.pop()[0])
            if node is not None:
                name = str(node.GetName())
                remove(node)
                return name
        return None

    def forget(self) -> None:
        """For when the scene has been closed."""
        self._made.clear()


def remove(node: Any) -> None:
    """A node out of the scene, with its display and storage nodes, which would stay behind."""
    owned = [node.GetNthDisplayNode(k) for k in range(node.GetNumberOfDisplayNodes())]
    storage = node.GetStorageNode() if node.IsA("vtkMRMLStorableNode") else None
    for each in [node, *owned, storage]:
        if each is not None and slicer.mrmlScene.IsNodePresent(each):
            slicer.mrmlScene.RemoveNode(each)


def _resampled(node: VolumeNode, from_world: Transform, reference: VolumeNode) -> Generator[float, None, VolumeNode]:
    """A volume on the voxels that the reference has in the world."""
    grid, source = mrml.grid_of_volume(reference), image_of(node)
    labels = bool(node.IsA("vtkMRMLLabelMapVolumeNode"))
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    resampler = Resampler((source, matrix, from_world), grid, nearest=labels, outside=_outside(node))
    image = vtk.vtkImageData()
    image.SetDimensions(*grid.size)
    image.AllocateScalars(source.GetScalarType(), source.GetNumberOfScalarComponents())
    voxels = vtk_to_numpy(image.GetPointData().GetScalars())
    array = voxels.reshape(*grid.shape, *voxels.shape[1:])
    pieces = list(boxes(grid, resampler.step_voxels))
    for done, box in enumerate(pieces, start=1):
        array[box] = resampler.at(box)
        yield done / len(pieces)
    copy: VolumeNode = slicer.mrmlScene.AddNewNodeByClass(node.GetClassName(), node.GetName())
    with slicer.util.NodeModify(copy):
        _copy_meaning(node, copy)
        copy.SetIJKToRASMatrix(mrml.ijk_to_ras(grid))
        copy.SetAndObserveImageData(image)
    _copy_display(node, copy)
    return copy


def _outside(node: VolumeNode) -> float:
    """What lies beyond a volume: 0 for dose and labels, else its smallest value, as where volumes are registered."""
    if node.IsA("vtkMRMLLabelMapVolumeNode") or node.GetAttribute(_DOSE):
        return 0.0
    values = image_of(node).GetPointData().GetScalars()
    return 0.0 if values is None else min(float(values.GetRange(k)[0]) for k in range(values.GetNumberOfComponents()))


def _copy_meaning(node: VolumeNode, copy: VolumeNode) -> None:
    """What the voxels are: units, quantity, attributes; but not which stored image they were."""
    copy.SetDescription(node.GetDescription())
    for name in node.GetAttributeNames() or ():
        if not name.startswith(_OF_FILES) and not name.startswith("RobustDIR."):
            copy.SetAttribute(name, node.GetAttribute(name))
    if node.IsA("vtkMRMLScalarVolumeNode"):
        copy.SetVoxelValueQuantity(node.GetVoxelValueQuantity())
        copy.SetVoxelValueUnits(node.GetVoxelValueUnits())


def _keep_place(node: Node, copy: Node) -> None:
    """The copy under the node's own study, with the attributes that say what it is there."""
    hierarchy = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")
    if hierarchy is None:
        return
    item, new = (hierarchy.GetItemByDataNode(each) for each in (node, copy))
    if not item:
        return
    above = hierarchy.GetItemParent(item)
    new = new or hierarchy.CreateItem(above, copy)
    hierarchy.SetItemParent(new, above)
    for name in hierarchy.GetItemAttributeNames(item) or ():
        if not name.startswith(_OF_FILES):
            hierarchy.SetItemAttribute(new, name, hierarchy.GetItemAttribute(item, name))


def _moved(node: ShownNode, transform: Transform) -> ShownNode:
    """A segmentation, model or list of markups with its points moved."""
    passing = slicer.vtkMRMLTransformNode()
    passing.SetHideFromEditors(True)
    passing.SetName("RobustDIR passing")
    passing = slicer.mrmlScene.AddNode(passing)
    passing.SetAndObserveTransformToParent(transform)
    copy = slicer.mrmlScene.AddNewNodeByClass(node.GetClassName(), node.GetName())
    copy.CopyContent(node)
    _copy_display(node, copy)
    copy.SetAndObserveTransformNodeID(passing.GetID())
    hardened = copy.HardenTransform()
    copy.SetAndObserveTransformNodeID(None)
    slicer.mrmlScene.RemoveNode(passing)
    if not hardened:
        remove(copy)
        raise InputError(_("{node} cannot be transformed; see the application's log.").format(node=node.GetName()))
    moved: ShownNode = copy
    return moved


def _copy_display(node: ShownNode, copy: ShownNode) -> None:
    copy.CreateDefaultDisplayNodes()
    display, own = node.GetDisplayNode(), copy.GetDisplayNode()
    if display is not None and own is not None and display.GetClassName() == own.GetClassName():
        own.CopyContent(display)
