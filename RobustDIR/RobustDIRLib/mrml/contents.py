"""What a node holds and where it lies, in a form that can be kept and compared: to tell whether it is still the same.

Times of change do not outlive the session, and change when nothing else has. So a volume, a grid transform and a
segment are known by a checksum of their data and by where a lattice of points of them lies in the world, with all
transforms above; a scene that is saved and loaded gives the same again.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import vtk_to_numpy

from RobustDIRLib.geometry import Array
from RobustDIRLib.mrml.geometry import moved, square, transform_to_world
from RobustDIRLib.mrml.nodes import (
    PlacedNode,
    SegmentationNode,
    TransformNode,
    VolumeNode,
    is_segmentation,
    is_transform,
    is_volume,
)
from RobustDIRLib.mrml.vtk_objects import ImageData, OrientedImage

# A grid transform that was saved comes back interpolating cubically, which moves what is under it a little.
SAME_MM = 0.05
_LATTICE, _COARSE = 5, 2  # points along each side: of volumes and transforms, and of segments, of which there are many
_STEP = 1 << 21  # values whose checksum takes some hundredths of a second
_BINARY: Final = "Binary labelmap"
_SURFACE: Final = "Closed surface"


@dataclass
class Content:
    """What a node holds.

    Attributes:
        data: Checksum of its voxels, vectors or points; empty if it holds none.
        place: A lattice of points over all of it, `(N, 3)`, world, mm, RAS.
    """

    data: str = ""
    place: Array = field(default_factory=lambda: np.empty((0, 3)))

    def to_json(self) -> dict[str, str]:
        """Plain values; `from_json` inverts it."""
        return {"data": self.data, "place": base64.b64encode(self.place.astype("<f4").tobytes()).decode("ascii")}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Content:
        """What `to_json` gave.

        Raises:
            ValueError: If it is something else.
        """
        try:
            place = np.frombuffer(base64.b64decode(str(said["place"])), "<f4").reshape(-1, 3)
            return cls(str(said["data"]), place.astype(np.float64))
        except (KeyError, TypeError) as error:
            raise ValueError("no content of a node") from error

    def same(self, other: Content) -> bool:
        """Whether both hold the same, and lie where the other does."""
        return self.data == other.data and self.same_place(other)

    def same_place(self, other: Content) -> bool:
        """Whether both lie where the other does."""
        if self.place.shape != other.place.shape:
            return False
        return bool(np.all(np.abs(self.place - other.place) <= SAME_MM))


def state_of(node: PlacedNode, segments: tuple[str, ...] = ()) -> tuple[object, ...]:
    """Cheap to find out, and another one whenever the node may hold or be something else; of this session alone."""
    parent = node.GetParentTransformNode()
    above = (node.GetTransformNodeID(), None if parent is None else parent.GetTransformToWorldMTime())
    inner: tuple[object, ...] = ()
    if is_volume(node):
        image = node.GetImageData()
        matrix = vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(matrix)
        time = None if image is None else image.GetMTime()
        inner = (time, slicer.util.arrayFromVTKMatrix(matrix).tobytes())
    elif is_transform(node):
        inner = (node.GetTransformToWorldMTime(),)
    elif is_segmentation(node):
        inner = tuple(_state_of_segment(node, each) for each in segments)
    return (node.GetID(), *above, segments, *inner)


def begin_content(node: PlacedNode, segments: tuple[str, ...] = ()) -> tuple[Content, Iterator[None]]:
    """What a volume, a grid transform or some segments hold, in steps of a few hundredths of a second.

    Returns:
        The content, which is there once the iterator beside it has come to its end.
    """
    content = Content()
    return content, _fill(content, node, segments)


def _fill(content: Content, node: PlacedNode, segments: tuple[str, ...]) -> Iterator[None]:
    checksum = hashlib.sha1(usedforsecurity=False)
    points: list[Array] = []
    for part in _parts(node, segments):
        checksum.update(repr(part.words).encode())
        for array in part.arrays:
            yield from _update(checksum, array)
        points.append(part.points)
        yield
    content.place = _in_world(node, points)
    content.data = checksum.hexdigest() if points else ""


def place_of(node: PlacedNode, segments: tuple[str, ...] = ()) -> Array:
    """Where a node lies, as `Content.place`."""
    return _in_world(node, [part.points for part in _parts(node, segments)])


def _in_world(node: PlacedNode, points: list[Array]) -> Array:
    return moved(transform_to_world(node), np.concatenate(points)) if points else np.empty((0, 3))


def begin_data(image: ImageData, matrix: Array | None) -> Iterator[str]:
    """`Content.data` of a node that will hold an image of VTK, in steps; the last gives it.

    Args:
        image: Voxels or vectors.
        matrix: From i, j, k to RAS, of a volume; None for the vectors of a grid transform.
    """
    checksum, voxels = hashlib.sha1(usedforsecurity=False), _voxels(image)
    if matrix is not None:
        voxels, matrix = _canonical(voxels, matrix)
    checksum.update(repr(_size(voxels)).encode())
    for _ in _update(checksum, voxels):
        yield ""
    yield checksum.hexdigest()


@dataclass
class _Part:
    """Arrays that make up a node or a segment, words that belong to them, and points over all of it in its own RAS."""

    words: tuple[object, ...]
    arrays: list[NDArray[np.generic]]
    points: Array


def _update(checksum: hashlib._Hash, array: NDArray[np.generic]) -> Iterator[None]:
    layers = max(1, _STEP * len(array) // max(array.size, 1))
    for start in range(0, len(array), layers):
        part = array[start : start + layers]
        if part.dtype.kind == "f":
            part = part.astype("<f4") + np.float32(0)  # files keep no more; and -0 is 0
        checksum.update(np.ascontiguousarray(part.astype(part.dtype.newbyteorder("<"), copy=False)).data)
        yield


def _parts(node: PlacedNode, segments: tuple[str, ...]) -> Iterator[_Part]:
    if is_volume(node):
        yield from _of_volume(node)
    elif is_transform(node):
        yield from _of_grid(node)
    elif is_segmentation(node):
        for each in segments:
            yield from _of_segment(node, each)


def _voxels(image: ImageData) -> NDArray[np.generic]:
    """`(z, y, x)`, or `(z, y, x, c)` of several components."""
    voxels: NDArray[np.generic] = vtk_to_numpy(image.GetPointData().GetScalars())
    return np.asarray(voxels.reshape(*image.GetDimensions()[::-1], *voxels.shape[1:]))


def _size(voxels: NDArray[np.generic]) -> tuple[int, ...]:
    """Voxels along i, j, k."""
    return tuple(voxels.shape[2::-1])


def _canonical(voxels: NDArray[np.generic], matrix: Array) -> tuple[NDArray[np.generic], Array]:
    """The same volume, its axes in the order and direction of R, A, S as far as they go: files may turn them over."""
    directions = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    order, left = np.zeros(3, int), np.abs(directions)
    for _ in range(3):
        world, own = np.unravel_index(left.argmax(), left.shape)
        order[world] = own
        left[world], left[:, own] = -1, -1
    turned = np.array(matrix[:, [*order, 3]], dtype=np.float64)
    voxels = voxels.transpose(*(2 - order)[::-1], *range(3, voxels.ndim))
    for axis in range(3):
        if turned[axis, axis] < 0:
            turned[:3, 3] += turned[:3, axis] * (voxels.shape[2 - axis] - 1)
            turned[:3, axis] *= -1
            voxels = np.flip(voxels, 2 - axis)
    return voxels, turned


def _of_volume(node: VolumeNode) -> Iterator[_Part]:
    image = node.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None:
        return
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    voxels, to_ras = _canonical(_voxels(image), slicer.util.arrayFromVTKMatrix(matrix))
    yield _Part(_size(voxels), [voxels], _lattice((0, 0, 0), _size(voxels), to_ras))


def _of_grid(node: TransformNode) -> Iterator[_Part]:
    """A grid transform kept from parent, as a registration's is."""
    grid = node.GetTransformFromParentAs("vtkOrientedGridTransform", False, True)
    image = None if grid is None else grid.GetDisplacementGrid()
    if grid is None or image is None:
        return
    direction = grid.GetGridDirectionMatrix()
    axes = np.eye(3) if direction is None else slicer.util.arrayFromVTKMatrix(direction)[:3, :3]
    matrix = square(axes * np.array(image.GetSpacing()), image.GetOrigin())
    vectors = _voxels(image)
    yield _Part(_size(vectors), [vectors], _lattice((0, 0, 0), _size(vectors), matrix))


