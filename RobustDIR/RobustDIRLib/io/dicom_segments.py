"""DICOM segmentations: binary, fractional or a label map, each segment with its name, on their own grid."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.dicom_frames import Frame, frames_of
from RobustDIRLib.io.dicom_headers import (
    CONTOURS,
    SEGMENTATIONS,
    Dataset,
    asking_pydicom,
    headers_in,
    item,
    kind_of,
    number,
    read_header,
    refuse_lost_pixels,
)
from RobustDIRLib.io.dicom_pixels import check_length, stored_pixels
from RobustDIRLib.io.dicom_stack import sparse
from RobustDIRLib.io.formats import SERIES, VolumeFile
from RobustDIRLib.io.payload import check_room
from RobustDIRLib.io.segments import Segments, layered

_log = logging.getLogger(__name__)

_HALF = 0.5  # of the largest fraction: what a fractional segment holds at least half of is inside


def read_segments(file: VolumeFile) -> Segments | None:
    """The segments of a DICOM SEG file, or of the only one in a folder; None for anything else.

    Raises:
        InputError: If it cannot be read, a folder holds several, or it holds contours (RTSTRUCT) instead.
    """
    if not file.is_dicom:
        return None
    with asking_pydicom(file.path):
        path = _only_file(file.path) if file.kind == SERIES else file.path
        if path is None:
            return None
        header = read_header(path)
        if kind_of(header) == CONTOURS:
            raise InputError(_contours(path))
        return _read(path, header) if kind_of(header) in SEGMENTATIONS else None


def _contours(file: Path) -> str:
    return (
        f"{file} holds contours (RTSTRUCT), which lie on no grid of voxels; load it in 3D Slicer, export the "
        "segmentation as a label map (.nrrd, .nii.gz) on the grid of its image, and give that."
    )


def _only_file(folder: Path) -> Path | None:
    headers = headers_in(folder)
    found = [path for path, header in headers.items() if kind_of(header) in SEGMENTATIONS]
    if len(found) > 1:
        names = ", ".join(path.name for path in found[:5])
        raise InputError(f"{folder} holds {len(found)} DICOM segmentations, give the wanted one by its file: {names}.")
    contours = [path for path, header in headers.items() if kind_of(header) == CONTOURS]
    if not found and contours and len(contours) == len(headers):
        raise InputError(_contours(contours[0]))
    return found[0] if found else None


@dataclass(frozen=True)
class _Planes:
    """Frames of a segmentation, and of each its place along z in the grid."""

    frames: list[Frame]
    at: NDArray[np.int64]
    grid: Grid


def _read(path: Path, header: Dataset) -> Segments:
    refuse_lost_pixels(path, header)
    check_length(path, header)
    frames = frames_of(path, header)
    step, thickness = (frames[0].measure(keyword) for keyword in ("SpacingBetweenSlices", "SliceThickness"))
    planes = _Planes(frames, *sparse(path, frames, step, thickness))
    check_room(path, 5 * math.prod(planes.grid.shape))  # slices far from each other have many between them
    names = _described(path, header)
    names = {n: name or f"Segment {n}" for n, name in names.items() if n > 0 or kind_of(header) == SEGMENTATIONS[0]}
    stored = stored_pixels(path)
    if kind_of(header) == SEGMENTATIONS[1] or header.get("SegmentationType") == "LABELMAP":
        _refuse_doubled(path, planes.at)
        layer = np.zeros(planes.grid.shape, np.int32)
        layer[planes.at] = stored
        background = {0, int(number(header, "PixelPaddingValue", 0.0))}
        layer[np.isin(layer, list(background))] = 0
        return Segments((layer,), planes.grid, _all_named(names, np.unique(layer), background))
    if header.get("SegmentationType") == "FRACTIONAL":
        stored = _inside(path, header, stored)
    numbers = np.array([_segment_of(path, frame) for frame in frames])
    _refuse_doubled(path, np.column_stack([numbers, planes.at]))
    inside = layered(_structures(planes, numbers, stored), planes.grid)
    return Segments(inside, planes.grid, _all_named(names, numbers, {0}))


def _described(path: Path, header: Dataset) -> dict[int, str]:
    """Names of the segments that the file describes, empty where it gives none, by their numbers.

    Raises:
        InputError: If two have one number, so that a voxel's could be either.
    """
    described = header.get("SegmentSequence") or ()
    names = {int(number(one, "SegmentNumber", 0)): str(one.get("SegmentLabel") or "").strip() for one in described}
    if len(names) < len(described):
        raise InputError(
            f"{path} describes {len(described)} segments by {len(names)} numbers, so that it is not known which voxels "
            "are whose; export it again."
        )
    return names


def _all_named(names: dict[int, str], held: NDArray[Any], background: set[int]) -> dict[int, str]:
    """Names of all segments, those too that have voxels and no description: what has no name would be passed over."""
    found = {int(n): f"Segment {n}" for n in np.unique(held)} | names
    return {n: name for n, name in sorted(found.items()) if n not in background}


def _refuse_doubled(path: Path, places: NDArray[Any]) -> None:
    """Refuse several frames of one segment at one place, as of several time points: one would hide the other."""
    doubled = len(places) - len(np.unique(places, axis=0))
    if doubled:
        raise InputError(
            f"{path} has {doubled} frames at the place of another one of the same segment (several time points?); "
            "export each as a segmentation of its own."
        )


def _inside(path: Path, header: Dataset, stored: NDArray[Any]) -> NDArray[Any]:
    most = number(header, "MaximumFractionalValue", 255.0)
    _log.warning("%s holds fractions of segments; what a segment holds at least half of is inside.", path)
    return np.asarray(stored >= _HALF * most)


def _structures(
    planes: _Planes, segments: NDArray[np.int64], stored: NDArray[Any]
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Each segment with where it is, in the order of its number; `segments` are those of the frames."""
    for segment in np.unique(segments):
        inside = np.zeros(planes.grid.shape, bool)
        for k in np.flatnonzero(segments == segment):
            inside[planes.at[k]] |= stored[planes.frames[k].index] > 0
        yield int(segment), inside


def _segment_of(path: Path, frame: Frame) -> int:
    for groups in (frame.own, frame.shared):
        found = number(item(groups, "SegmentIdentificationSequence"), "ReferencedSegmentNumber", 0.0)
        if found > 0:
            return int(found)
    raise InputError(f"{path} does not say which segment a frame belongs to; export it again.")
