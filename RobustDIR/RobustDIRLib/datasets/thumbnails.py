"""A small picture of a case: the middle axial slices of its fixed and moving image, side by side."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from RobustDIRLib.datasets.cases import Case
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.files import written_atomically
from RobustDIRLib.io.images import Image
from RobustDIRLib.io.quiet import quiet_itk
from RobustDIRLib.values import display_window, scaled

SIDE = 64  # pixels of the longer side of each of the two
_GAP = 2


def write_thumbnail(path: Path, case: Case) -> None:
    """Write a case's picture, PNG.

    Raises:
        InputError: If an image cannot be read, or the picture not be written.
    """
    pictures = [thumbnail(source.read()) for source in (case.fixed, case.moving)]
    height = max(len(picture) for picture in pictures)
    parts = [np.pad(picture, ((0, height - len(picture)), (0, _GAP))) for picture in pictures]
    with written_atomically(path) as temporary, quiet_itk():
        sitk.WriteImage(sitk.GetImageFromArray(np.hstack(parts)[:, :-_GAP]), str(temporary))


def thumbnail(image: Image) -> NDArray[np.uint8]:
    """The slice across the axis nearest to the body's long one, as radiologists look at it.

    Returns:
        Shape `(rows, columns)`, square pixels: the patient's left is on the right, the front on top.
    """
    axes, flips = _axes(image.grid)
    array = np.transpose(image.array, [2 - axis for axis in axes])
    plane = array[len(array) // 2]
    plane = plane[tuple(slice(None, None, -1 if flip else 1) for flip in flips[1:])]
    return _grey(_square(plane, [image.grid.spacing[axis] for axis in axes[1:]]))


def _axes(grid: Grid) -> tuple[tuple[int, ...], list[bool]]:
    """Grid axes (0 for x) that lie nearest to S, P and L, each another one, and whether they point the other way."""
    direction = np.asarray(grid.direction)
    world = (2, 1, 0)
    best = max(
        itertools.permutations(range(3)),
        key=lambda axes: sum(abs(direction[w, a]) for w, a in zip(world, axes, strict=True)),
    )
    return best, [bool(direction[w, a] < 0) for w, a in zip(world, best, strict=True)]


def _square(plane: NDArray[np.generic], spacing: list[float]) -> NDArray[np.float32]:
    """The plane with its longer side at `SIDE` pixels, by nearest voxels."""
    extent = np.array(plane.shape) * np.array(spacing)
    sides = np.maximum(np.rint(SIDE * extent / extent.max()), 1).astype(int)
    chosen = [((np.arange(k) + 0.5) * n / k).astype(int) for k, n in zip(sides, plane.shape, strict=True)]
    return plane[np.ix_(*chosen)].astype(np.float32)


def _grey(plane: NDArray[np.float32]) -> NDArray[np.uint8]:
    return scaled(plane, display_window(plane), (0, 255)).astype(np.uint8)
