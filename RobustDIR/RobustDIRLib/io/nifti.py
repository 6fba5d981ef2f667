"""The headers of NIfTI files, read as the standard says and placed as ITK and Slicer place them.

https://nifti.nimh.nih.gov/nifti-1. ITK takes a spacing of zero for 1 mm, fills what is missing of the voxels with
zeros, turns NaN into 0, and takes a spacing from one field and an axis from another, all without a word.
"""

from __future__ import annotations

import math
import os
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.quaternions import quat2mat
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array, Grid, rectangular, swap_lps_ras
from RobustDIRLib.io.files import packed_extension, regular_file
from RobustDIRLib.io.header import Header, check_sides, refuse_two_sizes
from RobustDIRLib.io.payload import Payload, is_packed, surplus, unpacked

EXTENSIONS = (".nii", ".nii.gz")
_SINGLE, _PAIR = (b"n+1", b"n+2"), (b"ni1", b"ni2")
_LONGEST_HEADER = 540
_SCANNER = 1  # code of a form that is the scanner's own
_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
APART = 0.1  # voxels by which two placements of a corner may differ without a word
_ROUNDING = 1e-3  # by which the quaternion's parts may be longer than 1 together


def placed(voxels: NDArray[Any], grid: Grid) -> nib.Nifti1Image:
    """Voxels, indices x, y, z first, as nibabel holds them on a grid; qform and sform both say where, in RAS mm."""
    affine = swap_lps_ras(grid.affine[:3].T).T
    image = nib.Nifti1Image(voxels, np.vstack([affine, [0.0, 0.0, 0.0, 1.0]]))
    image.header.set_xyzt_units("mm")
    image.set_qform(image.affine, code=1)
    image.set_sform(image.affine, code=1)
    return image


def is_header(data: bytes) -> bool:
    """Whether a file that begins so is NIfTI-1 or NIfTI-2, single or the header of a pair."""
    return _magic(data) in (*_SINGLE, *_PAIR)


def _magic(data: bytes) -> bytes:
    return data[344:347] if _size(data) == 348 else data[4:7]


def _size(data: bytes) -> int:
    """Bytes of the header by its first number, in either byte order; 0 if that is none."""
    return next((n for n in (348, 540) if data[:4] in (n.to_bytes(4, "little"), n.to_bytes(4, "big"))), 0)


@np.errstate(over="ignore", invalid="ignore")  # what is not finite then is refused
def read_header(path: Path) -> Header:
    """The header of a NIfTI file, single or a pair of `.hdr` and `.img`, packed or not.

    Raises:
        InputError: If it is damaged, or says something that cannot be read rightly here.
    """
    head, body = pair_of(path)
    raw = _raw_header(path, head)
    rank = int(raw["dim"][0])
    sides = tuple(int(n) for n in raw["dim"][1 : rank + 1])
    if not 1 <= rank <= 7 or len(sides) != rank:
        raise InputError(f"{path} has an impossible number of dimensions ({rank}); export it again.")
    sides = (*sides[:3], *(max(n, 1) for n in sides[3:]))  # beyond the third, none means one
    check_sides(path, sides)
    dtype = _dtype(path, raw)
    offset = _offset(path, raw, single=body == head)
    packed = is_packed(body)
    payload = Payload((body,), dtype, math.prod(sides), offset, "gzip" if packed else "raw", whole=packed)
    slope, intercept, notes = _scaling(path, raw)
    matrix, more = _placement(path, raw, sides)
    intent = int(raw["intent_code"])
    keys = {"intent_name": raw["intent_name"].item().partition(b"\0")[0].decode("latin-1").strip()}
    notes = (*notes, *more, *surplus(path, payload))
    return Header(path, sides, (0, 1, 2), matrix, payload, slope, intercept, notes, intent, keys)


def pair_of(path: Path) -> tuple[Path, Path]:
    """The files of header and voxels, which are one in a single file."""
    name, end = path.name, packed_extension(path)
    other = {".hdr": ".img", ".img": ".hdr", ".hdr.gz": ".img.gz", ".img.gz": ".hdr.gz"}.get(end)
    if other is None:
        return path, path
    stem = name[: -len(end)]
    there = [path.with_name(stem + e) for e in (other, other.upper(), other.removesuffix(".gz"), other + ".gz")]
    partner = next((candidate for candidate in there if os.path.exists(candidate)), None)
    if partner is None:
        raise InputError(f"{path} needs {stem + other} beside it, which is not there; copy both files of the pair.")
    regular_file(partner)
    return (path, partner) if end.startswith(".hdr") else (partner, path)


