"""The values that a DICOM file's pixels stand for: stored numbers, and what turns these into values (HU, Gy)."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array
from RobustDIRLib.io.dicom_headers import (
    DICOM_ERRORS,
    SEGMENTATIONS,
    Dataset,
    frame_count,
    item,
    kind_of,
    number,
    numbers,
    read_whole,
)
from RobustDIRLib.io.dicom_streams import check_streams
from RobustDIRLib.io.files import last_line
from RobustDIRLib.io.payload import DEFLATE, cut_short
from RobustDIRLib.io.quiet import quiet_itk, silent_libraries

_SECONDARY_CAPTURE = pydicom.uid.UID(
    "1.2.840.10008.5.1.4.1.1.7.3"
)  # gray, 16 bits, several frames: GDCM rescales nothing of it
_FLOATS = ("FloatPixelData", "DoubleFloatPixelData")
_KEPT = (
    "SamplesPerPixel", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PixelData",
)  # fmt: skip
_PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"
_PADDING = 16  # bits, by fewer of which pixels may be longer than their frames: they fill bytes, an even number of them
_LEAST_FRAGMENT = 8  # bytes that each compressed frame takes at least


@dataclass(frozen=True)
class Values:
    """How stored numbers become values: by a line, or by a table.

    Attributes:
        slope: Value of one more stored.
        intercept: Value of 0 stored.
        table: Values by stored number, beginning at `first`; None for the line.
        first: Stored number of the first entry of the table; what lies beyond has the nearest entry's value.
    """

    slope: float = 1.0
    intercept: float = 0.0
    table: Array | None = None
    first: int = 0

    def __call__(self, stored: NDArray[Any]) -> Array:
        """The values, float64, of an array of stored numbers."""
        if self.table is not None:
            return self.table[np.clip(stored.astype(np.int64) - self.first, 0, len(self.table) - 1)]
        return np.asarray(stored.astype(np.float64) * self.slope + self.intercept)


UNSAID = Values()  # of frames that do not say what their stored numbers stand for


def values_of(path: Path, header: Dataset, shared: Dataset, own: Dataset) -> Values:
    """What the modality's transformation says of one frame: of its functional groups, or of the whole file.

    MONOCHROME1, windows and private scales say how values are shown and leave them as they are (PS3.3 C.11.1, C.11.2).

    Args:
        path: The file, for messages.
        header: Its header.
        shared: Functional groups of all frames; empty in classic files.
        own: Functional groups of the frame; empty in classic files.
    Raises:
        InputError: If a dose has no scaling, or the scaling is not finite or makes everything one value.
    """
    if "DoseGridScaling" in header or header.get("Modality") == "RTDOSE":
        return _line(path, max(number(header, "DoseGridScaling", 0.0), 0.0), 0.0, "DoseGridScaling")
    for groups in (own, shared):
        found = item(groups, "PixelValueTransformationSequence")
        if (line := _rescaled(path, found)) is not None:
            return line
        found = item(groups, "RealWorldValueMappingSequence")
        if "RealWorldValueSlope" in found and kind_of(header) == _PARAMETRIC_MAP:
            slope, intercept = (number(found, f"RealWorldValue{k}", 0.0) for k in ("Slope", "Intercept"))
            return _line(path, slope, intercept, "RealWorldValueSlope")
    if (line := _rescaled(path, header)) is not None:
        return line
    return _table(path, header) if header.get("ModalityLUTSequence") else UNSAID


def _rescaled(path: Path, holder: Dataset) -> Values | None:
    """The line that slope and intercept give; None where neither is there."""
    if "RescaleSlope" not in holder and "RescaleIntercept" not in holder:
        return None
    return _line(path, _or_default(holder, "RescaleSlope", 1.0), _or_default(holder, "RescaleIntercept", 0.0))


def _or_default(header: Dataset, keyword: str, default: float) -> float:
    """The number of an element, the default where it is absent or empty, NaN where it holds anything else."""
    return default if header.get(keyword) in (None, "") else number(header, keyword, np.nan)


def _line(path: Path, slope: float, intercept: float, name: str = "RescaleSlope") -> Values:
    if not np.isfinite([slope, intercept]).all() or (slope == 0 and name != "RescaleSlope"):
        raise InputError(f"{path} has no usable {name} ({slope:g}), so that its values are not known; export it again.")
    return Values(slope, intercept)


def _table(path: Path, header: Dataset) -> Values:
    found = item(header, "ModalityLUTSequence")
    descriptor, data = numbers(found, "LUTDescriptor"), found.get("LUTData")
    if isinstance(data, bytes):
        order = ">" if _syntax(header) == pydicom.uid.ExplicitVRBigEndian else "<"
        data = np.frombuffer(data, f"{order}u2" if descriptor.size == 3 and descriptor[2] > 8 else "u1")
    table = np.array([] if data is None else data, dtype=np.float64).ravel()
    if descriptor.size != 3 or len(table) < (int(descriptor[0]) or 65536):
        raise InputError(f"{path} has a damaged Modality LUT, so that its values are not known; export it again.")
    first = int(descriptor[1])
    if header.get("PixelRepresentation") == 1 and first > 32767:
        first -= 65536
    return Values(table=table[: int(descriptor[0]) or 65536], first=first)


def check_length(path: Path, header: Dataset) -> None:
    """Refuses a file that cannot hold the frames its header tells of, before anything is built for them.

    Raises:
        InputError: If it is too short.
    """
    frames, there = frame_count(header), path.stat().st_size
    bits = int(number(header, "BitsAllocated", 1.0))
    needed = frames * int(header.Rows) * int(header.Columns) * bits // 8
    if _is_compressed(header):
        needed = frames * _LEAST_FRAGMENT  # in which any number of equal pixels may stand
    elif _syntax(header) == pydicom.uid.DeflatedExplicitVRLittleEndian:
        needed //= DEFLATE
    if needed > there:
        raise cut_short(path, there, None)


def stored_pixels(path: Path) -> NDArray[Any]:
    """The stored numbers of a file, frame by frame, as the bits that count say.

    Returns:
        Shape `(frames, rows, columns)`, whole numbers or floats.
    Raises:
        InputError: If the file is cut short, in colours, or compressed in a way that cannot be read.
    """
    data = read_whole(path)
    if not any(name in data for name in ("PixelData", *_FLOATS)):
        raise InputError(f"{path} is cut short: its pixels are missing; copy or export it again.")
    shape = frame_count(data), int(data.Rows), int(data.Columns)
    _refuse_contradictions(path, data, shape)
    if _is_compressed(data):
        check_streams(path, data)
    if kind_of(data) not in SEGMENTATIONS:  # whose palette colours their segments and says nothing of values
        _refuse_colours(path, data)
    try:
        array = _decompressed(data) if _is_compressed(data) else _plain(data)
        array = array.reshape(shape)
    except DICOM_ERRORS as error:
        raise InputError(
            f"{path} has pixels that cannot be read ({last_line(error)}); copy the file again, or export it "
            "uncompressed."
        ) from error
    return array


def _refuse_contradictions(path: Path, data: Dataset, shape: tuple[int, int, int]) -> None:
    """Refuses unknown syntaxes, pixels packed where the header denies it, and frames that it does not tell of."""
    syntax = _syntax(data)
    if syntax is not None and not _is_known(syntax):
        raise InputError(
            f"{path} is written in a way of its vendor's own, or in an unknown one (transfer syntax {syntax}); export "
            "it again as Explicit VR Little Endian."
        )
    if _is_compressed(data) or "PixelData" not in data:
        return
    if data["PixelData"].is_undefined_length:
        raise InputError(f"{path} says that its pixels are not compressed, and they are; export it again.")
    samples = int(number(data, "SamplesPerPixel", 1.0))
    bits = shape[1] * shape[2] * samples * int(number(data, "BitsAllocated", 16.0))  # segments have one a voxel
    surplus = 8 * len(data.PixelData) - shape[0] * bits
    if bits and surplus >= max(bits, _PADDING):
        held = shape[0] + surplus // bits
        raise InputError(
            f"{path} holds the pixels of {held} frames of {shape[2]} x {shape[1]} and tells of {shape[0]} (Rows, "
            "Columns, NumberOfFrames); export it again."
        )


def _refuse_colours(path: Path, data: Dataset) -> None:
    photometric = str(data.get("PhotometricInterpretation") or "MONOCHROME2")
    if data.get("SamplesPerPixel", 1) not in (None, 1) or not photometric.startswith("MONOCHROME"):
        raise InputError(f"{path} is in colours ({photometric}); give an image with one real value a voxel.")


def _syntax(data: Dataset) -> Any:
    syntax = getattr(getattr(data, "file_meta", None), "TransferSyntaxUID", None)
    return syntax if syntax is None else pydicom.uid.UID(str(syntax))  # of several, a text that is none


def _is_compressed(data: Dataset) -> bool:
    """Whether its pixels are; those of other elements than PixelData never are, and a header holds none yet."""
    syntax = _syntax(data)
    packed = syntax is not None and _is_known(syntax) and bool(syntax.is_compressed)
    return packed and not any(name in data for name in _FLOATS)


def _is_known(syntax: Any) -> bool:
    """Whether the standard has such a syntax; a vendor's own may turn the bytes round or pack them."""
    return bool(syntax.is_transfer_syntax) and not syntax.is_private


