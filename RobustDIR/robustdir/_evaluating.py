"""Measuring a transform on a pair, whatever these come as."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias, TypedDict

import SimpleITK as sitk

from robustdir._images import ImageLike, LandmarksLike, as_image, as_label_map, as_landmarks, as_mask
from RobustDIRLib.baselines.method import Outcome
from RobustDIRLib.cohort.measuring import Gauge, Reading
from RobustDIRLib.datasets.cases import CaseData
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.displacements import DisplacementField, read_transform, to_sitk_transform
from RobustDIRLib.io.files import PathLike
from RobustDIRLib.io.images import Image
from RobustDIRLib.presets import DEFAULT
from RobustDIRLib.registration.result import RegistrationResult

if TYPE_CHECKING:
    from typing_extensions import Unpack

TransformLike: TypeAlias = sitk.Transform | DisplacementField | PathLike


class TruthSettings(TypedDict, total=False):
    """What is known of the two images."""

    fixed_mask: ImageLike | None
    moving_mask: ImageLike | None
    fixed_landmarks: LandmarksLike | None
    moving_landmarks: LandmarksLike | None
    fixed_labels: ImageLike | None
    moving_labels: ImageLike | None


def evaluate_pair(
    fixed: ImageLike,
    moving: ImageLike,
    transform: TransformLike | RegistrationResult,
    inverse: TransformLike | None = None,
    *,
    preset: str = DEFAULT,
    **truth: Unpack[TruthSettings],
) -> Reading:
    """Measure a transform on a pair as `robustdir evaluate` does: on the images as they are, warped once.

    Args:
        fixed: Image that stays: a file, a DICOM folder, or an image of RobustDIR, SimpleITK or nibabel.
        moving: Image that was warped onto it, likewise.
        transform: From fixed to moving points, mm, LPS, of any method: of SimpleITK, a displacement field, a file of
            either; or the result of `register`, with its inverse.
        inverse: From moving to fixed points, for its residual, if there is one.
        preset: `"generic"`, `"lung-ct"` or `"brain-mri"`: intensities that SSIM compares.
        **truth: `fixed_landmarks` and `moving_landmarks`, `fixed_labels` and `moving_labels`, `fixed_mask` and
            `moving_mask`, those there are.
    Returns:
        `values` by the names of measures (`"tre_mean_mm"`, `"dice"`, `"folding_percent"`, ...), and `undefined`: why
        others have none; landmarks one by one, labels one by one, the warped image and the displacement.
    Raises:
        InputError: If something cannot be read or does not fit, or the transform is not finite.
        TypeError: If there is no such truth.
    """
    if unknown := sorted(set(truth) - set(TruthSettings.__annotations__)):
        raise TypeError(f"evaluate_pair() knows no {', '.join(unknown)}")
    if isinstance(transform, RegistrationResult):
        transform, inverse = transform.transform, transform.inverse if inverse is None else inverse
    outcome = Outcome(_transform(transform, "transform"), None if inverse is None else _transform(inverse, "inverse"))
    case = _case(as_image(fixed, "the fixed image"), as_image(moving, "the moving image"), truth)
    return Gauge(case, preset).read(outcome)


def _case(fixed: Image, moving: Image, truth: TruthSettings) -> CaseData:
    first = as_landmarks(truth.get("fixed_landmarks"), "`fixed_landmarks`", fixed)
    second = as_landmarks(truth.get("moving_landmarks"), "`moving_landmarks`", moving)
    fixed_labels, moving_labels = truth.get("fixed_labels"), truth.get("moving_labels")
    _check_both("landmarks", first, second)
    _check_both("labels", fixed_labels, moving_labels)
    if first is not None and second is not None and len(first) != len(second):
        raise InputError(f"`moving_landmarks`: {len(second)} do not pair with {len(first)} fixed ones; give as many.")
    return CaseData(
        fixed,
        moving,
        as_mask(truth.get("fixed_mask"), "`fixed_mask`"),
        as_mask(truth.get("moving_mask"), "`moving_mask`"),
        first,
        second,
        None if fixed_labels is None else as_label_map(fixed_labels, "`fixed_labels`"),
        None if moving_labels is None else as_label_map(moving_labels, "`moving_labels`"),
    )


def _check_both(what: str, fixed: object, moving: object) -> None:
    if (fixed is None) != (moving is None):
        raise InputError(
            f"`{'fixed' if fixed is None else 'moving'}_{what}` is missing; give those of both or of none."
        )


def _transform(given: TransformLike, name: str) -> sitk.Transform:
    if isinstance(given, (str, os.PathLike)):
        return read_transform(given)
    if isinstance(given, DisplacementField):
        return to_sitk_transform(given)
    if not isinstance(given, sitk.Transform) or given.GetDimension() != 3:
        raise InputError(f"`{name}` is no 3D transform of SimpleITK, displacement field or file of one; give one.")
    return given
