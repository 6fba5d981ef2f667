"""Lungs in a chest CT: they slide along their surroundings in breathing, and the air in them tells where they are."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from torch import Tensor

from RobustDIRLib import warping
from RobustDIRLib.registration.refinement.middle import half_shape
from RobustDIRLib.values import scaled

# HU. Air around a body, in bowel and stomach has medians of -995 to -945, lungs -670 to -780, emphysematous ones -890.
_AIR = -930.0
# Voxels on the border of the volume for a body of one voxel a side: air around a patient, and what fills a volume where
# the scan ends, have 6 to 8, lungs 0, and some 1 where the scan cuts them; voxels beside air around count as such.
_ON_BORDER = 3.0
_SMALLEST = 0.005  # of the volume
# Half-resolution voxels, 3 mm: vessels up to twice as thick belong to the lung that surrounds them.
_VESSELS = 2


def lungs(image: Tensor, window: tuple[float, float], densest: float) -> Tensor:
    """Where the lungs are, with the vessels in them.

    Args:
        image: A chest CT on the working grid, `(1, 1, D, H, W)`, scaled to [-1, 1].
        window: HU that became -1 and 1.
        densest: HU up to which a voxel is lung or air.
    Returns:
        1 inside and 0 outside, `(1, 1, d, h, w)`, at half the working resolution; all 0 where there are none.
    """
    half = warping.resize(image, half_shape(image.shape[2:]))[0, 0].numpy()
    limit, air = (float(value) for value in scaled(np.array([densest, _AIR], np.float32), window))
    values = sitk.GetImageFromArray(half)
    least = max(1, round(_SMALLEST * half.size))
    around = _around(_bodies(values <= air, least))
    # The voxels beside it hold some of it, whatever else they hold: they would join it to lungs that end there, or that
    # coarse voxels show behind a thin wall.
    bodies = _bodies(sitk.And(values <= limit, sitk.Not(sitk.BinaryDilate(around, [1] * 3))), least)
    kept = _lung_like(bodies, values, _beside(bodies, around), air)
    closed = sitk.BinaryMorphologicalClosing(_only(bodies, kept), [_VESSELS] * 3)
    whole = sitk.GetArrayFromImage(sitk.BinaryFillhole(closed))  # no view of an image that is gone by then
    return torch.tensor(whole, dtype=torch.float32)[None, None]


def _bodies(where: sitk.Image, least: int) -> sitk.Image:
    """Connected bodies of at least so many voxels, numbered from 1, the largest first."""
    return sitk.RelabelComponent(sitk.ConnectedComponent(where), least)


def _around(bodies: sitk.Image) -> sitk.Image:
    """1 in bodies of air that lie along the border of the volume."""
    told = sitk.LabelShapeStatisticsImageFilter()
    told.Execute(bodies)
    return _only(bodies, [n for n in told.GetLabels() if _along_border(told, n)])


def _lung_like(bodies: sitk.Image, values: sitk.Image, beside: NDArray[np.int64], air: float) -> list[int]:
    """Numbers of the bodies that hold tissue and end, for the most part, within the body."""
    told = sitk.LabelIntensityStatisticsImageFilter()
    told.Execute(bodies, values)
    return [n for n in told.GetLabels() if told.GetMedian(n) > air and not _along_border(told, n, beside[n])]


def _along_border(told: sitk.LabelShapeStatisticsImageFilter, number: int, beside: int = 0) -> bool:
    """Whether much of a body's surface is the volume's border, or lies beside the air around."""
    side = told.GetNumberOfPixels(number) ** (2 / 3)
    return bool(told.GetNumberOfPixelsOnBorder(number) + beside >= _ON_BORDER * side)


def _only(bodies: sitk.Image, numbers: list[int]) -> sitk.Image:
    """1 in the bodies of these numbers, 0 elsewhere."""
    return sitk.GetImageFromArray(np.isin(sitk.GetArrayViewFromImage(bodies), numbers).astype(np.uint8))


def _beside(bodies: sitk.Image, around: sitk.Image) -> NDArray[np.int64]:
    """Voxels of every body, by number, that are two off air around; none holds one that is beside it."""
    near = sitk.GetArrayFromImage(sitk.BinaryDilate(around, [2] * 3)) > 0
    labels = sitk.GetArrayFromImage(bodies)
    return np.bincount(labels[near], minlength=int(labels.max()) + 1)
