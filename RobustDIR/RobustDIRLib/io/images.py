"""Images and label maps in and out: NIfTI, NRRD, MetaImage, MGH and MINC files, DICOM folders, resampling.

What is read is checked here once, so that the rest of the library meets finite 3D scalar volumes only.
"""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import SMALLEST_SIDE, Array, Grid, rectangular
from RobustDIRLib.io import dicom
from RobustDIRLib.io.background import filled
from RobustDIRLib.io.files import (
    PathLike,
    check_extension,
    check_room,
    extension,
    written_atomically,
)
from RobustDIRLib.io.filters import spline_coefficients
from RobustDIRLib.io.formats import MINC, SERIES, VolumeFile, recognised
from RobustDIRLib.io.packing import BLOCK, PackedFile
from RobustDIRLib.io.quiet import quiet_itk
from RobustDIRLib.io.remarks import tell
from RobustDIRLib.values import Image as Image

IMAGE_EXTENSIONS = (".nii.gz", ".nii", ".nrrd", ".mha")
_COARSEST = 1 / 64  # of an image's range: what its values may be rounded to


def read_image(path: PathLike, *, fill_nan: float | None = None) -> Image:
    """Reads a scalar 3D image from a file or from a folder with one DICOM series.

    Args:
        path: NIfTI, NRRD, MetaImage, MGH, MINC or DICOM; the format is known by what the file holds.
        fill_nan: What NaN voxels become. If not given, a background of NaN (all of it reaches the border of the volume)
            becomes the smallest value, as resampling has it outside, and other NaN voxels are refused.
    Returns:
        Array float32, in the unit of the file (HU for CT).
    Raises:
        InputError: If it is missing, unreadable or cut short; 2D, 4D, colour, complex; has NaN inside, infinite or all
            equal voxels, or a side under 8 voxels; or its grid is skewed, irregular or without positive spacing.
    """
    return checked_image(str(path), read_scalar(path), fill_nan)


def checked_image(name: str, image: Image, fill_nan: float | None = None) -> Image:
    """What `read_image` makes of an image once it is read, for images from memory, too: float32, finite, not constant.

    Args:
        name: Of the image or its file, for messages.
        image: Any real type.
        fill_nan: As for `read_image`.
    Raises:
        InputError: As `read_image`.
    """
    _refuse_small(name, image.grid)
    array = _as_float32(image.array)
    infinite = int(np.count_nonzero(np.isinf(array)))
    if infinite:
        raise InputError(f"{name} has {infinite} of {array.size} voxels that are infinite; replace them by a number.")
    if np.may_share_memory(array, image.array) and np.isnan(array).any():
        array = array.copy()  # NaN is overwritten, and the image is the caller's
    array, note = filled(array, name, fill_nan)
    tell(note)
    _check_range(name, image.array, float(array.min()), float(array.max()))
    return Image(array, image.grid)


def _check_range(name: str, given: NDArray[Any], low: float, high: float) -> None:
    """Refuse values that are all one, that single precision cannot tell apart, or so far apart that it has no numbers.

    Args:
        name: Of the image, for messages.
        given: Its values before they were made float32.
        low: The smallest of them as float32.
        high: The largest.
    """
    if high - low > float(np.finfo(np.float32).max):
        raise InputError(f"{name} holds values from {low:g} to {high:g}, too far apart to reckon with; scale it down.")
    if low == high and np.nanmin(given) == np.nanmax(given):
        raise InputError(f"{name} is constant (all voxels are {low:g}); check that it is the image you mean.")
    if (
        given.dtype.itemsize > 2
        and given.dtype != np.float32
        and float(np.spacing(np.float32(max(-low, high)))) > _COARSEST * (high - low)
    ):
        raise InputError(
            f"{name} varies so little about {high:g} that single precision cannot tell its values apart; subtract that "
            "from it."
        )


def read_scalar(path: PathLike) -> Image:
    """Reads a scalar 3D volume as it is stored, in its own type, whatever its values and however few its voxels.

    Raises:
        InputError: If it cannot be read as one, or its grid is unusable.
    """
    return scalar_image(recognised(path))


def scalar_image(file: VolumeFile) -> Image:
    """What `read_scalar` makes of a path, once it is known what that leads to.

    Raises:
        InputError: As `read_scalar`.
    """
    if file.is_dicom:
        return Image(*(dicom.read_series if file.kind == SERIES else dicom.read_file)(file.path))
    file.header.refuse_several_values()
    voxels, grid = file.header.read()
    return Image(voxels.reshape(grid.shape), grid)


def write_image(path: PathLike, image: Image) -> None:
    """Writes an image or label map in its own type, by a temporary name, so that no half file is ever left.

    Args:
        path: Ends in `.nii.gz`, `.nii`, `.nrrd` or `.mha`; in NIfTI the grid is kept to float32.
        image: Any real type; booleans become uint8 and half precision float32.
    Raises:
        InputError: If the extension is another one or the file cannot be written.
    """
    check_extension(path, IMAGE_EXTENSIONS, "an image")
    with written_atomically(path) as temporary, quiet_itk():
        if extension(path) == ".nii.gz":
            _write_gzipped(temporary, to_sitk(image))
        else:
            _write(temporary, to_sitk(image))


