"""Segmentations as label maps on any grid, and back. Label map volumes are volumes: `volume_from_node` reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import numpy_to_vtk

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.mrml.geometry import ijk_to_ras, transform_from_world
from RobustDIRLib.mrml.volumes import Volume, resampled

_BINARY = "Binary labelmap"


def segments_of(node: Any) -> dict[str, str]:
    """Names of a segmentation's segments by their IDs, in order.

    Raises:
        InputError: If the node is None or has no segments.
    """
    if node is None:
        raise InputError("There is no segmentation; select one.")
    segmentation = node.GetSegmentation()
    ids = list(segmentation.GetSegmentIDs()) if segmentation is not None else []
    if not ids:
        raise InputError(f"{node.GetName()} has no segments; add some or select another segmentation.")
    return {each: str(segmentation.GetSegment(each).GetName()) for each in ids}


def labels_from_segmentation(node: Any, grid: Grid, segments: Sequence[str] | None = None) -> Volume:
    """Segments as a label map on a grid, with all parent transforms of the segmentation.

    Args:
        node: Segmentation of any geometry, drawn as voxels or loaded as surfaces; it is not changed.
        grid: Where the labels lie, world, mm, LPS.
        segments: IDs of the segments to take; all if not given.
    Returns:
        Label n is the n-th of them, from 1; where segments overlap, the later one. uint8, or uint16 over 255 segments.
        A voxel takes what lies at its centre.
    Raises:
        InputError: If there is no such segment, or one cannot be turned into voxels.
    """
    names = segments_of(node)
    wanted = list(names) if segments is None else list(segments)
    unknown = [each for each in wanted if each not in names]
    if unknown:
        raise InputError(f"{node.GetName()} has no segment {unknown[0]}; select one that is there.")
    segmentation, layers = _with_voxels(node, grid), _Layers(grid, transform_from_world(node))
    labels = np.zeros(grid.shape, dtype=np.uint8 if len(wanted) < 256 else np.uint16)
    for number, each in enumerate(wanted, start=1):
        labels[layers.inside(segmentation.GetSegment(each))] = number
    return Volume(labels, grid)


def segmentation_from_labels(volume: Volume, names: Mapping[int, str], name: str, *, node: Any = None) -> Any:
    """Put a label map into a segmentation in the world, a segment a label.

    Args:
        volume: Whole numbers, 0 outside.
        names: Of the labels; one that is missing is called by its number.
        name: Of a new node; made unique in the scene.
        node: Segmentation to fill instead of a new one; its segments are replaced.
    Returns:
        The node, with a display node.
    """
    if node is None:
        unique = slicer.mrmlScene.GenerateUniqueName(name)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", unique)
        node.CreateDefaultDisplayNodes()
    node.SetAndObserveTransformNodeID(None)
    node.GetSegmentation().RemoveAllSegments()
    for label in (int(n) for n in np.unique(volume.array) if n != 0):
        voxels = _oriented_image((volume.array == label).astype(np.uint8), volume.grid)
        node.AddSegmentFromBinaryLabelmapRepresentation(voxels, names.get(label, str(label)))
    return node


def _with_voxels(node: Any, grid: Grid) -> Any:
    """The node's segmentation if it has voxels, or else a copy of it that has, as fine as the grid."""
    segmentation = node.GetSegmentation()
    if segmentation.ContainsRepresentation(_BINARY):
        return segmentation
    copy = slicer.vtkSegmentation()
    copy.DeepCopy(segmentation)
    reference = slicer.vtkSegmentationConverter.SerializeImageGeometry(ijk_to_ras(grid), _empty_image(grid))
    copy.SetConversionParameter(slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName(), reference)
    if not copy.CreateRepresentation(_BINARY):
        raise InputError(f"{node.GetName()} cannot be turned into voxels; export it as a binary label map.")
    return copy


class _Layers:
    """The images of segments on a grid, each resampled once: segments that do not overlap share an image.

    Args:
        grid: Where they are resampled to.
        from_world: VTK's transform from world RAS to that of the segments.
    """

    def __init__(self, grid: Grid, from_world: Any) -> None:
        self._grid, self._from_world = grid, from_world
        self._last: tuple[Any, NDArray[Any]] | None = None

    def inside(self, segment: Any) -> NDArray[np.bool_]:
        """Voxels of the grid whose centre lies in a segment."""
        image = segment.GetRepresentation(_BINARY)
        if image is None or image.GetPointData().GetScalars() is None or min(image.GetDimensions()) < 1:
            return np.zeros(self._grid.shape, dtype=bool)  # nothing drawn yet
        if self._last is None or self._last[0] is not image:
            matrix = vtk.vtkMatrix4x4()
            image.GetImageToWorldMatrix(matrix)
            placed = (image, matrix, self._from_world)
            self._last = (image, resampled(placed, self._grid, nearest=True, outside=0.0))
        return np.asarray(self._last[1] == segment.GetLabelValue())


def _empty_image(grid: Grid) -> Any:
    image = vtk.vtkImageData()
    image.SetDimensions(*grid.size)
    return image


def _oriented_image(array: NDArray[Any], grid: Grid) -> Any:
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*grid.size)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(array).reshape(-1), deep=True))
    image.SetImageToWorldMatrix(ijk_to_ras(grid))
    return image
