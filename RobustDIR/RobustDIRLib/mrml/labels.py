"""Segmentations as label maps on any grid, and back. Label map volumes are volumes: `volume_from_node` reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import vtk
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.mrml.geometry import refuse_flattened, transform_from_world, transform_to_world
from RobustDIRLib.mrml.nodes import Segment, SegmentationNode
from RobustDIRLib.mrml.resampling import Resampler, boxes, values_of
from RobustDIRLib.mrml.surfaces import fill_surface
from RobustDIRLib.mrml.vtk_objects import OrientedImage, Transform
from RobustDIRLib.values import Image

_BINARY: Final = "Binary labelmap"
_SURFACE: Final = "Closed surface"


def segments_of(node: SegmentationNode) -> dict[str, str]:
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
    return {each: str(_segment(node, each).GetName()) for each in ids}


def may_overlap(node: SegmentationNode) -> bool:
    """Whether segments may share voxels: those that are drawn in one image cannot."""
    segmentation = node.GetSegmentation()
    one_image = segmentation.ContainsRepresentation(_BINARY) and segmentation.GetNumberOfLayers() < 2
    return segmentation.GetNumberOfSegments() > 1 and not one_image


def labels_from_segmentation(node: SegmentationNode, grid: Grid, segments: Sequence[str] | None = None) -> Image:
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
    volume, filling = begin_labels(node, grid, dict.fromkeys(names) if segments is None else segments)
    for _ in filling:
        pass
    return volume


def begin_labels(
    node: SegmentationNode, grid: Grid, segments: Sequence[str] | Mapping[str, int | None]
) -> tuple[Image, Iterator[None]]:
    """As `labels_from_segmentation`, in steps of a few hundredths of a second.

    Args:
        node: As there.
        grid: As there.
        segments: IDs of the segments, with their labels if these are not 1, 2, 3, ...
    Returns:
        The label map, whose voxels are there once the iterator beside it has come to its end; that one raises
        `InputError` if a segment cannot be turned into voxels.
    """
    names = segments_of(node)
    given = dict(segments) if isinstance(segments, Mapping) else dict.fromkeys(segments)
    refuse_flattened(node)
    unknown = [each for each in given if each not in names]
    if unknown:
        raise InputError(f"{node.GetName()} has no segment {unknown[0]}; select one that is there.")
    labels = {each: given[each] or number for number, each in enumerate(given, start=1)}
    array = np.zeros(grid.shape, dtype=np.uint8 if max(labels.values(), default=0) < 256 else np.uint16)
    return Image(array, grid), _fill(node, labels, array, grid)


def _fill(node: SegmentationNode, labels: Mapping[str, int], array: NDArray[np.generic], grid: Grid) -> Iterator[None]:
    """Voxels where the segmentation has them, or else its surfaces."""
    segmentation = node.GetSegmentation()
    if segmentation.ContainsRepresentation(_BINARY):
        yield from _fill_from_voxels(node, labels, Image(array, grid))
    elif segmentation.ContainsRepresentation(_SURFACE):
        to_world = transform_to_world(node)
        for each, label in labels.items():
            yield from fill_surface(array, label, _segment(node, each).GetRepresentation(_SURFACE), to_world, grid)
    else:
        raise InputError(
            f"{node.GetName()} holds neither voxels nor surfaces; show it in 3D or export it as a binary label map."
        )


def _fill_from_voxels(node: SegmentationNode, labels: Mapping[str, int], target: Image) -> Iterator[None]:
    """Segments that do not overlap share an image, which is resampled once for all of them."""
    layers: list[tuple[OrientedImage, dict[int, int]]] = []
    for each, label in labels.items():
        segment = _segment(node, each)
        image = segment.GetRepresentation(_BINARY)
        yield
        if image is None or image.GetPointData().GetScalars() is None or min(image.GetDimensions()) < 1:
            continue  # nothing drawn yet
        if not layers or image is not layers[-1][0]:
            layers.append((image, {}))
        layers[-1][1][int(segment.GetLabelValue())] = label
    from_world = transform_from_world(node)
    for image, values in layers:
        yield from _add(image, values, from_world, target)


def _add(image: OrientedImage, values: Mapping[int, int], from_world: Transform, labels: Image) -> Iterator[None]:
    """One image of segments into the label map, over what is there.

    Args:
        image: Oriented image.
        values: The segments' labels by their values in the image.
        from_world: VTK's transform from world RAS to that of the image.
        labels: Changed.
    """
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    resampler = Resampler((image, matrix, from_world), labels.grid, nearest=True, outside=0.0)
    table = np.zeros(1 + max(int(values_of(image).max()), *values), dtype=labels.array.dtype)
    table[list(values)] = list(values.values())
    for box in boxes(labels.grid, resampler.step_voxels):
        found = table[resampler.at(box)]
        np.copyto(labels.array[box], found, where=found > 0)
        yield


def _segment(node: SegmentationNode, identifier: str) -> Segment:
    segment = node.GetSegmentation().GetSegment(identifier)
    if segment is None:
        raise InputError(f"A segment of {node.GetName()} was deleted while it was read; select another one.")
    return segment
