"""DICOM files and their headers: which files of a folder hold DICOM images, and what their elements say."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from traceback import walk_tb
from typing import Any

import numpy as np
import pydicom

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array
from RobustDIRLib.io.files import last_line
from RobustDIRLib.io.payload import check_room
from RobustDIRLib.io.shared import SharedSetting

Dataset = pydicom.Dataset

_log = logging.getLogger(__name__)

EXTENSIONS = (".dcm", ".dicom", ".ima")
SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
CONTOURS = "1.2.840.10008.5.1.4.1.1.481.3"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
DIRECTORY = "1.2.840.10008.1.3.10"
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_PREAMBLE, _META, _CHUNK = 132, 1 << 10, 1 << 20
# What pydicom raises on damaged files and on elements that are not what their type says.
DICOM_ERRORS = (
    pydicom.errors.InvalidDicomError, pydicom.errors.BytesLengthException, OSError, EOFError, ValueError, TypeError,
    AttributeError, NotImplementedError, LookupError, RuntimeError, OverflowError, zlib.error, struct.error,
)  # fmt: skip


def quiet_pydicom() -> AbstractContextManager[None]:
    """Keeps pydicom from warning of irregular values: those that matter are checked here and said in our words."""
    return _QUIET.changed()


def _silence() -> tuple[int, bool, warnings.catch_warnings[None]]:
    settings, logger = pydicom.config.settings, pydicom.config.logger
    before = settings.reading_validation_mode, logger.disabled, warnings.catch_warnings()
    settings.reading_validation_mode, logger.disabled = pydicom.config.IGNORE, True
    before[2].__enter__()
    warnings.simplefilter("ignore")
    return before


def _restore(before: tuple[int, bool, warnings.catch_warnings[None]]) -> None:
    before[2].__exit__(None, None, None)
    pydicom.config.settings.reading_validation_mode, pydicom.config.logger.disabled = before[:2]


_QUIET = SharedSetting(_silence, _restore)


@contextmanager
def asking_pydicom(where: Path) -> Iterator[None]:
    """As `quiet_pydicom`; what pydicom raises within becomes a sentence, as elements are decoded when asked for.

    Args:
        where: The file or folder that is read.
    Raises:
        InputError: If an element is damaged.
    """
    try:
        with quiet_pydicom():
            yield
    except InputError:
        raise
    except DICOM_ERRORS as error:
        *_, (last, _) = walk_tb(error.__traceback__)
        if not str(last.f_globals.get("__name__")).startswith("pydicom."):
            raise
        raise InputError(
            f"{where} holds DICOM that is damaged ({last_line(error)}); copy or export it again."
        ) from error


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_PREAMBLE)


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, by its first bytes: the preamble's mark, or a group that only DICOM begins with."""
    start = _beginning(path)
    if start[128:] == b"DICM":
        return True
    bare = start[:2] in (b"\2\0", b"\x08\0") and start[4:6].isalpha() and start[4:6].isupper()
    implicit = start[:2] == b"\x08\0" and start[3:4] == b"\0" and start[6:8] == b"\0\0"
    return bare or implicit


def read_header(path: Path) -> Dataset:
    """Everything in a DICOM file but its pixels.

    Raises:
        InputError: If it cannot be read.
    """
    return _read(path, stop_before_pixels=True)


def read_whole(path: Path) -> Dataset:
    """Everything in a DICOM file.

    Raises:
        InputError: If it cannot be read.
    """
    return _read(path, stop_before_pixels=False)


def _read(path: Path, *, stop_before_pixels: bool) -> Dataset:
    try:
        _check_deflated(path)
        return pydicom.dcmread(path, stop_before_pixels=stop_before_pixels, force=is_dicom(path))
    except InputError:
        raise
    except pydicom.errors.InvalidDicomError as error:
        raise InputError(
            f"{path} is named as DICOM and is none, or is damaged or empty; export it again, or take it out of the "
            "folder."
        ) from error
    except DICOM_ERRORS as error:
        raise InputError(f"{path} cannot be read as DICOM ({last_line(error)}); export it again.") from error


def _check_deflated(path: Path) -> None:
    """Refuses a file that is deflated as a whole and would not fit into memory: pydicom inflates it at once."""
    with path.open("rb") as file:
        start = file.read(_META)
        if _DEFLATED not in start or start[132:136] != b"\2\0\0\0":
            return
        file.seek(144 + int.from_bytes(start[140:144], "little"))
        inflate, size, waiting = zlib.decompressobj(-zlib.MAX_WBITS), 0, b""
        while not inflate.eof and (waiting := inflate.unconsumed_tail or file.read(_CHUNK)):
            size += len(inflate.decompress(waiting, _CHUNK))
            check_room(path, 2 * size)


