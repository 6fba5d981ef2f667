"""What SimpleITK leaves unchecked or alters in NIfTI files, and the images that only nibabel reads."""

from __future__ import annotations

import gzip
import logging
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array, Grid, swap_lps_ras
from RobustDIRLib.io.files import extension, last_line

_log = logging.getLogger(__name__)

EXTENSIONS = (".nii", ".nii.gz")
_MM_PER_UNIT = {"meter": 1000.0, "micron": 0.001}
# Distance in voxels by which a corner of the volume may move when its axes are made rectangular.
_SKEW = 0.1

NIBABEL_ERRORS = (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error)


def load_nifti(path: Path) -> Any:
    """A NIfTI file as a nibabel image in memory, once it is known to be whole and its spacing positive.

    ITK fills what is missing with zeros and takes a spacing of zero for 1 mm, both without a word.

    Raises:
        InputError: If the file is cut short or damaged, or a spacing is not positive and finite.
    """
    try:
        data = path.read_bytes()
        if extension(path) == ".nii.gz":
            data = gzip.decompress(data)  # to its end, and so to its checksum
        kind = _kind(data)
        header = kind.header_class(data[: kind.header_class.sizeof_hdr], check=False)  # before nibabel's repairs
        voxels = int(np.prod(header.get_data_shape(), dtype=np.int64))
        needed = int(header["vox_offset"]) + voxels * header.get_data_dtype().itemsize
    except NIBABEL_ERRORS as error:
        raise InputError(f"{path} is damaged, cut short or no NIfTI file; copy or export it again.") from error
    if len(data) < needed:
        raise InputError(f"{path} is cut short: {len(data)} of {needed} bytes are there; copy or export it again.")
    spacing = header["pixdim"][1:4]
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        listed = ", ".join(f"{s:g}" for s in spacing)
        raise InputError(f"{path} has a voxel spacing that is not positive ({listed} mm); correct its header.")
    if len(header.get_data_shape()) >= 3:  # fewer are refused later, with the reason
        _tell_of_forms(path, header)
    try:
        return kind.from_bytes(data)
    except NIBABEL_ERRORS as error:
        raise InputError(f"{path} has an unusable NIfTI header ({last_line(error)}); export it again.") from error


def _kind(data: bytes) -> Any:
    """The class of NIfTI-1 or NIfTI-2 images, by the size of the header that the first four bytes tell."""
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        size = kind.header_class.sizeof_hdr
        if size in (int.from_bytes(data[:4], "little"), int.from_bytes(data[:4], "big")):
            return kind
    raise ValueError("no NIfTI header")


def gzipped(data: bytes) -> bytes:
    """Gzip for voxels: on floats three times as fast as the usual strategies and as small, as nothing repeats."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, wbits=31, strategy=zlib.Z_RLE)
    return compressor.compress(data) + compressor.flush()


def _tell_of_forms(path: Path, header: Any) -> None:
    """Warns where the header places the volume nowhere, or at two places."""
    sform, qform = header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
    if sform is None and qform is None:
        _log.warning("%s does not say how the patient lies (sform and qform are unset); check the alignment.", path)
    elif sform is not None and qform is not None:
        corners = _corners(header.get_data_shape()[:3])
        apart = float(np.linalg.norm(corners @ (sform - qform)[:3].T, axis=1).max())
        if apart > 0.1 * float(header["pixdim"][1:4].min()):
            _log.warning(
                "%s places the volume twice, sform and qform lie up to %.1f mm apart; read as ITK and Slicer do.",
                path,
                apart,
            )


def _corners(shape: tuple[int, ...]) -> Array:
    """Homogeneous indices `(8, 4)` of a volume's corner voxels, in the order of `shape`."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij"), dtype=np.float64).reshape(3, -1)
    return np.vstack([corners, np.ones(8)]).T


def voxels(path: Path, image: Any) -> NDArray[Any]:
    """The voxels of a nibabel image, scaled as its header says, shape `(z, y, x)`, a single time point squeezed.

    Raises:
        InputError: If they cannot be read, or it is no scalar 3D image.
    """
    try:
        array = np.asanyarray(image.dataobj)
    except NIBABEL_ERRORS as error:
        raise InputError(f"{path} is damaged or cut short; copy or export it again.") from error
    if array.dtype.names is not None or np.iscomplexobj(array):
        raise InputError(f"{path} holds colours or complex numbers; give an image with one real value a voxel.")
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3:
        raise InputError(f"{path} has {array.ndim} dimensions {array.shape}; give a single 3D volume.")
    return np.ascontiguousarray(array.T, dtype=array.dtype.newbyteorder("="))


def load_other(path: Path) -> Any:
    """A file of another format than NIfTI as a nibabel image, its voxels not read yet.

    Raises:
        InputError: If nibabel knows no such file.
    """
    try:
        return nib.load(path)
    except NIBABEL_ERRORS as error:
        raise InputError(
            f"{path} cannot be read as an image: it is damaged, cut short or of an unknown format; export it as NIfTI, "
            "NRRD or MetaImage."
        ) from error


def grid_of(path: Path, image: Any) -> Grid:
    """The grid of a nibabel image, whose affine takes indices x, y, z to RAS mm.

    Raises:
        InputError: If the axes are not at right angles, or a voxel has no extent.
    """
    units = image.header.get_xyzt_units()[0] if hasattr(image.header, "get_xyzt_units") else "mm"
    affine = np.asarray(image.affine, dtype=np.float64)[:3] * _MM_PER_UNIT.get(units, 1.0)
    spacing = np.linalg.norm(affine[:, :3], axis=0)
    if not np.isfinite(affine).all() or spacing.min() <= 0:
        raise InputError(f"{path} has a voxel spacing that is not positive ({spacing} mm); correct its header.")
    axes = affine[:, :3] / spacing
    u, _, v = np.linalg.svd(axes)
    direction = u @ v  # the rotation, with or without a mirror, that is closest to the axes as they are
    shape = image.shape[:3]
    moved = np.abs(_corners(shape)[:, :3] @ (spacing * (axes - direction)).T).max() / spacing.min()
    if moved > _SKEW:
        raise InputError(
            f"{path} has skewed axes (a corner is {moved:.2f} voxels off a rectangular grid), which ITK does not "
            "allow; resample it to a rectangular grid first."
        )
    if moved > 1e-3:
        _log.warning("%s has slightly skewed axes; made rectangular, which moves corners %.3f voxels.", path, moved)
    lps = swap_lps_ras(direction.T).T
    return Grid(shape[::-1], tuple(spacing), tuple(swap_lps_ras(affine[:, 3])), tuple(map(tuple, lps)))
