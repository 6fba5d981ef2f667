"""Where each frame of DICOM files lies: classic slices, enhanced multi-frame, RT dose, nuclear medicine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array
from RobustDIRLib.io.dicom_headers import (
    SECONDARY_CAPTURE,
    Dataset,
    frame_count,
    half_digit,
    holds_pixels,
    item,
    kind_of,
    number,
    numbers,
)

_TIMES = {0x00181063, 0x00181065}  # FrameTime and FrameTimeVector, which lead from one frame to the next
_GATES = ("TimeSlotVector", "EnergyWindowVector", "PhaseVector", "DetectorVector")


@dataclass(frozen=True)
class Frame:
    """One plane of pixels.

    Attributes:
        path: The file.
        index: Which frame of the file, from 0.
        shape: Rows and columns.
        position: Centre of the first pixel, mm, LPS.
        orientation: Direction of a row, then of a column, as written; `(6,)`, LPS.
        spacing: Distance of pixel centres along a row (x) and along a column (y), mm.
        rounding: How far rounding may have moved each direction cosine, and each coordinate in mm.
        header: Of the file.
        shared: Functional groups of all frames of the file; empty in classic files.
        own: Functional groups of this frame; empty in classic files.
    """

    path: Path
    index: int
    shape: tuple[int, int]
    position: Array
    orientation: Array
    spacing: Array
    rounding: tuple[float, float]
    header: Dataset
    shared: Dataset
    own: Dataset

    def measure(self, keyword: str) -> float:
        """A distance that is not below 0, of the pixel measures or the file, mm; 0 if neither says it."""
        holders = [*(item(groups, "PixelMeasuresSequence") for groups in (self.own, self.shared)), self.header]
        return next((one for holder in holders if (one := abs(number(holder, keyword, 0.0))) > 0), 0.0)

    def telling(self, keyword: str, sequence: str | None) -> str:
        """What an element says of this frame, as text; empty if nothing."""
        if sequence is None:
            value = self.header.get(keyword)
            if keyword in _GATES and value is not None and self.index < len(value):
                value = value[self.index]
        else:
            groups = next((g for g in (self.own, self.shared) if g.get(sequence)), Dataset())
            value = item(groups, sequence).get(keyword)
            if keyword == "DiffusionGradientOrientation":
                value = item(item(groups, "MRDiffusionSequence"), sequence).get(keyword)
        return "" if value is None else str(value)


def frames_of(path: Path, header: Dataset) -> list[Frame]:
    """Every frame of a file, in the order in which it holds them.

    Raises:
        InputError: If the file does not say where its frames lie in the patient, or contradicts itself.
    """
    _refuse_tiles(path, header)
    count = frame_count(header)
    shared = item(header, "SharedFunctionalGroupsSequence")
    own = list(header.get("PerFrameFunctionalGroupsSequence") or [])
    if own and len(own) != count:
        raise InputError(
            f"{path} says that it has {count} frames and describes {len(own)}; export it again from the scanner."
        )
    own = own or [Dataset()] * count
    planes = [_Plane(path, header, shared, one) for one in own]
    positions = [plane.position() for plane in planes]
    if count > 1 and not any("PlanePositionSequence" in groups for groups in (shared, *own)):
        positions = _stacked(path, header, positions[0], planes[0].orientation(), count)
    return [
        Frame(
            path,
            index,
            (int(header.Rows), int(header.Columns)),
            positions[index],
            plane.orientation(),
            plane.spacing(),
            plane.rounding(),
            header,
            shared,
            one,
        )
        for index, (plane, one) in enumerate(zip(planes, own, strict=True))
    ]


def _refuse_tiles(path: Path, header: Dataset) -> None:
    if not holds_pixels(header):
        raise InputError(f"{path} is a DICOM object without pixels ({header.get('Modality')}); give an image.")
    if "MOSAIC" in [str(word).upper() for word in header.get("ImageType") or ()]:
        raise InputError(
            f"{path} is a mosaic, which shows all slices of a volume side by side in one picture; convert it, by "
            "dcm2niix for instance, and give a single volume."
        )


class _Plane:
    """The elements that place one frame: its own functional groups first, then those of all, then the file's."""

    def __init__(self, path: Path, header: Dataset, shared: Dataset, own: Dataset) -> None:
        self.path = path
        self.header = header
        self.groups = (own, shared)

    def _holder(self, sequence: str, keyword: str) -> Dataset:
        found = [item(groups, sequence) for groups in self.groups]
        detector = item(self.header, "DetectorInformationSequence")  # nuclear medicine
        return next((one for one in (*found, self.header, detector) if keyword in one), Dataset())

    def _numbers(self, sequence: str, keyword: str, count: int, what: str) -> Array:
        found = numbers(self._holder(sequence, keyword), keyword)
        if found.size != count:
            raise InputError(
                f"{self.path} does not say {what} ({keyword} is missing or damaged){self._picture()}; give the "
                "original series, or export it as a volume (NIfTI, NRRD)."
            )
        return found

    def _picture(self) -> str:
        captured = kind_of(self.header).startswith(SECONDARY_CAPTURE)
        return ", as it is a picture (secondary capture), no volume" if captured else ""

    def position(self) -> Array:
        """Centre of the first pixel, mm, LPS."""
        return self._numbers("PlanePositionSequence", "ImagePositionPatient", 3, "where its slices lie")

    def orientation(self) -> Array:
        """Directions of a row and of a column."""
        return self._numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6, "how its slices are turned")

    def spacing(self) -> Array:
        """Distances of pixel centres along x and y, mm."""
        found = self._numbers("PixelMeasuresSequence", "PixelSpacing", 2, "how large its pixels are")
        if found.min() <= 0:
            raise InputError(
                f"{self.path} has pixels of no extent (PixelSpacing {found[0]:g}, {found[1]:g} mm); export it again."
            )
        return found[::-1]  # the standard gives the distance of rows first

    def rounding(self) -> tuple[float, float]:
        """Half of the last digits of orientation and position."""
        keywords = (
            ("PlaneOrientationSequence", "ImageOrientationPatient"),
            (
                "PlanePositionSequence",
                "ImagePositionPatient",
            ),
        )
        turned, placed = (half_digit(self._holder(*pair), pair[1]) for pair in keywords)
        return turned, placed