def _raw_header(path: Path, head: Path) -> Any:
    """The numbers of the header as they stand, before any repair."""
    try:
        with unpacked(head) as stream:
            data = stream.read(_LONGEST_HEADER)
        kind = {348: nib.Nifti1Header, 540: nib.Nifti2Header}[_size(data)]
        if not is_header(data):
            raise ValueError("no magic")
        return kind(data[: kind.sizeof_hdr], check=False)  # type: ignore[no-untyped-call]
    except (OSError, EOFError, ValueError, KeyError, HeaderDataError, zlib.error) as error:
        raise InputError(f"{path} is damaged, cut short or no NIfTI file; copy or export it again.") from error


def _dtype(path: Path, raw: Any) -> np.dtype[Any]:
    """Of one stored number, in the file's byte order."""
    code = int(raw["datatype"])
    try:
        dtype: np.dtype[Any] = np.dtype(raw.get_data_dtype())
    except (KeyError, HeaderDataError) as error:
        raise InputError(f"{path} has an unknown data type (code {code}); export it again.") from error
    if dtype.names is not None or dtype.kind == "c":
        raise InputError(f"{path} holds colours or complex numbers; give an image with one real value a voxel.")
    if dtype.kind not in "iuf" or dtype.itemsize not in (1, 2, 4, 8):
        raise InputError(
            f"{path} has voxels of a type that is not read here (code {code}); export them as integers or float."
        )
    bits = int(raw["bitpix"])
    if bits not in (0, 8 * dtype.itemsize):
        raise InputError(
            f"{path} contradicts itself: its data type (code {code}) has {8 * dtype.itemsize} bits and its voxels "
            f"{bits}; export it again."
        )
    return dtype


def _offset(path: Path, raw: Any, *, single: bool) -> int:
    """Where the voxels begin."""
    offset = float(raw["vox_offset"])
    single_magic = bytes(raw["magic"])[:3] in _SINGLE
    if single != single_magic:
        what = "one file, and lies beside a second" if single_magic else "a pair of files, and is one file alone"
        raise InputError(f"{path} says that it is {what}; export it again.")
    least = int(raw["sizeof_hdr"]) + 4 if single else 0
    if not (math.isfinite(offset) and offset >= least and offset == int(offset)):
        raise InputError(
            f"{path} says that its voxels begin at byte {offset:g}, where none can be (vox_offset); export it again."
        )
    return int(offset)


def _scaling(path: Path, raw: Any) -> tuple[float, float, tuple[str, ...]]:
    """Slope and intercept; a slope of 0, as one that is no number, means none."""
    slope, intercept = float(raw["scl_slope"]), float(raw["scl_inter"])
    if slope == 0 or (math.isnan(slope) and not math.isfinite(intercept)):
        return 1.0, 0.0, ()
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        note = f"{path} scales its voxels by {slope:g} and {intercept:g}; they were taken as they are stored."
        if math.isfinite(slope):
            raise InputError(f"{path} adds {intercept:g} to its voxels (scl_inter); correct its header.")
        return 1.0, 0.0, (note,)
    return slope, intercept, ()


def _placement(path: Path, raw: Any, sides: tuple[int, ...]) -> tuple[Array, tuple[str, ...]]:
    """The matrix from indices x, y, z to mm, LPS, and what is to be said of it."""
    spacing = np.asarray(raw["pixdim"][1:4], dtype=np.float64)
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        listed = ", ".join(f"{s:g}" for s in spacing)
        raise InputError(f"{path} has a voxel spacing that is not positive ({listed} mm); correct its header.")
    unit = int(raw["xyzt_units"]) & 7
    if unit not in _MM_PER_UNIT:
        raise InputError(f"{path} gives its lengths in an unknown unit (xyzt_units {unit}); correct its header.")
    matrix, notes = _chosen(path, raw, spacing, sides)
    if _MM_PER_UNIT[unit] != 1:
        notes += (f"{path} gives its lengths in {'metres' if unit == 1 else 'microns'}; converted to mm.",)
    return swap_lps_ras((matrix * _MM_PER_UNIT[unit]).T).T, notes


