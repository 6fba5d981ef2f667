"""Images and points from files, SimpleITK, nibabel and arrays, and back: conversions alone, all into `Image`."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from nibabel.spatialimages import HeaderDataError, SpatialImage
from numpy.typing import ArrayLike, NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array, swap_lps_ras
from RobustDIRLib.io import images, nifti
from RobustDIRLib.io.displacements import DisplacementField, as_nifti, as_vector_image
from RobustDIRLib.io.files import PathLike, last_line
from RobustDIRLib.io.header import placed_grid
from RobustDIRLib.io.images import Image, checked_image, read_image, sitk_matrix
from RobustDIRLib.io.labels import LabelMap, above_zero, read_label_maps, read_labels, read_mask, whole_numbers
from RobustDIRLib.io.landmarks import Landmarks, read_landmarks
from RobustDIRLib.io.remarks import tell

Frame = Literal["RAS", "LPS"]
Order = Literal["xyz", "zyx"]
ImageLike: TypeAlias = Image | sitk.Image | SpatialImage | PathLike
"""An image in memory, or a file or folder of one."""
LandmarksLike: TypeAlias = Landmarks | PathLike
"""Landmarks in memory, or a file of them."""

_MM_PER_UNIT = {"meter": 1000.0, "micron": 0.001}


def from_array(array: ArrayLike, affine: ArrayLike, *, frame: Frame, order: Order) -> Image:
    """An image from an array and the matrix that says where its voxels lie.

    Both keywords have to be given: neither can be told from the numbers, and a wrong one gives a wrong registration.

    Args:
        array: 3D, real or boolean; its type is kept.
        affine: Shape `(4, 4)` or `(3, 4)`; takes voxel indices to mm.
        frame: Of the millimetres: `"RAS"` as nibabel's affine has it, `"LPS"` as ITK, SimpleITK and DICOM have it.
        order: Of the array's axes: `"xyz"` if the affine's first column belongs to the array's first axis, as with
            nibabel; `"zyx"` if it belongs to the last, as with the arrays that SimpleITK gives.
    Raises:
        InputError: If the array is not of that kind, the affine is no such matrix, or its axes are skewed.

    >>> import numpy as np
    >>> image = from_array(np.zeros((8, 9, 10)), np.diag([2, 2, 3, 1]), frame="RAS", order="xyz")
    >>> image.array.shape, image.grid.spacing  # z, y, x; x, y, z
    ((10, 9, 8), (2.0, 2.0, 3.0))
    """
    _check_choice("frame", frame, get_args(Frame))
    _check_choice("order", order, get_args(Order))
    if np.ma.isMaskedArray(array) and np.ma.is_masked(array):
        raise InputError("`array` has masked voxels, whose values would be taken all the same; fill them first.")
    voxels = _as_array(array, "array")
    matrix = _matrix(affine)
    if frame == "RAS":
        matrix = swap_lps_ras(matrix.T).T
    return _placed(voxels if order == "zyx" else voxels.T, matrix, "the array")


def from_nibabel(image: SpatialImage) -> Image:
    """An image of nibabel, placed by its own affine, with its scaling applied.

    Args:
        image: 3D, or 4D with a single volume; in mm, or in what its header says.
    Raises:
        InputError: If it is of another kind or its axes are skewed.
    """
    if isinstance(image, nib.AnalyzeImage) and not isinstance(image, nib.Nifti1Pair):
        raise InputError(
            "the nibabel image is Analyze 7.5, which does not say which side is left; give a NIfTI image, or use "
            "`from_array` with an affine that says it."
        )
    try:  # what a file holds is read here alone, if the image is of one
        voxels = np.asanyarray(image.dataobj)
        unit = getattr(image.header, "get_xyzt_units", lambda: ("mm", ""))()[0]
    except KeyError as error:
        raise InputError("the nibabel image gives its lengths in an unknown unit (xyzt_units); correct it.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"the nibabel image cannot be read ({last_line(error)}); copy its file again.") from error
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    if image.affine is None:
        raise InputError("the nibabel image has no affine; give it one, or use `from_array`.")
    matrix = swap_lps_ras(_matrix(image.affine).T).T * _MM_PER_UNIT.get(unit, 1.0)
    placed = _placed(voxels.T, matrix, "the nibabel image")
    tell(_of_placements(image, placed.grid.size))
    return placed


def _of_placements(image: SpatialImage, sides: tuple[int, int, int]) -> list[str]:
    """A sentence if a NIfTI image of nibabel lies elsewhere by its qform than by its affine, or has neither form."""
    if not isinstance(image, nib.Nifti1Pair):
        return []
    codes = [int(image.header[f"{form}_code"]) for form in ("sform", "qform")]
    if max(codes) <= 0:
        return ["the nibabel image does not say how the patient lies (no sform, no qform); check the alignment."]
    if codes[1] <= 0:
        return []
    try:
        off = nifti.apart(_matrix(image.affine), _matrix(image.header.get_qform()), sides)
    except HeaderDataError:
        return ["the nibabel image has a quaternion (qform) that is no rotation; placed by its affine."]
    if off <= nifti.APART * min(image.header.get_zooms()[:3]):
        return []
    return [f"the nibabel image lies up to {off:.1f} mm elsewhere by its qform than by its affine, which was taken."]


def from_sitk(image: sitk.Image) -> Image:
    """A 3D scalar image of SimpleITK, voxels copied.

    Raises:
        InputError: If it is of another kind or its axes are skewed.
    """
    if image.GetPixelIDTypeAsString().startswith("label of"):  # of which SimpleITK gives no voxels: it ends the process
        raise InputError(
            "the SimpleITK image is a label map of runs; make voxels of it by sitk.Cast to an integer type."
        )
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(
            f"the SimpleITK image is {image.GetDimension()}D with {image.GetNumberOfComponentsPerPixel()} values a "
            "voxel; give a 3D image with one."
        )
    return _placed(sitk.GetArrayFromImage(image), sitk_matrix(image), "the SimpleITK image")


def landmarks(points: ArrayLike, names: Sequence[str] = (), *, frame: Frame) -> Landmarks:
    """Landmarks from an array.

    Args:
        points: Shape `(N, 3)`, mm, components x, y, z.
        names: One for each, if there are any.
        frame: Of the millimetres: `"RAS"` or `"LPS"`.
    Raises:
        InputError: If the points are not of that shape or not finite, or names and points differ in number.

    >>> landmarks([[1, 2, 3]], frame="RAS").points
    array([[-1., -2.,  3.]])
    """
    _check_choice("frame", frame, get_args(Frame))
    array = _as_array(points, "points", real=True)
    if array.ndim != 2 or array.shape[1] != 3:
        raise InputError(f"`points` has the shape {array.shape}; give (N, 3), x, y and z of each.")
    try:
        return Landmarks(swap_lps_ras(array) if frame == "RAS" else array, tuple(names))
    except ValueError as error:
        raise InputError(f"`points`: {error}.") from error


def to_sitk(image: Image | DisplacementField) -> sitk.Image:
    """An image, or a displacement field as vectors (mm, LPS), as SimpleITK holds it; voxels are copied."""
    if isinstance(image, DisplacementField):
        return as_vector_image(image, np.float32)
    return images.to_sitk(image)


def to_nibabel(image: Image | DisplacementField) -> nib.Nifti1Image:
    """An image, or a displacement field, as nibabel holds it: its array is indexed x, y, z, its affine is in RAS.

    Types that NIfTI or nibabel lack become the next wider: booleans uint8, half precision float32, 64-bit integers
    float64. A field is 5D with intent 1006, its components in RAS, as `write_displacement` writes it.
    """
    if isinstance(image, DisplacementField):
        return as_nifti(image)
    wider: dict[np.dtype[Any], type] = {np.dtype(bool): np.uint8, np.dtype(np.float16): np.float32}
    wider |= {np.dtype(np.int64): np.float64, np.dtype(np.uint64): np.float64}
    return nifti.placed(image.array.astype(wider.get(image.array.dtype, image.array.dtype)).T, image.grid)


def as_image(given: ImageLike, name: str, fill_nan: float | None = None) -> Image:
    """An image to register, whatever it comes as: float32, finite, not constant.

    Raises:
        InputError: As `read_image`, or if it is no image.
    """
    if isinstance(given, (str, os.PathLike)):
        return read_image(given, fill_nan=fill_nan)
    return checked_image(name, in_memory(given, name), fill_nan)


def as_label_maps(given: ImageLike, name: str) -> tuple[LabelMap, ...]:
    """A label map, in several layers where a file's segments overlap.

    Raises:
        InputError: If it is none.
    """
    return read_label_maps(given) if isinstance(given, (str, os.PathLike)) else (as_label_map(given, name),)


def as_label_map(given: ImageLike, name: str) -> LabelMap:
    """A label map whose segments do not overlap.

    Raises:
        InputError: If it is none.
    """
    if isinstance(given, (str, os.PathLike)):
        return read_labels(given)
    if isinstance(given, LabelMap):
        return given
    image = in_memory(given, name)
    array = image.array.astype(np.uint8) if image.array.dtype == bool else image.array
    return LabelMap(whole_numbers(name, array, _step(given)), image.grid)


def as_mask(given: ImageLike | None, name: str) -> Image | None:
    """A mask, 1 where what was given lies above 0.

    Raises:
        InputError: If it is none.
    """
    if given is None:
        return None
    if isinstance(given, (str, os.PathLike)):
        return read_mask(given)
    image = in_memory(given, name)
    return Image(above_zero(name, image.array, _step(given)), image.grid)


def as_landmarks(given: LandmarksLike | None, name: str, image: Image) -> Landmarks | None:
    """Landmarks of an image.

    Raises:
        InputError: If they cannot be read, or are a bare array, of which nobody knows the frame.
    """
    if given is None or isinstance(given, Landmarks):
        return given
    if isinstance(given, (str, os.PathLike)):
        return read_landmarks(given, image.grid)
    raise InputError(
        f"{name}: {_kind(given)} says nothing of its frame; make it `robustdir.landmarks(points, frame=...)`."
    )


def in_memory(given: Image | sitk.Image | SpatialImage, name: str) -> Image:
    """What is an image already, of whichever library.

    Raises:
        InputError: If it is none: of a bare array nobody knows where it lies.
    """
    if isinstance(given, Image):
        return given
    if isinstance(given, sitk.Image):
        return from_sitk(given)
    if isinstance(given, SpatialImage):
        return from_nibabel(given)
    raise InputError(
        f"{name} is {_kind(given)}, which says nothing of where it lies; make it `robustdir.from_array(array, affine, "
        "frame=..., order=...)`, or give a file or an image of SimpleITK or nibabel."
    )


def _step(given: Any) -> float:
    """Difference of neighbouring values that an image of nibabel scales whole numbers to; 0 if it does not."""
    slope = getattr(getattr(given, "dataobj", None), "slope", None)
    return abs(float(slope)) if slope not in (None, 1) and np.isfinite(float(slope)) else 0.0


def _placed(voxels: NDArray[Any], matrix: Array, name: str) -> Image:
    """Voxels `(z, y, x)` on the grid of a matrix from indices x, y, z to mm, LPS."""
    if voxels.ndim != 3:
        raise InputError(f"{name} is {voxels.ndim}D; give a single 3D volume.")
    if voxels.dtype.kind not in "buif":
        raise InputError(f"{name} holds {voxels.dtype}; give one real number a voxel.")
    depth, height, width = voxels.shape
    if not voxels.size:
        raise InputError(f"{name} is {width} x {height} x {depth} voxels, and so empty.")
    grid, notes = placed_grid(name, (depth, height, width), matrix)
    tell(notes)
    return Image(np.ascontiguousarray(voxels), grid)


def _matrix(affine: ArrayLike) -> Array:
    """Its upper three rows."""
    matrix = _as_array(affine, "affine", real=True)
    if matrix.shape not in ((3, 4), (4, 4)):
        raise InputError(f"`affine` has the shape {matrix.shape}; give (4, 4), from voxel indices to mm.")
    if matrix.shape == (4, 4) and not np.array_equal(matrix[3], (0, 0, 0, 1)):
        raise InputError(f"`affine` ends with the row {matrix[3].tolist()}; give one that ends with 0, 0, 0, 1.")
    return matrix[:3]


def _as_array(given: Any, name: str, *, real: bool = False) -> NDArray[Any]:
    """An array of what was given, float64 if real numbers are wanted.

    Raises:
        InputError: If it makes none.
    """
    try:
        array = np.asarray(given)
        if real and array.dtype.kind not in "buif":
            raise ValueError(f"{array.dtype} in place of real numbers")
        return array.astype(np.float64) if real else array
    except (ValueError, TypeError, RuntimeError) as error:  # the last is torch's, of tensors that learn
        raise InputError(f"`{name}` is no array of numbers ({str(error).splitlines()[0]}); give one.") from error


def _check_choice(option: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise InputError(f"`{option}` is {given!r}; give one of {', '.join(known)}.")


def _kind(given: object) -> str:
    return f"of the type {type(given).__name__}"