def _plain(data: Dataset) -> NDArray[Any]:
    if _syntax(data) is None:  # a file without its first part, which says how the rest is written
        meta = getattr(data, "file_meta", None) or pydicom.dataset.FileMetaDataset()
        little, implicit = data.is_little_endian, data.is_implicit_VR
        explicit = pydicom.uid.ExplicitVRLittleEndian if little else pydicom.uid.ExplicitVRBigEndian
        meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian if implicit else explicit
        data.file_meta = meta
    bits = int(data.BitsAllocated)
    if any(name in data for name in _FLOATS) or bits not in (16, 32):
        array: NDArray[Any] = data.pixel_array
        return array
    # Not pydicom's array, which clears bits above BitsStored even where HighBit says that these count.
    order = ">" if _syntax(data) == pydicom.uid.ExplicitVRBigEndian else "<"
    kind = np.dtype(f"{order}{'i' if data.get('PixelRepresentation') == 1 else 'u'}{bits // 8}")
    needed = frame_count(data) * int(data.Rows) * int(data.Columns)
    return _bits_that_count(np.frombuffer(data.PixelData, kind, needed), data)


def _bits_that_count(array: NDArray[Any], data: Dataset) -> NDArray[Any]:
    """Numbers without the bits above and below those stored, in which old files keep overlays."""
    stored, allocated = int(data.get("BitsStored") or data.BitsAllocated), int(data.BitsAllocated)
    below = int(data.get("HighBit") or stored - 1) + 1 - stored
    if stored == allocated or not 0 < stored < allocated or not 0 <= below <= allocated - stored:
        return array
    # In 64 bits: shifted up, so that the highest bit stored is the sign, and down again.
    wide = array.astype(np.int64)
    if data.get("PixelRepresentation") == 1:
        return (wide << (64 - stored - below)) >> (64 - stored)
    return (wide >> below) & ((1 << stored) - 1)