def _of_segment(node: SegmentationNode, segment: str) -> Iterator[_Part]:
    """Its voxels without the empty ones around them, which files and editors add and take away; or its surface."""
    found = node.GetSegmentation().GetSegment(segment)
    if found is None:
        return
    image, surface = found.GetRepresentation(_BINARY), found.GetRepresentation(_SURFACE)
    if image is not None and image.GetPointData().GetScalars() is not None:
        yield from _of_voxels(image, int(found.GetLabelValue()))
    elif surface is not None and surface.GetNumberOfPoints():
        points = vtk_to_numpy(surface.GetPoints().GetData()).astype(np.float64)
        low, high = points.min(axis=0), points.max(axis=0)
        corners = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), axis=-1).reshape(-1, 3)
        yield _Part((), [points, vtk_to_numpy(surface.GetPolys().GetConnectivityArray())], corners)


def _of_voxels(image: OrientedImage, value: int) -> Iterator[_Part]:
    low = image.GetExtent()[::2]
    inside = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1]) == value
    box = _box_of(inside)
    if box is None:
        yield _Part((), [], np.zeros((1, 3)))  # drawn nowhere
        return
    cut = inside[box]
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    start = tuple(int(each.start) + n for each, n in zip(box[::-1], low, strict=True))
    points = _lattice(start, cut.shape[::-1], slicer.util.arrayFromVTKMatrix(matrix), _COARSE)
    yield _Part(cut.shape, [np.packbits(cut)], points)


