"""Refusals before any computing: options and extras that cannot be meant."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.images import Image, resample
from RobustDIRLib.io.landmarks import Landmarks
from RobustDIRLib.registration.preprocessing import Warn
from RobustDIRLib.registration.result import PairExtras

_NAMED = 5


def check_image(image: Image, name: str) -> None:
    """Refuse what no reader would have let pass, for images that were made in memory.

    Raises:
        InputError: If a voxel is NaN or infinite, or all voxels are equal.
    """
    bad = image.array.size - int(np.count_nonzero(np.isfinite(image.array)))
    if bad:
        raise InputError(f"the {name} image has {bad} voxels that are NaN or infinite; replace them by a number.")
    if image.array.min() == image.array.max():
        raise InputError(f"the {name} image is constant; check that it is the image you mean.")


def check_extras(extras: PairExtras, fixed: Image, moving: Image, warn: Warn) -> PairExtras:
    """Landmarks and label maps that fit the images and each other; fixed label maps brought to the fixed grid.

    Raises:
        InputError: If landmarks or fixed label maps lack their counterpart or differ in number, or a landmark lies
            outside its image.
    """
    _check_landmarks(extras, fixed, moving, warn)
    if extras.fixed_labels and len(extras.fixed_labels) != len(extras.moving_labels):
        raise InputError(
            f"--fixed-labels: {len(extras.fixed_labels)} label maps were given for {len(extras.moving_labels)} of the "
            f"moving image (--labels); give one for each, in the same order."
        )
    return replace(extras, fixed_labels=tuple(_on_grid(labels, fixed, warn) for labels in extras.fixed_labels))


def _check_landmarks(extras: PairExtras, fixed: Image, moving: Image, warn: Warn) -> None:
    first, second = extras.fixed_landmarks, extras.moving_landmarks
    if first is None and second is None:
        return
    if first is None or second is None:
        lacking = "fixed" if first is None else "moving"
        raise InputError(f"--{lacking}-landmarks: is missing; give the landmarks of both images or of none.")
    if len(first) != len(second):
        raise InputError(
            f"--moving-landmarks: {len(second)} landmarks do not pair with {len(first)} in --fixed-landmarks; give as "
            f"many, row by row."
        )
    if first.names != second.names and sorted(first.names) == sorted(second.names):
        warn("the landmarks' names come in different orders in both files; they were paired row by row all the same.")
    _refuse_outside(first, fixed, "fixed")
    _refuse_outside(second, moving, "moving")


def _refuse_outside(landmarks: Landmarks, image: Image, name: str) -> None:
    outside = np.flatnonzero(~image.grid.contains(landmarks.points))
    if not len(outside):
        return
    named = ", ".join(landmarks.names[k] for k in outside[:_NAMED]) + (", ..." if len(outside) > _NAMED else "")
    raise InputError(
        f"--{name}-landmarks: {len(outside)} of {len(landmarks)} landmarks lie outside the {name} image ({named}); "
        f"check that they belong to it and are in mm, LPS (x and y change sign from RAS)."
    )


def _on_grid(labels: Image, fixed: Image, warn: Warn) -> Image:
    if labels.grid.close_to(fixed.grid):
        return labels
    warn("a fixed label map lies on another grid than the fixed image; it was resampled (nearest voxel) for Dice.")
    return resample(labels, fixed.grid, nearest=True, outside=0)