def _decompressed(data: Dataset) -> NDArray[Any]:
    """Decoded by ITK's GDCM from a file of the pixels alone, in which it finds nothing to rescale or to turn round."""
    bare = Dataset()
    for name in _KEPT:
        if name in data:
            setattr(bare, name, data[name].value)  # not the element, which would be changed in `data` as well
    uid = pydicom.uid.generate_uid()
    bare.SOPClassUID, bare.SOPInstanceUID, bare.Modality = _SECONDARY_CAPTURE, uid, "OT"
    bare.SamplesPerPixel, bare.PhotometricInterpretation = 1, "MONOCHROME2"
    in_bytes = _syntax(data) == pydicom.uid.RLELossless  # whole ones, of which GDCM knows the low bits alone
    if in_bytes:
        bare.BitsStored, bare.HighBit = data.BitsAllocated, data.BitsAllocated - 1
    bare.PixelData = data.PixelData
    bare["PixelData"].is_undefined_length = True
    bare.file_meta = pydicom.dataset.FileMetaDataset()
    bare.file_meta.MediaStorageSOPClassUID, bare.file_meta.MediaStorageSOPInstanceUID = _SECONDARY_CAPTURE, uid
    bare.file_meta.TransferSyntaxUID = _syntax(data)
    bare.is_little_endian, bare.is_implicit_VR = True, False
    with tempfile.TemporaryDirectory(prefix="robustdir-") as folder, quiet_itk(), silent_libraries():
        file = Path(folder) / "pixels.dcm"
        bare.save_as(file, **_WHOLE_FILE)
        array = np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(file), imageIO="GDCMImageIO")))
    return _bits_that_count(array, data) if in_bytes else array


# pydicom 2 calls by the second name what pydicom 3 calls by the first.
_WHOLE_FILE: dict[str, Any] = (
    {"enforce_file_format": True} if int(pydicom.__version__.partition(".")[0]) >= 3 else {"write_like_original": False}
)


def without_padding(path: Path, header: Dataset, stored: NDArray[Any]) -> NDArray[np.bool_]:
    """Which stored numbers are values: all that lie outside the padding's number, or range of numbers."""
    padding = numbers(header, "PixelPaddingValue")
    if padding.size != 1:
        return np.ones(stored.shape, dtype=bool)
    limit = number(header, "PixelPaddingRangeLimit", float(padding[0]))
    low, high = sorted(_as_stored(header, value) for value in (float(padding[0]), limit))
    return np.asarray((stored < low) | (stored > high))


def _as_stored(header: Dataset, value: float) -> float:
    """A padding value with the sign of the pixels: scanners write 63536 beside signed ones and mean -2000."""
    bits = int(number(header, "BitsAllocated", 16.0))
    return value - 2.0**bits if header.get("PixelRepresentation") == 1 and value >= 2.0 ** (bits - 1) else value