def _stacked(path: Path, header: Dataset, first: Array, orientation: Array, count: int) -> list[Array]:
    """Positions of the frames of a file that places the first of them alone."""
    normal = np.cross(orientation[:3], orientation[3:])
    if header.get("GridFrameOffsetVector") is not None:
        offsets = _dose_offsets(path, header, first, normal, count)
    else:
        offsets = _reconstructed_offsets(path, header, count)
    return [first + offset * normal / np.linalg.norm(normal) for offset in offsets]


def _dose_offsets(path: Path, header: Dataset, first: Array, normal: Array, count: int) -> Array:
    """Distances of the planes of a dose from the first, mm along the normal (PS3.3 C.8.8.3.2).

    The vector holds distances, beginning with 0, or for transversal planes the patient's z, beginning with the first's.
    """
    vector = numbers(header, "GridFrameOffsetVector")
    if vector.size != count:
        raise InputError(
            f"{path} has {count} planes of dose and {vector.size} places for them (GridFrameOffsetVector); export it "
            "again."
        )
    if vector[0] == 0:
        return vector
    upright = abs(abs(normal[2]) - 1) < 1e-3
    if not upright or abs(vector[0] - first[2]) > 0.01:
        raise InputError(
            f"{path} contradicts itself on where its planes of dose lie (GridFrameOffsetVector begins with "
            f"{vector[0]:g}, the first plane is at z = {first[2]:g} mm); export it again."
        )
    return np.asarray((vector - vector[0]) * np.sign(normal[2]))


def _reconstructed_offsets(path: Path, header: Dataset, count: int) -> Array:
    """Distances of the slices of nuclear medicine, mm along the normal, by their numbers (PS3.3 C.8.4.15)."""
    kind = [str(word) for word in header.get("ImageType") or ()]
    if header.get("Modality") == "NM" and "RECON" not in " ".join(kind[2:3]):
        raise InputError(
            f"{path} holds projections or planar images of nuclear medicine ({' '.join(kind[2:3])}); give the "
            "reconstructed slices."
        )
    if _TIMES & {int(tag) for tag in np.ravel(header.get("FrameIncrementPointer") or ())}:
        raise InputError(f"{path} holds {count} frames one after another in time, no volume; give a 3D volume.")
    step, slices = number(header, "SpacingBetweenSlices", np.nan), numbers(header, "SliceVector")
    if not np.isfinite(step) or step == 0 or slices.size not in (0, count):
        raise InputError(
            f"{path} does not say where its {count} frames lie, only the first; give the original series, or export "
            "it as a volume (NIfTI, NRRD)."
        )
    return np.asarray(step * (np.arange(count) if slices.size == 0 else slices - slices.min()), dtype=np.float64)
