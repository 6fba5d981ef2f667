"""Displacement fields and transforms in and out, and points taken through them.

A displacement field takes fixed points to moving points: `T(x) = x + u(x)`, mm, LPS. On its grid ITK interpolates it
linearly; outside (beyond half a voxel from the outer voxel centres) ITK's displacement is zero, abruptly: a point there
stays where it is. `inside_fields` tells which points a transform's fields cover.

NIfTI stores the components of intent 1006 (displacement vector) in RAS, that of 1007 (vector, what ITK and ANTs write)
in LPS; NRRD, MetaImage and ITK's `.h5` in LPS. Readers here honour each, as ITK 5.4 does.
"""

from __future__ import annotations

import math
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array, Grid, swap_lps_ras, triples
from RobustDIRLib.io import nifti
from RobustDIRLib.io.files import (
    PathLike,
    check_extension,
    check_room,
    extension,
    refuse_unknown_letters,
    regular_file,
    written_atomically,
)
from RobustDIRLib.io.formats import META, NIFTI, NRRD, recognised
from RobustDIRLib.io.header import Header
from RobustDIRLib.io.images import set_geometry, sitk_grid
from RobustDIRLib.io.packing import PackedFile
from RobustDIRLib.io.quiet import quiet_itk, silent_libraries
from RobustDIRLib.io.remarks import tell
from RobustDIRLib.io.transform_files import check_part, check_whole, in_order, upright
from RobustDIRLib.values import DisplacementField as DisplacementField

FIELD_EXTENSIONS = (".nii.gz", ".nii", ".nrrd", ".mha")
TRANSFORM_EXTENSIONS = (".h5", ".tfm")
_READ_TRANSFORMS = (*TRANSFORM_EXTENSIONS, ".hdf5", ".txt", ".mat", ".xfm")
_DOUBLE = 8
_FRAME = np.vstack([np.zeros(3), 1000 * np.eye(3)])  # mm: what a linear transform does to these tells all of it
_FIELD_IMAGES = (*FIELD_EXTENSIONS, ".nhdr", ".mhd")

_DISPLACEMENT_VECTOR, _VECTOR = 1006, 1007  # NIfTI intent codes
# What else programs keep as NIfTI vectors, all of it in RAS, by the name that they give to the intent.
_OTHER_VECTORS = {"mapping": "where each voxel goes (a deformation of SPM)", "nreg_trans": "a transform of NiftyReg"}
_SAME = 0.1  # share of the positions' spread, below which displacements differ from them


def read_displacement(path: PathLike) -> DisplacementField:
    """Reads a displacement field from a vector image or from a transform that is a single displacement field.

    Args:
        path: `.nii.gz` or `.nii` (intent 1006 or 1007), `.nrrd`, `.mha` or any vector image of SimpleITK, `.h5`.
    Returns:
        Array float32 from images, float64 from transforms.
    Raises:
        InputError: If it is missing or unreadable, no 3D field of three components, has NaN or infinite vectors, or is
            a composite transform (read that by `read_transform`, sample it by `sample_transform`).
    """
    path = regular_file(path)
    if extension(path) in _READ_TRANSFORMS:
        field = _field_of_transform(path, read_transform(path))
    else:
        field = _read_vectors(path)
    bad = int(np.count_nonzero(~np.isfinite(field.array).all(axis=-1)))
    if bad:
        raise InputError(f"{path} has {bad} displacements that are NaN or infinite; compute or export it again.")
    if _are_positions(field):
        tell([f"{path} has vectors that look like positions of voxels and are read as displacements; check the file."])
    return field