def headers_in(folder: Path) -> dict[Path, Dataset]:
    """Headers of all DICOM objects that lie in a folder itself, by file, in the order of their names.

    Hidden files and files of other kinds are passed over; what is named as DICOM but is none is not.

    Raises:
        InputError: If the folder or a DICOM file in it cannot be read.
    """
    try:
        files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
        found = [p for p in files if is_dicom(p) or p.suffix.lower() in EXTENSIONS]
    except OSError as error:
        raise InputError(f"{folder} cannot be searched for DICOM ({error.strerror}); check the folder.") from error
    _tell_blank(folder, [path for path in files if path not in found])
    headers = {path: read_header(path) for path in found}
    for path, header in headers.items():
        refuse_lost_pixels(path, header)
    return {path: header for path, header in headers.items() if kind_of(header) != DIRECTORY}


def _tell_blank(folder: Path, others: list[Path]) -> None:
    """Tell of files that hold nothing, or zeros where DICOM begins, and may be called as slices are, without an end."""
    unnamed = [path for path in others if not path.suffix or path.suffix[1:].isdecimal()]
    blank = [path.name for path in unnamed if not _beginning(path).strip(b"\0")]
    if blank:
        _log.warning(
            "%s holds %d files of nothing or of zeros, such as %s; if it was a slice, copy it again.",
            folder,
            len(blank),
            blank[0],
        )


def kind_of(header: Dataset) -> str:
    """The class of an object (SOP Class UID); empty if it does not say."""
    meta = getattr(header, "file_meta", None) or Dataset()
    return str(header.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or "")


def holds_pixels(header: Dataset) -> bool:
    """Whether an object is an image: contours, plans, reports and curves have no rows and columns."""
    return number(header, "Rows", 0.0) > 0 and number(header, "Columns", 0.0) > 0


def refuse_lost_pixels(path: Path, header: Dataset) -> None:
    """Refuses an object without rows and columns that has lost them: it is of a class of images, or of none there is.

    Raises:
        InputError: If it has.
    """
    kind = pydicom.uid.UID(kind_of(header))
    unsaid = not header.get("SOPClassUID") and kind != DIRECTORY  # as the file ends before it
    unknown = kind.name == kind and not kind.is_private  # that of a vendor may be of anything
    of_images = unsaid or unknown or kind in SEGMENTATIONS or "Image Storage" in kind.name
    if of_images and not holds_pixels(header):
        raise InputError(f"{path} is a DICOM file that is damaged or cut short; copy or export it again.")


def frame_count(header: Dataset) -> int:
    """Number of frames; 1 where the header does not say."""
    count = numbers(header, "NumberOfFrames")
    return int(count[0]) if count.size == 1 and count[0] >= 1 else 1


def numbers(header: Dataset, keyword: str) -> Array:
    """The numbers of an element; none if it is absent or holds anything else."""
    try:
        value = header.get(keyword)
        values = value if isinstance(value, (list, pydicom.multival.MultiValue)) else [value]
        found = np.array([float(one) for one in values], dtype=np.float64)
    except DICOM_ERRORS:
        return np.empty(0)
    return found if np.isfinite(found).all() else np.empty(0)


def number(header: Dataset, keyword: str, default: float) -> float:
    """The one number of an element, or the default where it has none."""
    found = numbers(header, keyword)
    return float(found[0]) if found.size == 1 else default


def half_digit(header: Dataset, keyword: str) -> float:
    """Half of the last digit that an element's decimal numbers are written with: how far rounding may have moved them.

    0 where all of them are whole, which axes and positions of upright images are exactly.
    """
    value = header.get(keyword)
    texts = [str(getattr(one, "original_string", one)).strip() for one in value or ()]
    if any("e" in text.lower() for text in texts):
        return 0.0
    decimals = [len(text.partition(".")[2]) for text in texts if "." in text]
    rounded = any(text.partition(".")[2].strip("0") for text in texts)
    return 0.5 * 10.0 ** -max(decimals) if decimals and rounded else 0.0


def item(header: Dataset, keyword: str) -> Dataset:
    """The first item of a sequence; an empty one if there is none."""
    sequence: Any = header.get(keyword)
    return sequence[0] if sequence else Dataset()


def named(header: Dataset) -> str:
    """Modality and description of an object, for a list that the user chooses from."""
    description = header.get("SeriesDescription") or header.get("ProtocolName") or ""
    return f"{header.get('Modality') or 'unknown modality'} {description}".strip()
