"""The checkerboard of two volumes, which follows its slider: what the slice views show at once, the rest bit by bit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray

from RobustDIRLib.mrml.nodes import VolumeNode
from RobustDIRLib.mrml.volumes import image_of

_FEWEST_FIELDS, _MOST_FIELDS = 3, 24
_STEP_VOXELS = 1 << 22  # laid in about 10 ms

Shades = NDArray[np.uint8]


class Checkerboard:
    """A checkerboard in the voxels of a volume.

    Args:
        first: Grey values of the one volume, `(z, y, x)`.
        second: Of the other.
        spacing: Along x, y, z, mm.
        target: Where the board goes, `(z, y, x)`; changed.
    """

    def __init__(self, first: Shades, second: Shades, spacing: tuple[float, ...], target: Shades) -> None:
        self._second, self._change = second, first ^ second  # one from the other, without asking which is where
        self._spacing, self._target = spacing, target

    def lay(self, coarseness: float, planes: tuple[set[int], set[int], set[int]]) -> Iterator[None]:
        """Lay the fields: planes that are seen before the first yield, all else in steps.

        Args:
            coarseness: 0 for many small fields, 1 for few large ones.
            planes: That the views show, by their places along z, y and x.
        """
        masks = [
            np.where(axis, 255, 0).astype(np.uint8) for axis in _parities(self._target.shape, self._spacing, coarseness)
        ]
        along = (masks[0][:, None, None], masks[1][:, None], masks[2])
        for axis, places in enumerate(planes):
            for run in _runs(places):  # side by side they lie in the same lines of the processor's cache
                box = [slice(None)] * 3
                box[axis] = run
                self._lay(tuple(box), along)
        yield
        layers = max(1, _STEP_VOXELS // int(np.prod(self._target.shape[1:])))
        for start in range(0, len(self._target), layers):
            self._lay((slice(start, start + layers), slice(None), slice(None)), along)
            yield

    def _lay(self, box: tuple[slice, ...], along: tuple[Shades, ...]) -> None:
        """The second, changed into the first where the parities of the three axes add up to odd."""
        z, y, x = box
        where = along[1][y] ^ along[2][x]
        part = self._target[box]
        for layer, change, parity in zip(part, self._change[box], along[0][z], strict=True):
            np.bitwise_and(change, where ^ parity, out=layer)
        part ^= self._second[box]


def _runs(places: set[int]) -> list[slice]:
    """Numbers as runs without a gap, in order."""
    first = sorted(place for place in places if place - 1 not in places)
    last = sorted(place for place in places if place + 1 not in places)
    return [slice(a, b + 1) for a, b in zip(first, last, strict=True)]


def _parities(shape: tuple[int, ...], spacing: tuple[float, ...], coarseness: float) -> list[NDArray[np.uint8]]:
    """Whether the fields along z, y and x are odd."""
    longest = max(n * s for n, s in zip(shape, spacing[::-1], strict=True))
    count = _MOST_FIELDS + (_FEWEST_FIELDS - _MOST_FIELDS) * coarseness
    return [
        np.floor(np.arange(n) * s * count / longest).astype(np.uint8) & 1
        for n, s in zip(shape, spacing[::-1], strict=True)
    ]


def fields(shape: tuple[int, ...], spacing: tuple[float, ...], coarseness: float) -> NDArray[np.bool_]:
    """Where a checkerboard shows the first of two volumes.

    Args:
        shape: Of the volumes, `(z, y, x)`.
        spacing: Along x, y, z, mm.
        coarseness: 0 for many small fields, 1 for few large ones.
    """
    z, y, x = _parities(shape, spacing, coarseness)
    return (z[:, None, None] ^ y[:, None] ^ x).astype(bool)


def seen_planes(volume: VolumeNode) -> tuple[set[int], set[int], set[int]]:
    """Planes of a volume's voxels that the slice views show, by their places along z, y and x.

    Of a view that lies at an angle to them, those about its middle.
    """
    matrix = vtk.vtkMatrix4x4()
    volume.GetRASToIJKMatrix(matrix)
    to_ijk, size = slicer.util.arrayFromVTKMatrix(matrix), image_of(volume).GetDimensions()
    seen: tuple[set[int], set[int], set[int]] = (set(), set(), set())
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        view = to_ijk @ slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
        axis = int(np.abs(view[:3, 2]).argmax())
        middle = round(float(view[axis, 3]))
        seen[2 - axis].update(place for place in range(middle - 1, middle + 2) if 0 <= place < size[axis])
    return seen
