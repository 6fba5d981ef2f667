"""The transform applied to what else belongs to the two volumes: registered copies, and taking them back.

A grid transform node on a moving thing brings it onto the fixed volume: MRML resamples images by its FromParent
direction, fixed to moving, and moves points by ToParent, moving to fixed. What belongs to the fixed volume goes the
other way. Where both output nodes are there, each kind of data gets the one whose direction needs no numeric inverse:
images of the fixed volume the inverse transform, points and surfaces of it the transform itself.
"""

from __future__ import annotations

from typing import Any

import slicer
import vtk

from RobustDIRLib.errors import InputError

MOVING, FIXED = "moving", "fixed"
SIDES = {MOVING: "Moving volume (bring onto fixed)", FIXED: "Fixed volume (bring onto moving)"}
_COPY = "RobustDIR.AppliedTo"


class Applied:
    """Registered copies made so far, the last one last."""

    def __init__(self) -> None:
        self._made: list[list[str]] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is a copy to remove."""
        return any(slicer.mrmlScene.GetNodeByID(ids[0]) for ids in self._made)

    def apply(self, node: Any, side: str, *, transform: Any, inverse: Any, reference: Any) -> Any:
        """Make a registered copy of a node.

        Args:
            node: Volume, segmentation, model or markups, wherever its parent transforms put it.
            side: Which volume it belongs to, of `SIDES`.
            transform: Grid transform node of the moving volume, or None.
            inverse: Grid transform node of the fixed volume, or None.
            reference: Volume node whose voxels images are resampled to.
        Returns:
            The copy, in the world, with no parent transform.
        Raises:
            InputError: If there is nothing to apply, or it cannot be.
        """
        _refuse(node, transform, inverse, reference)
        parent = _combined(node, side, transform, inverse)
        try:
            copy = _resampled(node, parent, reference) if node.IsA("vtkMRMLVolumeNode") else _moved(node, parent)
        finally:
            slicer.mrmlScene.RemoveNode(parent)
        copy.SetName(slicer.mrmlScene.GenerateUniqueName(f"{node.GetName()} registered"))
        copy.SetAttribute(_COPY, node.GetName())
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


def _refuse(node: Any, transform: Any, inverse: Any, reference: Any) -> None:
    if node is None:
        raise InputError("Select a volume, segmentation, model or markups to apply the transform to.")
    if transform is None and inverse is None:
        raise InputError("There is no transform to apply: register first, with the transform ticked under Outputs.")
    if node.IsA("vtkMRMLVolumeNode"):
        if node.GetImageData() is None or not node.GetImageData().GetPointData().GetScalars():
            raise InputError(f"{node.GetName()} holds no voxels; load it again.")
        if reference is None or reference.GetImageData() is None:
            raise InputError("Select both volumes under Inputs: the result takes its voxels from one of them.")


def _combined(node: Any, side: str, transform: Any, inverse: Any) -> Any:
    """A passing transform node that takes the node's own coordinates through its parents and the registration."""
    imagelike = node.IsA("vtkMRMLVolumeNode") or node.IsA("vtkMRMLSegmentationNode")
    general = vtk.vtkGeneralTransform()
    general.PostMultiply()
    own = node.GetParentTransformNode()
    if own is not None:
        to_world = vtk.vtkGeneralTransform()
        own.GetTransformToWorld(to_world)
        general.Concatenate(to_world)
    general.Concatenate(_registration(side, imagelike, transform, inverse))
    passing = slicer.vtkMRMLTransformNode()
    passing.SetHideFromEditors(True)
    passing.SetName("RobustDIR passing")
    passing = slicer.mrmlScene.AddNode(passing)
    passing.SetAndObserveTransformToParent(general)
    return passing


def _registration(side: str, imagelike: bool, transform: Any, inverse: Any) -> Any:
    """ToParent of the registration: from the node's space to the other volume's."""
    if side == MOVING:
        return transform.GetTransformToParent() if transform is not None else inverse.GetTransformFromParent()
    use_inverse = transform is None or (imagelike and inverse is not None)
    return inverse.GetTransformToParent() if use_inverse else transform.GetTransformFromParent()


def _resampled(node: Any, parent: Any, reference: Any) -> Any:
    """A volume on the reference's voxels, in the world; the voxels of the original are shared, not copied."""
    stand_in = slicer.mrmlScene.AddNewNodeByClass(node.GetClassName(), node.GetName())
    try:
        stand_in.CopyOrientation(node)
        stand_in.SetAndObserveImageData(node.GetImageData())
        stand_in.SetAndObserveTransformNodeID(parent.GetID())
        copy = slicer.modules.volumes.logic().ResampleVolumeToReferenceVolume(stand_in, reference)
    finally:
        slicer.mrmlScene.RemoveNode(stand_in)
    if copy is None:
        raise InputError(f"{node.GetName()} cannot be resampled; see the application's log.")
    copy.SetAndObserveTransformNodeID(reference.GetTransformNodeID())
    _copy_display(node, copy)
    return copy


def _moved(node: Any, parent: Any) -> Any:
    """A segmentation, model or list of markups with its points moved."""
    copy = slicer.mrmlScene.AddNewNodeByClass(node.GetClassName(), node.GetName())
    copy.CopyContent(node)
    _copy_display(node, copy)
    copy.SetAndObserveTransformNodeID(parent.GetID())
    if not copy.HardenTransform():
        remove(copy)
        raise InputError(f"{node.GetName()} cannot be transformed; see the application's log.")
    copy.SetAndObserveTransformNodeID(None)
    return copy


def _copy_display(node: Any, copy: Any) -> None:
    copy.CreateDefaultDisplayNodes()
    display, own = node.GetDisplayNode(), copy.GetDisplayNode()
    if display is not None and own is not None and display.GetClassName() == own.GetClassName():
        own.CopyContent(display)
