"""Brain images of FreeSurfer (`.mgh`, `.mgz`) and of the MNI (`.mnc`), by nibabel: ITK exchanges the axes of MINC."""

from __future__ import annotations

import importlib.util
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.freesurfer.mghformat import MGHHeader
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import swap_lps_ras
from RobustDIRLib.io.header import Header, check_sides, refuse_two_sizes
from RobustDIRLib.io.payload import Payload, check_room, enough_memory, is_packed, unpacked

_VOXELS_AT = 284  # byte at which FreeSurfer's voxels begin
_PLACED_AT = 28  # byte of the flag that what follows, spacing and axes, holds
_HDF = b"\x89HDF"
# What nibabel and the reader of NetCDF below it raise on damaged files; neither has an exception of its own for them.
_PROBLEMS = (
    ImageFileError, HeaderDataError, OSError, EOFError, ValueError, TypeError, LookupError, AttributeError,
    ArithmeticError, AssertionError, WrapStructError, struct.error, zlib.error,
)  # fmt: skip


@np.errstate(over="ignore", invalid="ignore")  # what is not finite then is refused
def read_mgh_header(path: Path) -> Header:
    """The header of a FreeSurfer volume.

    Raises:
        InputError: If it is damaged or of an unknown type.
    """
    try:
        with unpacked(path) as stream:
            data = stream.read(_VOXELS_AT)
        header = MGHHeader(data, check=False)
        sides, dtype = tuple(int(n) for n in header["dims"]), np.dtype(header.get_data_dtype())
    except _PROBLEMS as error:
        raise InputError(f"{path} is damaged, cut short or no FreeSurfer volume; copy or export it again.") from error
    check_sides(path, sides)
    spacing = np.asarray(header["delta"], dtype=np.float64)
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        listed = ", ".join(f"{s:g}" for s in spacing)
        raise InputError(f"{path} has a voxel spacing that is not positive ({listed} mm); correct its header.")
    notes: tuple[str, ...] = ()
    if struct.unpack_from(">h", data, _PLACED_AT)[0] <= 0:  # nibabel sets it once it has filled in what follows
        notes = (
            f"{path} does not say how large its voxels are nor how the patient lies; taken as FreeSurfer does, 1 mm "
            "and coronal; check the alignment.",
        )
    affine = header.get_affine()
    _check_cosines(path, affine, spacing, sides)
    packed = is_packed(path)
    payload = Payload((path,), dtype, math.prod(sides), _VOXELS_AT, "gzip" if packed else "raw", whole=packed)
    matrix = swap_lps_ras(affine[:3].T).T
    return Header(path, sides, (0, 1, 2), matrix, payload, notes=notes)


def _check_cosines(path: Path, affine: Any, spacing: Any, sides: tuple[int, ...]) -> None:
    """Refuses axes whose cosines are not of length 1, so that the size of a voxel can be read in two ways."""
    lengths = np.linalg.norm(np.asarray(affine)[:3, :3], axis=0)
    refuse_two_sizes(path, lengths, np.asarray(spacing), sides, ("axes", "spacing"))


@np.errstate(over="ignore", invalid="ignore")
def read_minc(path: Path) -> Header:
    """A MINC volume: of its header, what is needed for the grid, and with it the voxels, their real values.

    Raises:
        InputError: If it is damaged or too large, or is MINC 2 and the package h5py is missing.
    """
    with path.open("rb") as stream:
        second = stream.read(4) == _HDF
    if second and importlib.util.find_spec("h5py") is None:
        raise InputError(f"{path} is MINC 2, which needs the package h5py; install it, or export it as NIfTI.")
    try:
        with enough_memory(path):  # which a damaged count may ask for as well
            image: Any = (nib.Minc2Image if second else nib.Minc1Image).from_filename(path)
            sides, spacing = tuple(int(n) for n in reversed(image.shape)), image.dataobj.minc_file.get_zooms()
            check_sides(path, sides)
            axes = _axes_of_minc(image.dataobj.minc_file)
            if len(sides) > 3:
                raise InputError(f"{path} is {len(sides)}D; give a single 3D volume, one time point for instance.")
            check_room(path, 16 * math.prod(sides))
            array: NDArray[Any] = np.asanyarray(image.dataobj, dtype=np.float64)
    except InputError:
        raise
    except _PROBLEMS as error:
        raise InputError(f"{path} is damaged, cut short or no MINC file; copy or export it as NIfTI.") from error
    notes = _check_axes(path, axes, image.shape)
    _check_cosines(path, image.affine, spacing, image.shape)
    # In the file the first axis is the slowest; nibabel's matrix takes indices in the order of the file.
    matrix = swap_lps_ras(np.asarray(image.affine)[:3, [2, 1, 0, 3]].T).T
    return Header(path, sides, (0, 1, 2), matrix, array, notes=notes)


def _axes_of_minc(file: Any) -> list[dict[str, Any]]:
    """What the file says of its axes, in their order; nibabel passes over their units and lengths."""
    return [
        {key: getattr(axis, key, None) for key in ("step", "start", "units", "length", "alignment")} | {"name": name}
        for name, axis in zip(file._dim_names, file._dims, strict=True)
    ]


def _word(value: Any) -> str:
    """An attribute as text, in lower case; empty if it is absent."""
    return (value.decode("latin-1") if isinstance(value, bytes) else str(value or "")).strip("\0 ").lower()


def _check_axes(path: Path, axes: list[dict[str, Any]], shape: tuple[int, ...]) -> tuple[str, ...]:
    """Refuses units other than mm, places other than of centres, and lengths that are not those of the voxels.

    Returns:
        A sentence if an axis does not say its step or its start, which nibabel takes as 1 and 0 mm.
    """
    for axis, count in zip(axes, shape, strict=True):
        unit, alignment = (_word(axis[key]) for key in ("units", "alignment"))
        if unit not in ("", "mm", "millimeter", "millimeters", "millimetre", "millimetres"):
            raise InputError(f"{path} gives its {axis['name']} in '{unit}'; convert it to mm.")
        if alignment.strip("_") not in ("", "centre", "center"):  # half a voxel away, which nibabel passes over
            raise InputError(
                f"{path} gives the {alignment.strip('_')} of its voxels along its {axis['name']} (alignment) where "
                "programs take their centres; save it with those."
            )
        if axis["length"] is not None and int(np.ravel(axis["length"])[0]) != count:
            raise InputError(
                f"{path} has {count} voxels along its {axis['name']} and says {np.ravel(axis['length'])[0]}; export it "
                "again."
            )
    lacking = [f"{axis['name']} no {key}" for axis in axes for key in ("step", "start") if axis[key] is None]
    if not lacking:
        return ()
    return (f"{path} does not place its voxels ({', '.join(lacking)}): taken as 1 and 0 mm; check the alignment.",)