def _write(path: Path, itk_image: sitk.Image) -> None:
    """Write by ITK, whose writer of NIfTI says nothing when the disk takes only part of a file."""
    compressed = extension(path) != ".nii"
    size = 0 if compressed else itk_image.GetNumberOfPixels() * itk_image.GetSizeOfPixelComponent()
    check_room(path, size)
    sitk.WriteImage(itk_image, str(path), useCompression=compressed, compressionLevel=1)
    if path.stat().st_size < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _write_gzipped(path: Path, itk_image: sitk.Image) -> None:
    plain = path.with_suffix("")
    try:
        _write(plain, itk_image)
        with plain.open("rb") as source, PackedFile(path) as packed:
            shutil.copyfileobj(source, packed, BLOCK)
    finally:
        plain.unlink(missing_ok=True)


def to_sitk(image: Image) -> sitk.Image:
    """The image as SimpleITK holds it, voxels copied; booleans become uint8 and half precision float32."""
    narrow = {np.dtype(bool): np.uint8, np.dtype(np.float16): np.float32}
    array = np.asarray(image.array)
    itk_image = sitk.GetImageFromArray(array.astype(narrow.get(array.dtype, array.dtype), copy=False))
    set_geometry(itk_image, image.grid)
    return itk_image


def from_sitk(itk_image: sitk.Image) -> Image:
    """The 3D SimpleITK image as array `(z, y, x)` and grid, voxels copied.

    Raises:
        ValueError: If it is not a scalar 3D image.
    """
    return Image(sitk.GetArrayFromImage(itk_image), sitk_grid(itk_image))


def set_geometry(itk_image: sitk.Image, grid: Grid) -> None:
    """Places a SimpleITK image on a grid, in place."""
    itk_image.SetSpacing(grid.spacing)
    itk_image.SetOrigin(grid.origin)
    itk_image.SetDirection([entry for row in grid.direction for entry in row])


def sitk_grid(itk_image: sitk.Image) -> Grid:
    """The grid of a 3D SimpleITK image.

    Raises:
        ValueError: If its axes are skewed: see `geometry.rectangular`.
    """
    return rectangular(itk_image.GetSize()[::-1], sitk_matrix(itk_image))[0]


def sitk_matrix(itk_image: sitk.Image) -> Array:
    """Matrix `(3, 4)` of a 3D SimpleITK image, from indices x, y, z to mm, LPS."""
    axes = np.array(itk_image.GetDirection()).reshape(3, 3) * itk_image.GetSpacing()
    return np.column_stack([axes, itk_image.GetOrigin()])


def resample(
    image: Image,
    grid: Grid,
    transform: sitk.Transform | None = None,
    *,
    nearest: bool = False,
    outside: float | None = None,
    spline: bool = False,
) -> Image:
    """Resamples an image onto a grid: `resampled(x) = image(transform(x))`.

    Args:
        image: Moving image or label map; its type is kept (whole numbers are rounded).
        grid: Where the result lies.
        transform: Takes points of `grid` to points of `image` (fixed to moving), mm, LPS; identity if not given.
        nearest: Nearest neighbour, for labels and masks; linear otherwise.
        outside: Value of points beyond half a voxel from the outer voxel centres of `image`; if not given, the
            smallest value of the image (air in CT), or 0 with `nearest`.
        spline: Cubic B-splines instead of linear: sharper, but beyond the image's range beside steep edges.
    Returns:
        Image on `grid`. Nothing is smoothed, so that coarse grids alias.
    """
    whole = not nearest and not np.issubdtype(image.array.dtype, np.floating)
    seen = replace(image, array=image.array.astype(np.float64)) if whole else image
    moving = to_sitk(replace(seen, array=spline_coefficients(seen.array)) if spline else seen)
    if outside is None:
        outside = 0.0 if nearest else float(image.array.min())
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(grid.size)
    resampler.SetOutputSpacing(grid.spacing)
    resampler.SetOutputOrigin(grid.origin)
    resampler.SetOutputDirection([entry for row in grid.direction for entry in row])
    resampler.SetTransform(transform if transform is not None else sitk.Transform(3, sitk.sitkIdentity))
    smooth = sitk.sitkBSplineResampler if spline else sitk.sitkLinear  # ITK finds coefficients on one thread
    resampler.SetInterpolator(sitk.sitkNearestNeighbor if nearest else smooth)
    resampler.SetDefaultPixelValue(float(outside))
    array = sitk.GetArrayFromImage(resampler.Execute(moving))
    return Image(np.round(array).astype(image.array.dtype) if whole else array, grid)  # ITK alone would cut off digits


def header_grid(path: PathLike) -> Grid | None:
    """The grid on which `read_image` gives an image, from its header alone; None where only reading it tells.

    Raises:
        InputError: As `read_image`, as far as the header goes.
    """
    file = recognised(path)
    if file.is_dicom or file.kind == MINC:
        return None
    file.header.refuse_several_values()
    return file.header.grid()[0]


def _refuse_small(name: str, grid: Grid) -> None:
    if min(grid.shape) < SMALLEST_SIDE:
        sides = " x ".join(map(str, grid.size))
        raise InputError(
            f"{name} is {sides} voxels, and every side must have at least {SMALLEST_SIDE}; give the whole volume (a "
            "DICOM series by its folder)."
        )


def _as_float32(array: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # numbers beyond float32 turn infinite, and are counted as such
        return np.ascontiguousarray(array, dtype=np.float32)
