"""Transforms as ITK's files have them: the whole of the file, parts in order, finite, axes at right angles."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import extension
from RobustDIRLib.io.header import placed_grid
from RobustDIRLib.io.images import set_geometry, sitk_matrix
from RobustDIRLib.io.remarks import tell

_LONGEST_TEXT = 1 << 20  # bytes of a text in which transforms are counted
_DEEPEST = 20  # composites within composites
# Numbers that a kind of transform has; ITK keeps more of them, and uses these.
_PARAMETERS = {
    "TranslationTransform": 3, "ScaleTransform": 3, "VersorTransform": 3, "VersorRigid3DTransform": 6,
    "Euler3DTransform": 6, "Similarity3DTransform": 7, "ScaleVersor3DTransform": 9, "ScaleSkewVersor3DTransform": 15,
    "AffineTransform": 12,
}  # fmt: skip


def check_whole(path: Path, used: list[int]) -> None:
    """Refuse files of which ITK takes a part and drops the rest without a word: other transforms, or numbers.

    Args:
        path: The file.
        used: How many parameters each of its transforms has as it was read, in the order of the file.
    Raises:
        InputError: If it holds more.
    """
    kinds, given = _kinds_in_matlab(path) if extension(path) == ".mat" else _kinds_in_text(path)
    if len(kinds) > 1 and not kinds[0].startswith("CompositeTransform"):
        raise InputError(f"{path} holds {len(kinds)} transforms and does not say how they follow; save one composite.")
    if len(given) == len(used) and given != used:
        raise InputError(
            f"{path} has a transform without FixedParameters, or with other Parameters than its kind has, which "
            "programs pass over; save it again."
        )


def _kinds_in_matlab(path: Path) -> tuple[list[str], list[int]]:
    """Kinds of the transforms in a file of MATLAB 4, as ITK and ANTs write them; numbers are in order there."""
    from scipy.io import whosmat  # here, as only such files need it
    from scipy.io.matlab import MatReadError

    try:
        return [name for name, *_ in whosmat(str(path)) if name != "fixed"], []
    except (ValueError, TypeError, OSError, LookupError, ArithmeticError, MatReadError) as error:
        raise InputError(f"{path} is damaged or cut short; copy it or save it again.") from error


def _kinds_in_text(path: Path) -> tuple[list[str], list[int]]:
    """Kinds of the transforms in ITK's text, and how many parameters of each count; none of any other file."""
    with path.open("rb") as file:
        head = file.read(_LONGEST_TEXT)
    if not head.startswith(b"#Insight Transform File"):
        return [], []
    blocks = re.split(r"(?m)^Transform:\s*", head.decode("utf-8", "replace"))[1:]
    kinds = [block.split(maxsplit=1)[0] if block.strip() else "" for block in blocks]
    if len(head) == _LONGEST_TEXT:  # cut off in the middle of a number, perhaps
        return kinds, []
    return kinds, [_numbers_given(block) for block in blocks if not block.startswith("CompositeTransform")]


def _numbers_given(block: str) -> int:
    """Parameters of one transform in text; 0 without FixedParameters, as ITK then uses none of them."""
    found = re.search(r"(?m)^Parameters:(.*)$", block)
    return len(found[1].split()) if found and re.search(r"(?m)^FixedParameters:", block) else 0


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
    elif (given := part.GetNumberOfParameters()) != (usual := _PARAMETERS.get(part.GetName(), given)):
        raise InputError(f"{path} has {given} Parameters for a kind of {usual} ({part.GetName()}); save it again.")
    elif not np.isfinite(part.GetParameters()).all():
        raise InputError(f"{path} has parameters that are NaN or infinite; compute or export it again.")
    elif part.IsLinear() and not abs(_determinant(part)) > 0:
        raise InputError(f"{path} brings all points onto a plane (its matrix has no inverse); compute it again.")


def _determinant(linear: sitk.Transform) -> float:
    with np.errstate(over="ignore", invalid="ignore"):  # what is no number then is refused
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
