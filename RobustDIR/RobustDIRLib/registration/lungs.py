"""Lungs in a chest CT: they slide along their surroundings in breathing, and the air in them tells where they are."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from RobustDIRLib import warping
from RobustDIRLib.registration.refinement.middle import half_shape
from RobustDIRLib.values import scaled

# HU. Air around a body, in bowel and stomach has medians of -995 to -945, lungs -670 to -780, emphysematous ones -890.
_AIR = -930.0
# Voxels on the border of the volume for a body of one voxel a side: air around a patient has 6 to 8, lungs 0, and
# some 1 where the scan cuts them.
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
    bodies = sitk.RelabelComponent(sitk.ConnectedComponent(values <= limit), max(1, round(_SMALLEST * half.size)))
    told = sitk.LabelIntensityStatisticsImageFilter()
    told.Execute(bodies, values)
    border = {n: told.GetNumberOfPixelsOnBorder(n) / told.GetNumberOfPixels(n) ** (2 / 3) for n in told.GetLabels()}
    kept = [n for n in told.GetLabels() if told.GetMedian(n) > air and border[n] < _ON_BORDER]
    found = np.isin(sitk.GetArrayViewFromImage(bodies), kept).astype(np.uint8)
    closed = sitk.BinaryMorphologicalClosing(sitk.GetImageFromArray(found), [_VESSELS] * 3)
    whole = sitk.GetArrayFromImage(sitk.BinaryFillhole(closed))  # no view of an image that is gone by then
    return torch.tensor(whole, dtype=torch.float32)[None, None]