def _chosen(path: Path, raw: Any, spacing: Array, sides: tuple[int, ...]) -> tuple[Array, tuple[str, ...]]:
    """Of sform and qform the one that ITK takes: the sform if it alone is set, or is the scanner's own and sound."""
    sform = _sform(raw) if int(raw["sform_code"]) > 0 else None
    qform = _qform(raw, spacing) if int(raw["qform_code"]) > 0 else None
    if sform is None and int(raw["qform_code"]) <= 0:
        note = f"{path} does not say how the patient lies (sform and qform are unset); check the alignment."
        return np.column_stack([np.diag(spacing) * [-1, -1, 1], np.zeros(3)]), (note,)
    if int(raw["qform_code"]) > 0 and qform is None:
        return _without_qform(path, sform, spacing, sides)
    if qform is None or (sform is not None and int(raw["sform_code"]) == _SCANNER and _is_sound(sform, sides)):
        assert sform is not None
        _check_scales(path, sform, spacing, sides)
        chosen = sform
    else:
        chosen = qform
    if sform is None or qform is None:
        return chosen, ()
    off = apart(sform, qform, sides)
    if off <= APART * spacing.min():
        return chosen, ()
    if not math.isfinite(off):
        return chosen, (f"{path} has an sform that is not finite; placed by its qform; check the alignment.",)
    note = f"{path} places the volume twice, sform and qform lie up to {off:.1f} mm apart; read as ITK and Slicer do."
    return chosen, (note,)


def _without_qform(
    path: Path, sform: Array | None, spacing: Array, sides: tuple[int, ...]
) -> tuple[Array, tuple[str, ...]]:
    """What is left where the qform is set and is no rotation."""
    if sform is None or not _is_sound(sform, sides):
        raise InputError(f"{path} has a quaternion (qform) that is no rotation; correct its header or export it again.")
    _check_scales(path, sform, spacing, sides)
    return sform, (f"{path} has a quaternion (qform) that is no rotation; placed by its sform; check the alignment.",)


def _sform(raw: Any) -> Array:
    return np.array([raw["srow_x"], raw["srow_y"], raw["srow_z"]], dtype=np.float64)


def _qform(raw: Any, spacing: Array) -> Array | None:
    """The matrix `(3, 4)` of quaternion, spacing and offset, RAS; None if the quaternion is no rotation."""
    parts = np.array([raw[f"quatern_{name}"] for name in "bcd"], dtype=np.float64)
    offset = np.array([raw[f"qoffset_{name}"] for name in "xyz"], dtype=np.float64)
    square = float(parts @ parts)
    if not (np.isfinite(offset).all() and square <= 1 + _ROUNDING):
        return None
    parts /= max(math.sqrt(square), 1.0)
    rotation = quat2mat([math.sqrt(max(0.0, 1 - float(parts @ parts))), *parts])
    qfac = -1.0 if float(raw["pixdim"][0]) < 0 else 1.0  # the standard: what is not -1 is 1
    return np.column_stack([rotation * spacing * [1, 1, qfac], offset])


def _is_sound(matrix: Array, sides: tuple[int, ...]) -> bool:
    """Whether a matrix is one of axes at right angles, within rounding."""
    try:
        rectangular((sides[2], sides[1], sides[0]), matrix)
    except ValueError:
        return False
    return True


def _check_scales(path: Path, sform: Array, spacing: Array, sides: tuple[int, ...]) -> None:
    """Refuses an sform whose voxels are of another size than pixdim: ITK goes by the one, others by the other."""
    lengths = np.linalg.norm(sform[:, :3], axis=0)
    if np.isfinite(sform).all() and lengths.min() > 0:  # others are refused as a grid
        refuse_two_sizes(path, lengths, spacing, sides, ("sform", "pixdim"))


def apart(one: Array, other: Array, sides: tuple[int, ...]) -> float:
    """How far apart two matrices place a corner of the volume at most, in their unit."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in sides[:3]], indexing="ij"), dtype=np.float64).reshape(3, -1)
    return float(np.linalg.norm((one - other) @ np.vstack([corners, np.ones(8)]), axis=0).max())
