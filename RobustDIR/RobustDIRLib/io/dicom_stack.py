"""Frames of DICOM files stacked to one volume, once they are known to lie on a regular grid at right angles."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array, Grid, refuse_absurd
from RobustDIRLib.io.dicom_differences import check_one_volume, what_differs
from RobustDIRLib.io.dicom_frames import Frame

_log = logging.getLogger(__name__)

# Relative to the distance of slices: beyond the first a volume is refused, beyond the second the user is told.
_REFUSED, _TOLD = 0.1, 0.01
# Voxels by which a corner may move when axes are made rectangular, beyond what rounded decimals explain.
_SKEW = 0.1
# Slices nearer than this, in mm or as a share of the mean distance, lie at one place.
_SAME_PLACE, _SAME_SHARE = 1e-3, 0.02
# Slices of segmentations that are thinner than this share of the least distance between them may leave some out.
_GAPPED = 0.7
# Times by which slices lie further apart, or nearer, than the header says, before the user is told.
_OTHER_STEP = 1.5
# How far off right angles (rad) rounded axes may be: two decimals explain as much, fewer say too little.
_ROUNDED = 0.02


def placed(where: Path, frames: list[Frame]) -> tuple[list[Frame], Grid]:
    """The frames in the order of their places, ascending along the normal of row and column, and the grid they fill.

    Args:
        where: Their file or folder, for messages.
        frames: In any order.
    Raises:
        InputError: If they are not of one kind, or do not lie on a regular grid.
    """
    if len(frames) < 2:
        raise InputError(f"{where} holds one slice; give a 3D volume (a DICOM series by its folder).")
    frames = _rounded_alike(frames)
    _refuse_unlike(where, frames)
    places = frames_along(where, frames)
    _check_places(where, frames, places)
    check_one_volume(where, frames, places)
    frames = [frames[k] for k in np.argsort(places, kind="stable")]
    positions = np.array([frame.position for frame in frames])
    grid = _grid(where, frames[0], positions[-1] - positions[0], len(frames))
    _check_line(where, positions, grid.spacing[2], frames[0].rounding[1])
    _tell_other_step(where, frames[0], grid.spacing[2])
    return frames, grid


def _tell_other_step(where: Path, first: Frame, step: float) -> None:
    """Tell where the header has slices at another distance, as where every second one was lost.

    Some scanners write the gap between slices there, which is less than they are thick.
    """
    said, thickness = first.measure("SpacingBetweenSlices"), first.measure("SliceThickness")
    if said and said > _GAPPED * thickness and not 1 / _OTHER_STEP < step / said < _OTHER_STEP:
        _log.warning(
            "%s: slices lie %.3f mm apart, and SpacingBetweenSlices says %.3f mm; check that none are missing or of "
            "another volume.",
            where,
            step,
            said,
        )


def sparse(where: Path, frames: list[Frame], step: float, thickness: float) -> tuple[NDArray[np.int64], Grid]:
    """Where frames lie that leave slices out and share slices, as those of segmentations do.

    Args:
        where: Their file, for messages.
        frames: In any order.
        step: Distance of slices, mm; 0 if the file does not say.
        thickness: Of slices, mm, for the distance where all frames share one slice; 0 if the file does not say.
    Returns:
        Of each frame its index along z, and the grid from the lowest frame to the highest.
    Raises:
        InputError: If they are not of one kind, or do not lie on a regular grid.
    """
    frames = _rounded_alike(frames)
    _refuse_unlike(where, frames)
    places = frames_along(where, frames)
    distinct = np.unique(np.round(places - places.min(), 3))
    apart = _even_step(where, np.diff(distinct), step, thickness)
    low, high = frames[int(places.argmin())], frames[int(places.argmax())]
    count = int(np.rint(distinct[-1] / apart)) + 1
    normal = np.cross(low.orientation[:3], low.orientation[3:])
    across = high.position - low.position if count > 1 else normal * apart
    grid = _grid(where, low, across, count)
    at = np.rint((places - places.min()) / grid.spacing[2]).astype(np.int64)
    beside = np.array([frame.position for frame in frames]) - grid.points_from_voxels([(k, 0, 0) for k in at])
    if np.abs(beside).max() > _REFUSED * grid.spacing[2] + 2 * low.rounding[1]:
        raise InputError(f"{where} has slices off a regular grid by {np.abs(beside).max():.3f} mm; export it again.")
    return at, grid


def _even_step(where: Path, gaps: Array, step: float, thickness: float) -> float:
    """The distance of slices, mm, that all gaps between those that are there are multiples of."""
    candidates = [step, float(gaps.min())] if len(gaps) else [step or thickness or 1.0]
    even = [s for s in candidates if s > 0 and np.abs(gaps / s - np.rint(gaps / s)).max(initial=0) <= _REFUSED]
    if not even:
        raise InputError(
            f"{where} has irregularly spaced slices, {gaps.min():.3f} to {gaps.max():.3f} mm apart; export it again on "
            "regular slices."
        )
    if len(gaps) and gaps.min() > _OTHER_STEP * even[0]:
        _log.warning(
            "%s: no slices lie nearer than %.3f mm, and SpacingBetweenSlices says %.3g mm; check for gaps in it.",
            where,
            gaps.min(),
            even[0],
        )
    if not step and len(gaps) and 0 < thickness < _GAPPED * even[0]:
        _log.warning(
            "%s does not say how far its slices lie apart; taken as %.3f mm, though they are %.3f mm thick: check it.",
            where,
            even[0],
            thickness,
        )
    return even[0]


def _rounded_alike(frames: list[Frame]) -> list[Frame]:
    """The frames, each with the rounding of all: a number that is whole by chance does not show its decimals."""
    turned, moved = (max(frame.rounding[k] for frame in frames) for k in (0, 1))
    return [replace(frame, rounding=(turned, moved)) for frame in frames]


def frames_along(where: Path, frames: list[Frame]) -> Array:
    """Places of frames `(N,)` along the normal of their rows and columns, mm.

    Raises:
        InputError: If these are not at right angles or not of unit length.
    """
    row, column = frames[0].orientation[:3], frames[0].orientation[3:]
    normal = np.cross(row, column)
    lengths = np.linalg.norm([row, column], axis=1)
    if np.abs(lengths - 1).max() > _ROUNDED or abs(row @ column) > 2 * _ROUNDED:
        raise InputError(
            f"{where} has slices whose rows and columns are not at right angles or not of unit length "
            "(ImageOrientationPatient); export it again."
        )
    return np.array([frame.position @ normal / np.linalg.norm(normal) for frame in frames])


def _refuse_unlike(where: Path, frames: list[Frame]) -> None:
    """Refuses slices that are not of one size, spacing and orientation."""
    first = frames[0]
    turned = sum(np.abs(f.orientation - first.orientation).max() > 1e-3 + 2 * f.rounding[0] for f in frames)
    if turned:
        raise InputError(
            f"{where} holds slices of different orientation ({turned} of {len(frames)} differ from the first, a "
            "localizer perhaps); give each volume its own folder."
        )
    sizes = sorted({frame.shape[::-1] for frame in frames})
    if len(sizes) > 1:
        listed = ", ".join(f"{x} x {y}" for x, y in sizes[:4])
        raise InputError(f"{where} holds slices of different size ({listed} pixels); give each volume its own folder.")
    units = sorted({str(f.header.get("Units") or f.header.get("DoseUnits") or "none") for f in frames})
    if len(units) > 1:
        raise InputError(
            f"{where} holds slices in different units ({', '.join(units)}); give each volume its own folder."
        )
    unlike = sum(np.abs(f.spacing / first.spacing - 1).max() > 1e-3 for f in frames)
    if unlike:
        raise InputError(
            f"{where} holds slices of different pixel spacing ({unlike} of {len(frames)} differ from the first); give "
            "each volume its own folder."
        )


def _check_places(where: Path, frames: list[Frame], places: Array) -> None:
    """Checks that slices are evenly spaced along their normal, places `(N,)` in mm in the order of the frames."""
    _refuse_doubled(where, frames, places)
    gaps = np.diff(np.sort(places))
    usual = float(np.median(gaps))
    off = np.abs(gaps / usual - 1)
    if off.max() > _REFUSED + 2 * frames[0].rounding[1] / usual:
        told = what_differs(frames, places)
        if told:
            raise InputError(f"{where} holds several volumes, {told}; give each volume its own folder or file.")
        raise InputError(
            f"{where} has slices missing or irregularly spaced: usually {usual:.3f} mm apart, at "
            f"{(off > _REFUSED).sum()} places not, as far as {gaps[off.argmax()]:.3f} mm; export the whole series or "
            "resample it to regular slices."
        )
    even = np.linspace(places.min(), places.max(), len(places))
    away = float(np.abs(np.sort(places) - even).max())
    if away > _REFUSED * usual + frames[0].rounding[1]:
        raise InputError(
            f"{where} has slices whose distance changes from {gaps.min():.3f} to {gaps.max():.3f} mm, up to {away:.3f} "
            "mm off an even spacing; resample it to regular slices first."
        )
    if max(float(off.max()), away / usual) > _TOLD:
        _log.warning("%s: slices lie %.3f to %.3f mm apart, read as if evenly spaced.", where, gaps.min(), gaps.max())


def _refuse_doubled(where: Path, frames: list[Frame], places: Array) -> None:
    gaps = np.diff(np.sort(places))
    doubled = int((gaps < max(_SAME_PLACE, _SAME_SHARE * gaps.mean())).sum())
    if doubled:
        told = what_differs(frames, places) or "several time points, echoes or copies?"
        raise InputError(
            f"{where} has {doubled} DICOM slices at the place of another one, {told}; give each volume its own "
            "folder or file."
        )


def _grid(where: Path, first: Frame, across: Array, count: int) -> Grid:
    """The grid of so many slices, `across` mm from the first to the last (to the next, if there is only one)."""
    step = float(np.linalg.norm(across)) / max(count - 1, 1)
    written = np.stack([first.orientation[:3], first.orientation[3:], across / np.linalg.norm(across)], axis=1)
    written[:, :2] /= np.linalg.norm(written[:, :2], axis=0)
    direction = _upright(written)
    spacing = np.array([*first.spacing, step])
    shape = count, *first.shape
    try:
        refuse_absurd(spacing, first.position)
    except InputError as error:
        raise InputError(f"{where} has {error}; export it again.") from error
    _check_tilt(where, first, written, direction, spacing * (np.array(shape[::-1]) - 1), step)
    return Grid(shape, tuple(spacing), tuple(first.position), tuple(map(tuple, direction)))


def _upright(written: Array) -> Array:
    """Axes at right angles, in columns: the way from slice to slice is kept, the others turn as little as can be."""
    across = written[:, 2]
    inside = written[:, :2] - np.outer(across, across @ written[:, :2])
    u, _, v = np.linalg.svd(inside, full_matrices=False)
    return np.column_stack([u @ v, across])


def _check_tilt(where: Path, first: Frame, written: Array, direction: Array, extent: Array, step: float) -> None:
    """Refuses axes that are not at right angles beyond what their decimals explain, `extent` (x, y, z) in mm.

    Axes written with two decimals are up to a hundredth off: that is no tilt of the gantry.
    """
    off = np.linalg.norm(written - direction, axis=0)
    length = max(float(extent[2]), step)
    explained = min(2 * np.sqrt(3) * (first.rounding[0] + first.rounding[1] / length), _ROUNDED)
    smallest = float(min(*first.spacing, step))
    moved = float((np.maximum(off - explained, 0) * extent).max()) / smallest
    if moved > _SKEW:
        normal = np.cross(first.orientation[:3], first.orientation[3:])
        normal /= np.linalg.norm(normal)
        slide = float(np.linalg.norm(written[:, 2] - (written[:, 2] @ normal) * normal)) * step
        raise InputError(
            f"{where} has slices that slide sideways by up to {slide:.3f} mm from one to the next (a tilted "
            "gantry); resample it to a rectangular grid first."
        )
    corner = float((off * extent).max())
    if corner > _SKEW * smallest:
        _log.warning(
            "%s has rounded axes that are not quite at right angles; made rectangular, which moves corners %.2f mm.",
            where,
            corner,
        )


def _check_line(where: Path, positions: Array, step: float, rounding: float) -> None:
    """Refuses slices of which some lie beside the straight line from the first to the last."""
    even = np.linspace(positions[0], positions[-1], len(positions))
    across = (positions[-1] - positions[0]) / np.linalg.norm(positions[-1] - positions[0])
    beside = positions - even
    sideways = float(np.linalg.norm(beside - np.outer(beside @ across, across), axis=1).max())
    if sideways > _REFUSED * step + 2 * rounding:
        raise InputError(
            f"{where} has slices that slide sideways by up to {sideways:.3f} mm, off a straight stack; resample it "
            "to a rectangular grid first."
        )
