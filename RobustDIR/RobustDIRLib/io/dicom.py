"""One DICOM series from a folder, with its slices where their headers say."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array
from RobustDIRLib.io.files import last_line, quiet_itk

_log = logging.getLogger(__name__)

_POSITION, _ORIENTATION, _MODALITY, _DESCRIPTION = "0020|0032", "0020|0037", "0008|0060", "0008|103e"
# Relative to the usual distance of slices: beyond the first a volume is refused, beyond the second the user is told.
_REFUSED, _TOLD = 0.1, 0.01


def read_series(folder: Path) -> sitk.Image:
    """The one image series in a DICOM folder.

    Args:
        folder: Holds the slices themselves; folders in it are not searched.
    Returns:
        The volume as SimpleITK reads it, pixels rescaled to their unit (HU).
    Raises:
        InputError: If there is no series or several, slices are missing, doubled, tilted or irregularly spaced, or
            the pixels cannot be read.
    """
    with quiet_itk():
        files = _files_of_only_series(folder)
        _check_slices(folder, files)
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(files)
        try:
            return reader.Execute()
        except RuntimeError as error:
            raise InputError(
                f"{folder} holds a DICOM series that cannot be read ({last_line(error)}); export it again."
            ) from error


def _files_of_only_series(folder: Path) -> list[str]:
    series = {uid: list(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)) for uid in _series(folder)}
    if not series:
        raise InputError(f"{folder} holds no DICOM images; give the folder in which the slices themselves lie.")
    if len(series) > 1:
        headers = {uid: _header(files[0]) for uid, files in series.items()}
        listed = "; ".join(
            f"{uid} ({_tag(headers[uid], _MODALITY)} {_tag(headers[uid], _DESCRIPTION)}, {len(series[uid])} slices)"
            for uid in series
        )
        raise InputError(f"{folder} holds {len(series)} DICOM series, give the wanted one its own folder: {listed}.")
    return next(iter(series.values()))


def _series(folder: Path) -> tuple[str, ...]:
    """The series with pixels; contours, plans and reports that lie beside a scan are none to GDCM."""
    try:
        return tuple(sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)))
    except RuntimeError as error:
        raise InputError(f"{folder} cannot be searched for DICOM ({last_line(error)}); check the folder.") from error


def _header(file: str) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(file)
    reader.SetImageIO("GDCMImageIO")
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"{file} cannot be read as a DICOM image ({last_line(error)}); export it again.") from error
    return reader


def _tag(header: sitk.ImageFileReader, tag: str) -> str:
    return header.GetMetaData(tag).strip() if header.HasMetaDataKey(tag) else ""


def _numbers(header: sitk.ImageFileReader, tag: str) -> Array:
    try:
        return np.array([float(part) for part in _tag(header, tag).split("\\")])
    except ValueError:
        return np.empty(0)


def _check_slices(folder: Path, files: list[str]) -> None:
    """Refuses a series whose slices do not lie on one regular grid, which ITK would read as if they did."""
    if len(files) == 1:
        return  # one slice or an enhanced multi-frame file: its geometry is its own
    headers = [_header(file) for file in files]
    positions = [_numbers(header, _POSITION) for header in headers]
    orientations = [_numbers(header, _ORIENTATION) for header in headers]
    lacking = sum(len(p) != 3 or len(o) != 6 for p, o in zip(positions, orientations, strict=True))
    if lacking:
        raise InputError(
            f"{folder} has {lacking} DICOM slices without position or orientation; export it again as a volume."
        )
    turned = np.abs(np.array(orientations) - orientations[0]).max(axis=1) > 1e-3
    if turned.any():
        raise InputError(
            f"{folder} holds slices of different orientation ({turned.sum()} of {len(files)} differ from the first, a "
            "localizer perhaps); give each volume its own folder."
        )
    _check_positions(folder, np.array(positions), orientations[0])


def _check_positions(folder: Path, positions: Array, orientation: Array) -> None:
    """Checks the distances of slices along their normal, and that none slides sideways, positions `(N, 3)` in mm."""
    normal = np.cross(orientation[:3], orientation[3:])
    positions = positions[np.argsort(positions @ normal)]
    gaps = np.diff(positions @ normal)
    usual = float(np.median(gaps))
    if gaps.min() < 1e-3:
        doubled = int((gaps < 1e-3).sum())
        raise InputError(
            f"{folder} has {doubled} DICOM slices at the place of another one (several time points or echoes?); give "
            "each volume its own folder."
        )
    off = np.abs(gaps / usual - 1)
    if off.max() > _REFUSED:
        raise InputError(
            f"{folder} has slices missing or irregularly spaced: usually {usual:.3f} mm apart, at "
            f"{(off > _REFUSED).sum()} places not, as far as {gaps[off.argmax()]:.3f} mm; export the whole series or "
            "resample it to regular slices."
        )
    if off.max() > _TOLD:
        _log.warning("%s: slices lie %.3f to %.3f mm apart, read as if evenly spaced.", folder, gaps.min(), gaps.max())
    steps = np.diff(positions, axis=0)
    sideways = float(np.linalg.norm(steps - gaps[:, None] * normal, axis=1).max())
    if sideways > _TOLD * usual:
        raise InputError(
            f"{folder} has slices that slide sideways by up to {sideways:.3f} mm from one to the next (a tilted "
            "gantry); resample it to a rectangular grid first."
        )
