"""The parts of ITK's transforms: in the order in which they act, finite, and fields with axes at right angles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.header import placed_grid
from RobustDIRLib.io.images import set_geometry, sitk_matrix
from RobustDIRLib.io.remarks import tell

_DEEPEST = 20  # composites within composites


def in_order(transform: sitk.Transform) -> list[sitk.Transform]:
    """The parts of a transform, composites within composites resolved, the one that acts first first.

    A kind that SimpleITK has no class for, as the `MatrixOffsetTransformBase` of older ANTs and of c3d, it gives as a
    composite of one part, which is such a composite again, without end.

    Raises:
        InputError: If a part is of such a kind and not linear.
    """
    own = transform.Downcast()
    if not isinstance(own, sitk.CompositeTransform):
        return [own]
    if own.GetNumberOfTransforms() == 1 and (inner := own.GetNthTransform(0).Downcast()).GetName() == own.GetName():
        if own.IsLinear():
            return [_as_affine(own)]
        if _is_endless(inner):
            raise InputError("a transform of a kind that is not known here; sample it as a displacement field.")
    parts = [own.GetNthTransform(k) for k in reversed(range(own.GetNumberOfTransforms()))]
    return [piece for part in parts for piece in in_order(part)]


def _is_endless(inner: sitk.Transform) -> bool:
    """Whether composites of one part lie within each other, deeper than anybody would save them."""
    for _ in range(_DEEPEST):
        if inner.GetName() != "CompositeTransform" or inner.GetNumberOfTransforms() != 1:
            return False
        inner = inner.GetNthTransform(0).Downcast()
    return True


def check_part(path: Path, part: sitk.Transform) -> None:
    """Refuse a transform whose numbers are not finite, or that brings all of space onto a plane.

    Raises:
        InputError: Names the file.
    """
    if isinstance(part, sitk.DisplacementFieldTransform):
        bad = int(np.count_nonzero(~np.isfinite(sitk.GetArrayViewFromImage(part.GetDisplacementField())).all(axis=-1)))
        if bad:
            raise InputError(f"{path} has {bad} displacements that are NaN or infinite; compute or export it again.")
    elif not np.isfinite(part.GetParameters()).all():
        raise InputError(f"{path} has parameters that are NaN or infinite; compute or export it again.")
    elif part.IsLinear() and not abs(_determinant(part)) > 0:
        raise InputError(f"{path} brings all points onto a plane (its matrix has no inverse); compute it again.")


def _determinant(linear: sitk.Transform) -> float:
    return float(np.linalg.det(np.reshape(_as_affine(linear).GetMatrix(), (3, 3))))


def _as_affine(linear: sitk.Transform) -> sitk.AffineTransform:
    origin = np.array(linear.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.column_stack([linear.TransformPoint(axis) - origin for axis in np.eye(3).tolist()])
    return sitk.AffineTransform(matrix.ravel().tolist(), origin.tolist())


def upright(path: Path, own: sitk.Transform) -> sitk.Transform:
    """The transform, of its own class, with the axes of its displacement fields at right angles.

    Raises:
        InputError: If the axes of a field are skewed beyond rounding.
    """
    parts = in_order(own)
    turned = [_upright_field(path, part) for part in parts]
    if all(one is other for one, other in zip(parts, turned, strict=True)):
        return own
    return turned[0] if len(turned) == 1 else sitk.CompositeTransform(turned[::-1])


def _upright_field(path: Path, own: sitk.Transform) -> sitk.Transform:
    if not isinstance(own, sitk.DisplacementFieldTransform):
        return own
    image = own.GetDisplacementField()
    grid, notes = placed_grid(path, image.GetSize()[::-1], sitk_matrix(image))
    if not notes:
        return own
    tell(notes)
    vectors = sitk.Image(image)
    set_geometry(vectors, grid)
    return sitk.DisplacementFieldTransform(sitk.Cast(vectors, sitk.sitkVectorFloat64))
