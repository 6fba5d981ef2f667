"""What a path leads to, asked once: the format by what stands in the file, and the header that all are read by.

A library that finds a format by a file's name reads a file with another's name wrongly, or complains in its own words;
and of the formats that ITK knows, some hold no voxel size, no orientation, or one that ITK passes over.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from RobustDIRLib.errors import InputError
from RobustDIRLib.io import metaimage, nifti, nrrd
from RobustDIRLib.io.dicom_headers import is_dicom
from RobustDIRLib.io.files import PathLike, packed_extension, regular_file
from RobustDIRLib.io.header import Header
from RobustDIRLib.io.mgh_minc import read_mgh_header, read_minc
from RobustDIRLib.io.payload import is_packed, unpacked

NIFTI, NRRD, META, MGH, MINC = "NIfTI", "NRRD", "MetaImage", "MGH", "MINC"
DICOM, SERIES = "DICOM", "a folder"
_HEADERS: dict[str, Callable[[Path], Header]] = {
    NIFTI: nifti.read_header,
    NRRD: nrrd.read_header,
    META: metaimage.read_header,
    MGH: read_mgh_header,
    MINC: read_minc,
}
_READ = "NIfTI, NRRD or MetaImage"

_HEAD = 1 << 14  # bytes in which every format shows itself
_EXTENSIONS = {
    NIFTI: (".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz"),
    NRRD: (".nrrd", ".nhdr"),
    META: (".mha", ".mhd"),
    MGH: (".mgh", ".mgz"),
    MINC: (".mnc",),
}
_BY_EXTENSION = {end: kind for kind, ends in _EXTENSIONS.items() for end in ends}
_PLANE = "is 2D and says nothing of its size or place"
# How files begin, what they are called, and why they are refused.
_REFUSED = (
    (b"\x89PNG", "PNG", _PLANE),
    (b"\xff\xd8\xff", "JPEG", _PLANE),
    (b"BM", "BMP", _PLANE),
    (b"GIF8", "GIF", _PLANE),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000", _PLANE),
    (b"II*\0", "TIFF", "does not say how far apart its planes are, nor how the patient lies"),
    (b"MM\0*", "TIFF", "does not say how far apart its planes are, nor how the patient lies"),
    (b"II+\0", "BigTIFF", "does not say how far apart its planes are, nor how the patient lies"),
    (b"MM\0+", "BigTIFF", "does not say how far apart its planes are, nor how the patient lies"),
    (b"# vtk DataFile", "VTK", "does not say how the patient lies"),
    (b"<VTKFile", "VTK XML", "does not say how the patient lies"),
    (b"SIMPLE  =", "FITS", "does not say how the patient lies"),
    (b"\x93NUMPY", "NumPy array", "does not say how large its voxels are, nor how the patient lies"),
    (b"MATLAB ", "MATLAB", "does not say how the patient lies in a way that is known here"),
    (b"PK\x03\x04", "ZIP archive", "may hold many files"),
    (b"\x37\x7a\xbc\xaf", "7-Zip archive", "may hold many files"),
    (b"Rar!", "RAR archive", "may hold many files"),
    (b"%PDF", "PDF", "holds no volume"),
    (b"version https://git-lfs", "Git LFS pointer", "only stands for the file"),
    (b"#INRIMAGE", "INRIMAGE", "does not say how the patient lies"),
)
# Formats that show themselves by a name alone, or by what stands further on.
_BY_NAME = {
    ".gipl": "GIPL", ".head": "AFNI", ".brik": "AFNI", ".par": "Philips PAR/REC", ".rec": "Philips PAR/REC",
    ".spr": "Stimulate", ".sdt": "Stimulate", ".pic": "BioRad", ".lsm": "Zeiss LSM", ".hdf5": "HDF5", ".h5": "HDF5",
    ".he5": "HDF5", ".mrc": "MRC", ".ccp4": "MRC", ".map": "MRC", ".ima": "Siemens", ".v": "ECAT", ".raw": "raw voxels",
    ".zraw": "packed voxels",
}  # fmt: skip
_CURE = f"export it as {_READ}"


@dataclass(frozen=True)
class VolumeFile:
    """A file that holds a volume, or the folder of a DICOM series.

    Attributes:
        path: Where it lies.
        kind: One of `NIFTI`, `NRRD`, `META`, `MGH`, `MINC`, `DICOM` and, of a folder, `SERIES`.
    """

    path: Path
    kind: str

    @property
    def is_dicom(self) -> bool:
        """Whether `dicom` and `dicom_segments` read it, which have no `Header`."""
        return self.kind in (DICOM, SERIES)

    @cached_property
    def header(self) -> Header:
        """The header of what is not DICOM; with its voxels in MINC, else without.

        Raises:
            InputError: If it is damaged, or says something that cannot be read rightly here.
        """
        return _HEADERS[self.kind](self.path)


def recognised(path: PathLike) -> VolumeFile:
    """What a path leads to; all that reads volumes begins here.

    Raises:
        InputError: If it is missing, no file, empty, or of a format that is not read, or bears the name of another.
    """
    if not os.fspath(path):  # which Python takes for the current folder
        raise InputError("an empty name is no file or folder; give its path.")
    path = Path(path)
    if os.path.isdir(path):
        return VolumeFile(path, SERIES)
    return VolumeFile(path, DICOM if is_dicom(regular_file(path)) else _format_of(path))


def _format_of(path: Path) -> str:
    """One of the five formats that are read here."""
    head, end = _head(path), packed_extension(path)
    kind = _format(path, head, end)
    if kind is None:
        raise InputError(_why_not(path, head, end))
    claimed = _BY_EXTENSION.get(end)
    if claimed is not None and claimed != kind:
        raise InputError(f"{path} is named as {claimed} and holds {kind}; rename it to {_EXTENSIONS[kind][0]}.")
    if kind in (NRRD, META, MINC) and is_packed(path):
        raise InputError(f"{path} is {kind} packed by gzip as a whole; unpack it first.")
    return kind


def named_format(path: Path) -> str | None:
    """Which of the formats a file is named as; None if none."""
    return _BY_EXTENSION.get(packed_extension(path))


def _head(path: Path) -> bytes:
    """The first bytes, unpacked."""
    try:
        with unpacked(path) as stream:
            return stream.read(_HEAD)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged or cut short, or cannot be read; copy or export it again.") from error


def _format(path: Path, head: bytes, end: str) -> str | None:
    if nifti.is_header(head):
        return NIFTI
    if head.startswith(nrrd.MAGIC):
        return NRRD
    if head.startswith((b"CDF\x01", b"CDF\x02")) or (head.startswith(b"\x89HDF") and end == ".mnc"):
        return MINC
    if end in _EXTENSIONS[MGH] and head[:4] == b"\x00\x00\x00\x01":
        return MGH
    if not head.startswith(b"# vtk") and metaimage.is_header(head):
        return META
    if end in (".img", ".img.gz"):
        return _format_of_pair(path, head, end)
    return None


def _format_of_pair(path: Path, head: bytes, end: str) -> str | None:
    """The format of the header beside voxels; NIfTI, whose reader names the file that lacks, where none is there."""
    stem = path.name[: -len(end)]
    headers = [found for e in (".hdr", ".HDR", ".hdr.gz") if os.path.exists(found := path.with_name(stem + e))]
    if not headers and not any(head.startswith(begin) for begin, _name, _reason in _REFUSED):
        return NIFTI
    readable = [header for header in headers if header.is_file() and os.access(header, os.R_OK)]
    return NIFTI if any(nifti.is_header(_head(header)) for header in readable) else None


def _why_not(path: Path, head: bytes, end: str) -> str:
    """The sentence that refuses a file of another format."""
    for begin, name, reason in _REFUSED:
        if head.startswith(begin):
            return f"{path} is {name}, which {reason}; {_CURE}."
    if head.startswith(b"\x89HDF"):
        return f"{path} is HDF5, in which no order of axes or patient is agreed; {_CURE}."
    if head[:4] in ((348).to_bytes(4, "little"), (348).to_bytes(4, "big")) or end.startswith((".hdr", ".img")):
        return (
            f"{path} is Analyze 7.5 or no image at all: Analyze does not say which side is left, and programs read it "
            f"mirrored; {_CURE} with the program that wrote it."
        )
    if head[252:256] in (b"\xef\xff\xe9\xb0", b"\x2a\xe3\x89\xb8"):
        return f"{path} is GIPL, whose orientation ITK passes over; {_CURE}."
    if head[208:212] == b"MAP ":
        return f"{path} is MRC, which does not say how the patient lies; {_CURE}."
    if head.lstrip()[:5].lower() in (b"<!doc", b"<html"):
        return f"{path} is a web page, a failed download perhaps; download the image again."
    if other := _BY_NAME.get(end):
        return f"{path} is named as {other}, which is not read here, as its geometry cannot be checked; {_CURE}."
    if claimed := _BY_EXTENSION.get(end):
        return f"{path} is damaged, cut short or no {claimed} file; copy or export it again."
    return f"{path} cannot be read as an image: it is damaged, cut short or of an unknown format; export it as {_READ}."
