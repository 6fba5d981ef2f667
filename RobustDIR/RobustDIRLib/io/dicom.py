"""One DICOM volume from a folder or a file, every voxel where its header says and with the value that it stands for."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.dicom_frames import Frame, frames_of
from RobustDIRLib.io.dicom_headers import (
    CONTOURS,
    DIRECTORY,
    SEGMENTATIONS,
    Dataset,
    asking_pydicom,
    frame_count,
    headers_in,
    holds_pixels,
    is_dicom,
    kind_of,
    named,
    number,
    read_header,
)
from RobustDIRLib.io.dicom_pixels import UNSAID, Values, check_length, stored_pixels, values_of, without_padding
from RobustDIRLib.io.dicom_stack import placed
from RobustDIRLib.io.formats import named_format
from RobustDIRLib.io.payload import check_room

_PHILIPS_SCALE = (
    0x2005,
    0x100E,
)  # private: stored numbers by it are comparable across series, not values by the standard

_log = logging.getLogger(__name__)

_OF_A_PERSON_OR_STUDY = ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "FrameOfReferenceUID")

_LISTED = 10  # series, or files, in a message


def read_series(folder: Path) -> tuple[NDArray[Any], Grid]:
    """The one image series in a DICOM folder.

    Args:
        folder: Holds the slices themselves, or one multi-frame file; folders in it are not searched.
    Returns:
        Values `(z, y, x)` in their unit (HU, Gy), and the grid; slices ascend along the normal of row and column.
    Raises:
        InputError: If there is no series or several, slices are missing, doubled, tilted or irregularly spaced, or
            the pixels cannot be read.
    """
    with asking_pydicom(folder):
        headers = headers_in(folder)
        images = {p: h for p, h in headers.items() if holds_pixels(h) and kind_of(h) not in SEGMENTATIONS}
        if not images:
            raise InputError(_nothing_in(folder, headers))
        return _volume(folder, _without_copies(folder, _only_series(folder, images)))


def read_file(path: Path) -> tuple[NDArray[Any], Grid]:
    """The volume in one multi-frame DICOM file, as `read_series` gives it.

    Raises:
        InputError: If it holds a single slice or no image, or `read_series` would refuse it.
    """
    with asking_pydicom(path):
        header = read_header(path)
        _refuse_other_kinds(path, header)
        if frame_count(header) == 1 and not header.get("PerFrameFunctionalGroupsSequence"):
            raise InputError(f"{path} is one slice; give a 3D volume (a DICOM series by its folder, {path.parent}).")
        return _volume(path, {path: header})


def _refuse_other_kinds(path: Path, header: Dataset) -> None:
    kind = kind_of(header)
    if kind == DIRECTORY:
        raise InputError(
            f"{path} is an index (DICOMDIR) of files; give the folder in which the slices of a series lie."
        )
    if kind in SEGMENTATIONS:
        raise InputError(f"{path} is a DICOM segmentation; give it as labels or as a mask, and an image here.")
    if kind == CONTOURS or not holds_pixels(header):
        raise InputError(f"{path} is a DICOM object without pixels ({named(header)}); give an image.")


def _nothing_in(folder: Path, headers: dict[Path, Dataset]) -> str:
    """Why there is nothing to read, with the folders in it that hold images."""
    inner = [p for p in sorted(folder.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    holding = [p.name for p in inner if any(is_dicom(f) for f in list(_files(p))[:5])]
    if holding:
        listed = ", ".join(holding[:10]) + (", ..." if len(holding) > 10 else "")
        return f"{folder} holds no DICOM images itself; give the folder in it that holds the series ({listed})."
    volumes = [path.name for path in _files(folder) if named_format(path)]
    if volumes:
        return f"{folder} holds no DICOM images but {', '.join(volumes[:_LISTED])}; give the file itself."
    if any(path.suffix.lower() in (".gz", ".zip", ".tar", ".tgz", ".bz2", ".7z") for path in _files(folder)):
        return f"{folder} holds no DICOM images but packed files; unpack them first."
    kinds = sorted({named(header) for header in headers.values()})
    beside = f", only {', '.join(kinds)}" if kinds else ""
    return f"{folder} holds no DICOM images{beside}; give the folder in which the slices themselves lie."


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))


def _only_series(folder: Path, headers: dict[Path, Dataset]) -> dict[Path, Dataset]:
    series: dict[str, dict[Path, Dataset]] = {}
    for path, header in headers.items():
        series.setdefault(str(header.get("SeriesInstanceUID") or "without a UID"), {})[path] = header
    _refuse_mixed(folder, series)
    if len(series) > 1:
        listed = "; ".join(
            f"{uid} ({named(next(iter(files.values())))}, {sum(map(frame_count, files.values()))} slices)"
            for uid, files in list(series.items())[:_LISTED]
        ) + ("; ..." if len(series) > _LISTED else "")
        raise InputError(f"{folder} holds {len(series)} DICOM series, give the wanted one its own folder: {listed}.")
    return next(iter(series.values()))


def _refuse_mixed(folder: Path, series: dict[str, dict[Path, Dataset]]) -> None:
    """Refuses slices of several people, studies or frames of reference that bear the identity of one series."""
    for uid, headers in series.items():
        for keyword in _OF_A_PERSON_OR_STUDY:  # without the values, which may be names
            values = {str(header.get(keyword) or "") for header in headers.values()}
            if len(values) > 1:
                raise InputError(
                    f"{folder} holds slices of {len(values)} different {keyword}s in one series ({uid}); give each "
                    "volume its own folder."
                )


def _without_copies(folder: Path, headers: dict[Path, Dataset]) -> dict[Path, Dataset]:
    """The files without second copies of one and the same object: one identity for slices elsewhere makes no copies."""
    by_identity: dict[tuple[str, str], Path] = {}
    kept: dict[Path, Dataset] = {}
    for path, header in headers.items():
        identity = str(header.get("SOPInstanceUID") or path), str(header.get("ImagePositionPatient"))
        first = by_identity.setdefault(identity, path)
        if first == path:
            kept[path] = header
        elif not np.array_equal(stored_pixels(first), stored_pixels(path)):
            raise InputError(
                f"{folder} holds two slices of one identity (SOP Instance UID) and other pixels, {first.name} and "
                f"{path.name}; remove the wrong one."
            )
    if len(kept) < len(headers):
        _log.warning("%s: %d files are copies of others; they were passed over.", folder, len(headers) - len(kept))
    return kept


def _volume(where: Path, headers: dict[Path, Dataset]) -> tuple[NDArray[Any], Grid]:
    for path, header in headers.items():
        check_length(path, header)
    frames = [frame for path, header in headers.items() for frame in frames_of(path, header)]
    frames, grid = placed(where, frames)
    if len({str(header.get(_PHILIPS_SCALE)) for header in headers.values()}) > 1:
        _log.warning(
            "%s: the scanner scaled its slices differently (Philips scale slope); check their brightness.", where
        )
    return _filled(where, frames, grid.shape), grid


def _scalings(where: Path, frames: list[Frame]) -> list[Values]:
    """How the stored numbers of each frame become values.

    Raises:
        InputError: If some of them say it, and the rest do not.
    """
    values = [values_of(frame.path, frame.header, frame.shared, frame.own) for frame in frames]
    silent = [frame.path for frame, one in zip(frames, values, strict=True) if one is UNSAID]
    if 0 < len(silent) < len(frames):
        raise InputError(
            f"{where} holds {len(frames)} slices of which {len(silent)} do not say what their stored numbers stand for "
            f"({silent[0].name} has no RescaleSlope), and the rest do; export it again."
        )
    return values


def _filled(where: Path, frames: list[Frame], shape: tuple[int, int, int]) -> NDArray[Any]:
    """The values of all frames; of padding that would stand out against them, the lowest."""
    wide = any(number(frame.header, "BitsAllocated", 16.0) > 16 for frame in frames)
    kind, scalings = np.dtype(np.float64 if wide else np.float32), _scalings(where, frames)
    check_room(where, (kind.itemsize + 1) * math.prod(shape))
    array = np.empty(shape, kind)
    padded = np.zeros(shape, bool)
    files: dict[Path, list[int]] = {}
    for k, frame in enumerate(frames):
        files.setdefault(frame.path, []).append(k)
    for path, places in files.items():
        stored = stored_pixels(path)
        for k in places:
            values, plane = scalings[k], stored[frames[k].index]
            if values.slope == 0 and plane.any():
                raise InputError(f"{path} has a RescaleSlope of 0, so that its values are not known; export it again.")
            array[k] = values(plane)
            padded[k] = ~without_padding(path, frames[k].header, plane)
    return _padding_lowered(where, array, padded)


def _padding_lowered(where: Path, array: NDArray[Any], padded: NDArray[np.bool_]) -> NDArray[Any]:
    if not padded.any() or padded.all():
        return array
    lowest = array[~padded].min()
    standing_out = padded & (array > lowest)
    if standing_out.any():
        array[standing_out] = lowest
        _log.warning(
            "%s: %d voxels are padding outside the scan; read as its lowest value, %g.",
            where,
            standing_out.sum(),
            lowest,
        )
    return array