def _box_of(inside: NDArray[np.bool_]) -> tuple[slice, slice, slice] | None:
    """The smallest box around all that is True; None if nothing is."""
    if not inside.size:
        return None
    layers = np.flatnonzero(np.any(inside.reshape(len(inside), -1), axis=1))
    if not len(layers):
        return None
    z = slice(layers[0], layers[-1] + 1)
    shadow = np.any(inside[z], axis=0)  # of all layers on one, where the two other axes are told at once
    along_y, along_x = (np.flatnonzero(np.any(shadow, axis=k)) for k in (1, 0))
    y, x = (slice(found[0], found[-1] + 1) for found in (along_y, along_x))
    return z, y, x


def _lattice(start: tuple[int, ...], size: tuple[int, ...], matrix: Array, count: int = _LATTICE) -> Array:
    """Points from the first to the last voxel along each side, `(N, 3)`, RAS, by a matrix from i, j, k."""
    steps = [np.linspace(first, first + n - 1, count) for first, n in zip(start, size, strict=True)]
    ijk = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(ijk @ matrix[:3, :3].T + matrix[:3, 3])


def _state_of_segment(node: SegmentationNode, segment: str) -> tuple[object, ...]:
    found = node.GetSegmentation().GetSegment(segment)
    if found is None:
        return (segment, None)
    representations = found.GetRepresentation(_BINARY), found.GetRepresentation(_SURFACE)
    return (segment, found.GetLabelValue(), *(None if each is None else each.GetMTime() for each in representations))
