"""DICOM objects of all kinds, written with pydicom: slices, enhanced multi-frame, dose, nuclear medicine, pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, Sequence
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT, PET, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.128", "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_CT, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.4.1"
DOSE, NUCLEAR = "1.2.840.10008.5.1.4.1.1.481.2", "1.2.840.10008.5.1.4.1.1.20"
CAPTURE, CAPTURES = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.2"
CONTOURS, PARAMETERS = "1.2.840.10008.5.1.4.1.1.481.3", "1.2.840.10008.5.1.4.1.1.30"

SHAPE = (10, 11, 13)
SPACING = (1.5, 0.7, 2.5)  # x, y, z
ORIGIN = np.array([-10.0, 20.0, 30.0])


def turned(x: float = 0.3, z: float = 0.2) -> np.ndarray:
    """Oblique axes in columns: turned about x, then about z."""
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return about_z @ about_x


def stored(seed: int = 5, low: int = -1000, high: int = 2000, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Whole numbers without any symmetry, `(z, y, x)`."""
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.int16)


def place(k: float, axes: np.ndarray, step: float = SPACING[2]) -> np.ndarray:
    """Centre of the first pixel of slice k."""
    return ORIGIN + axes[:, 2] * step * k


def short(values: Any, decimals: int = 6) -> list[str]:
    """Decimal strings of at most 16 characters, as DICOM has them."""
    return [f"{value:.{decimals}f}" for value in np.ravel(values)]


def an_object(kind: str, modality: str, **tags: Any) -> Dataset:
    """What every object says of itself; a tag of None is left out."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = kind, generate_uid(), modality
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2", "1.2.3"
    data.PatientID, data.SeriesDescription = "P1", "Chest"
    for keyword, value in tags.items():
        setattr(data, keyword, value)
    return data


def set_pixels(data: Dataset, array: np.ndarray, **tags: Any) -> Dataset:
    """Pixels `(rows, columns)` or `(frames, rows, columns)` of whole numbers, with the elements that describe them."""
    bits = 8 * array.dtype.itemsize
    if array.ndim == 3:
        data.NumberOfFrames = len(array)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = array.shape[-2:]
    data.BitsAllocated, data.BitsStored, data.HighBit = bits, bits, bits - 1
    data.PixelRepresentation = int(array.dtype.kind == "i")
    for keyword, value in tags.items():
        setattr(data, keyword, value)
    data.PixelData = array.astype(array.dtype.newbyteorder("<")).tobytes()
    data["PixelData"].VR = "OW" if bits > 8 else "OB"
    return data


def save(data: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    """The object as a file."""
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def a_slice(plane: np.ndarray, position: Any, axes: np.ndarray, *, decimals: int = 6, **tags: Any) -> Dataset:
    """One classic slice; pixel elements among the tags, too."""
    data = an_object(CT, "CT")
    data.ImagePositionPatient = short(position)
    data.ImageOrientationPatient = short(axes[:, :2].T, decimals)
    data.PixelSpacing = [str(SPACING[1]), str(SPACING[0])]
    return set_pixels(data, plane, **tags)


def write_slices(
    folder: Path, array: np.ndarray, axes: np.ndarray | None = None, each: Any = None, **tags: Any
) -> Path:
    """A classic series, its file names against the order of its slices; `each(k)` gives tags of slice k, or None."""
    axes = turned() if axes is None else axes
    for k, plane in enumerate(array):
        own = each(k) if each else {}
        if own is not None:
            position = own.pop("position", place(k, axes))
            a = {"InstanceNumber": k + 1, **tags, **own}
            save(a_slice(plane, position, axes, **a), folder / f"{99 - k}.dcm")
    return folder


def items(**tags: Any) -> Sequence:
    """A sequence of one item."""
    one = Dataset()
    for keyword, value in tags.items():
        setattr(one, keyword, value)
    return Sequence([one])


def enhanced(
    array: np.ndarray,
    positions: Any,
    axes: np.ndarray,
    *,
    kind: str = ENHANCED_CT,
    modality: str = "CT",
    own: Any = None,
) -> Dataset:
    """An enhanced multi-frame object; `own(k)` gives further sequences of frame k."""
    data = set_pixels(an_object(kind, modality), array)
    shared, frames = Dataset(), []
    shared.PixelMeasuresSequence = items(PixelSpacing=[str(SPACING[1]), str(SPACING[0])], SliceThickness="9")
    shared.PlaneOrientationSequence = items(ImageOrientationPatient=short(axes[:, :2].T))
    for k, position in enumerate(positions):
        frame = Dataset()
        frame.PlanePositionSequence = items(ImagePositionPatient=short(position))
        for keyword, value in (own(k) if own else {}).items():
            setattr(frame, keyword, value)
        frames.append(frame)
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    data.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return data