def _are_positions(field: DisplacementField) -> bool:
    """Whether vectors are where the voxels lie, LPS or RAS, rather than how far they move: such maps are usual, too."""
    corners = np.array(np.meshgrid(*[(0, n // 2, n - 1) for n in field.grid.shape], indexing="ij")).reshape(3, -1)
    vectors, points = field.array[tuple(corners)], field.grid.points_from_voxels(corners.T)
    ways = (points, swap_lps_ras(points))
    return any(np.var(vectors - way, axis=0).sum() < _SAME * np.var(points, axis=0).sum() for way in ways)


def write_displacement(path: PathLike, field: DisplacementField) -> None:
    """Writes a displacement field as a vector image, float32, by a temporary name.

    Args:
        path: `.nii.gz` or `.nii` (5D, intent 1006, RAS components as NIfTI has it), `.nrrd` or `.mha` (LPS).
        field: Finite.
    Raises:
        InputError: If the extension is another one, the field is not finite, or the file cannot be written.
    """
    check_extension(path, FIELD_EXTENSIONS, "a displacement field")
    _require_finite(field)
    with written_atomically(path) as temporary, quiet_itk():
        if extension(path) in nifti.EXTENSIONS:
            with PackedFile(temporary) if extension(path) == ".nii.gz" else temporary.open("wb") as file:
                as_nifti(field).to_stream(file)
        else:
            sitk.WriteImage(as_vector_image(field, np.float32), str(temporary), useCompression=True, compressionLevel=1)


def as_vector_image(field: DisplacementField, dtype: type[np.floating]) -> sitk.Image:
    """The field as SimpleITK holds it: vectors of three components, mm, LPS, voxels copied."""
    vectors = sitk.GetImageFromArray(np.ascontiguousarray(field.array, dtype=dtype), isVector=True)
    set_geometry(vectors, field.grid)
    return vectors


def as_nifti(field: DisplacementField) -> nib.Nifti1Image:
    """The field as nibabel holds it: 5D, intent 1006, float32, components in RAS."""
    planes = np.empty((3, *field.grid.shape), dtype=np.float32)
    for plane, component, sign in zip(planes, np.moveaxis(field.array, -1, 0), swap_lps_ras(np.ones(3)), strict=True):
        np.multiply(component, np.float32(sign), out=plane, casting="same_kind")
    image = nifti.placed(planes.transpose(3, 2, 1, 0)[:, :, :, None, :], field.grid)
    image.header.set_intent(_DISPLACEMENT_VECTOR)
    return image


def to_sitk_transform(field: DisplacementField) -> sitk.DisplacementFieldTransform:
    """The field as an ITK transform from fixed to moving points, double precision, linear between voxels."""
    return sitk.DisplacementFieldTransform(as_vector_image(field, np.float64))


def compose_transforms(outer: sitk.Transform, inner: sitk.Transform) -> sitk.CompositeTransform:
    """`T(x) = outer(inner(x))`: ITK's composite `[outer, inner]`, which applies the last one added first."""
    return sitk.CompositeTransform([outer, inner])


def write_transform(path: PathLike, transform: sitk.Transform) -> None:
    """Writes an ITK transform, by a temporary name, in double precision.

    Args:
        path: `.h5` (any transform; read by Slicer, SimpleITK and ANTs), or `.tfm` (ITK text, for linear ones).
        transform: From fixed to moving points, mm, LPS.
    Raises:
        InputError: If the extension is another one or the file cannot be written.
    """
    check_extension(path, TRANSFORM_EXTENSIONS, "a transform")
    with written_atomically(path) as temporary, quiet_itk():
        # A full disk is said in many lines by HDF5, and ends the process in the end.
        check_room(temporary, _DOUBLE * _number_of_parameters(transform) if extension(path) == ".h5" else 0)
        sitk.WriteTransform(_without_nesting(transform), str(temporary))


def _without_nesting(transform: sitk.Transform) -> sitk.Transform:
    """The same transform; a composite within another is one that ITK does not write."""
    if transform.GetName() != "CompositeTransform":
        return transform
    return sitk.CompositeTransform(in_order(transform)[::-1])


def _number_of_parameters(transform: sitk.Transform) -> int:
    return sum(int(part.GetNumberOfParameters()) for part in in_order(transform))


def read_transform(path: PathLike) -> sitk.Transform:
    """Reads a transform from fixed to moving points: an ITK file (`.h5`, `.tfm`, ...) or a displacement field image.

    Returns:
        Of its own class (`CompositeTransform`, `DisplacementFieldTransform`, `AffineTransform`, ...).
    Raises:
        InputError: If it is missing, unreadable or not 3D, holds several transforms that are not joined, has no inverse
            (a linear one), or numbers that are not finite.
    """
    path = regular_file(path)
    refuse_unknown_letters(path)
    if extension(path) == ".xfm":
        raise InputError(
            f"{path} is an MNI transform, which holds in RAS what ITK reads as LPS; save it as an ITK transform (.h5)."
        )
    if extension(path) in _FIELD_IMAGES:
        return to_sitk_transform(read_displacement(path))
    with quiet_itk(), silent_libraries():
        try:
            transform = sitk.ReadTransform(str(path))
            parts = in_order(transform) if transform.GetDimension() == 3 else []
        except (RuntimeError, UnicodeDecodeError, KeyError) as error:  # of ITK, its message's bytes, an unknown kind
            raise InputError(
                f"{path} cannot be read as a transform: it is damaged, cut short or of an unknown kind; save it as an "
                "ITK transform (.h5) or a displacement field."
            ) from error
    if transform.GetDimension() != 3:
        raise InputError(f"{path} is a {transform.GetDimension()}D transform; give a 3D one.")
    check_whole(path, [part.GetNumberOfParameters() for part in reversed(parts)])
    for part in parts:
        check_part(path, part)
    return upright(path, transform.Downcast())


def sample_transform(transform: sitk.Transform, grid: Grid) -> DisplacementField:
    """The displacement of any transform at the voxel centres of a grid.

    Returns:
        Array float64, mm, LPS.
    """
    direction = [entry for row in grid.direction for entry in row]
    sampled = sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat64, grid.size, grid.origin, grid.spacing, direction
    )
    return DisplacementField(sitk.GetArrayFromImage(sampled), grid)


def apply_to_points(transform: sitk.Transform, points: ArrayLike) -> Array:
    """Where a transform takes points: fixed points to moving points.

    A point outside a displacement field's grid gets no displacement from it; ask `inside_fields` for such points.

    Args:
        points: Shape `(N, 3)`, mm, LPS.
    Returns:
        Shape `(N, 3)`, mm, LPS.
    """
    points = triples(points, "points").reshape(-1, 3)
    if transform.IsLinear() and len(points) > len(_FRAME):  # each call costs microseconds
        origin, *axes = _one_by_one(transform, _FRAME)
        return np.asarray(points @ ((np.array(axes) - origin) / _FRAME[1, 0]) + origin)
    return _one_by_one(transform, points)


def _one_by_one(transform: sitk.Transform, points: Array) -> Array:
    return np.array([transform.TransformPoint(point) for point in points.tolist()], dtype=np.float64).reshape(-1, 3)


def inside_fields(transform: sitk.Transform, points: ArrayLike) -> NDArray[np.bool_]:
    """Whether each point meets every displacement field of a transform inside that field's grid.

    Args:
        transform: Any; the parts of a composite are followed in the order in which they act on a point.
        points: Shape `(N, 3)`, mm, LPS.
    Returns:
        Shape `(N,)`; all true for a transform without fields.
    """
    points = triples(points, "points").reshape(-1, 3)
    inside = np.ones(len(points), dtype=bool)
    for part in in_order(transform):
        if isinstance(part, sitk.DisplacementFieldTransform):
            inside &= sitk_grid(part.GetDisplacementField()).contains(points)
        points = apply_to_points(part, points)
    return inside


def _require_finite(field: DisplacementField) -> None:
    if not np.isfinite(field.array).all():
        raise InputError("the displacement field to be written is not finite; compute it again.")


def _swapped(field: NDArray[np.float32]) -> NDArray[np.float32]:
    """`swap_lps_ras` without the detour over double precision, which takes seconds on a large field."""
    with np.errstate(invalid="ignore"):  # what is not finite is refused as such
        return field * swap_lps_ras(np.ones(3)).astype(np.float32)


def _header_of_vectors(path: Path) -> Header:
    """Of a file in a format that has several values a voxel."""
    file = recognised(path)
    if file.kind not in (NIFTI, NRRD, META):
        raise InputError(
            f"{path} is {file.kind}, which holds no displacement fields; export it as NIfTI, NRRD or MetaImage."
        )
    return file.header


def _read_vectors(path: Path) -> DisplacementField:
    """A field in an image file: NIfTI's `x y z 1 3` and `x y z 3`, and vectors of NRRD and MetaImage."""
    header = _header_of_vectors(path)
    if other := _OTHER_VECTORS.get(header.keys.get("intent_name", "").lower()):
        raise InputError(f"{path} holds {other}, and no displacements in LPS; export it as a displacement field.")
    (array, grid), intent = header.read(), header.intent
    sides = array.shape[3:]
    if math.prod(sides) != 3 or max(sides, default=1) != 3:
        raise InputError(
            f"{path} is no displacement field: it has {math.prod(sides)} values a voxel where 3 are needed; "
            "export it as one."
        )
    if array.dtype == np.uint8:
        raise InputError(f"{path} holds colours (three bytes a voxel) and no displacement field; export it as one.")
    vectors = array.reshape(*grid.shape, 3).astype(np.float32)
    if intent is None:
        return DisplacementField(vectors, grid)
    if len(sides) != 2 or sides[1] != 3:
        raise InputError(
            f"{path} is no NIfTI displacement field (5D, x y z 1 3): it is {len(sides) + 3}D; export it as one."
        )
    if intent not in (_DISPLACEMENT_VECTOR, _VECTOR):
        raise InputError(
            f"{path} does not say whether its vectors are RAS or LPS (intent code {intent}); set its intent code to "
            "1006 for RAS or 1007 for LPS."
        )
    return DisplacementField(_swapped(vectors) if intent == _DISPLACEMENT_VECTOR else vectors, grid)


def _field_of_transform(path: Path, transform: sitk.Transform) -> DisplacementField:
    parts = in_order(transform)
    if len(parts) == 1 and isinstance(parts[0], sitk.DisplacementFieldTransform):
        image = parts[0].GetDisplacementField()
        return DisplacementField(sitk.GetArrayFromImage(image), sitk_grid(image))
    kinds = ", ".join(part.GetName() for part in parts)
    raise InputError(
        f"{path} is not a single displacement field but [{kinds}]; use it as a transform, or sample it on a grid."
    )
