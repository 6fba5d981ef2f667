"""Volumes between the panel's process and the registering one: plain MetaImage files, written and read in steps.

A large volume takes seconds to write or read, and the panel must not wait that long. So both are generators that move a
few megabytes and yield; whoever has a timer goes on with them for as long as it may. The files are uncompressed `.mha`,
which everything reads, and need NumPy alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.panelparts.words import _

STEP_BYTES = 1 << 22
_DELETED_BYTES = 1 << 25  # at once, which takes some 10 ms

# NumPy's type of a component by MetaImage's name.
_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "<i2", "MET_USHORT": "<u2", "MET_INT": "<i4", "MET_UINT": "<u4",
    "MET_LONG_LONG": "<i8", "MET_ULONG_LONG": "<u8", "MET_FLOAT": "<f4", "MET_DOUBLE": "<f8",
}  # fmt: skip


@dataclass(frozen=True)
class VolumeHeader:
    """What a file says before its voxels.

    Attributes:
        grid: mm, LPS.
        dtype: Of one component, little endian.
        components: 1 for a scalar image, 3 for a vector field.
        offset: Bytes before the first voxel.
    """

    grid: Grid
    dtype: np.dtype[Any]
    components: int
    offset: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array: `(z, y, x)`, and `(z, y, x, c)` for several components."""
        return (*self.grid.shape, self.components) if self.components > 1 else self.grid.shape


def write_in_steps(path: Path, array: NDArray[Any], grid: Grid) -> Iterator[None]:
    """Write a volume, a few megabytes between two yields.

    Args:
        path: Ends in `.mha`.
        array: Shape `(z, y, x)` or `(z, y, x, c)`, C-contiguous, any real type of up to 64 bits.
        grid: Of the array; mm, LPS.
    Raises:
        InputError: If it cannot be written, a full disk for instance.
    """
    array = np.ascontiguousarray(array)
    little = array.dtype.newbyteorder("<")
    flat = array.astype(little, copy=False).reshape(-1).view(np.uint8).data
    try:
        with path.open("wb") as file:
            file.write(_header(array, grid).encode("ascii"))
            for start in range(0, len(flat), STEP_BYTES):
                file.write(flat[start : start + STEP_BYTES])
                yield
    except OSError as error:
        raise InputError(
            _("{parent} cannot be written to ({reason}); free some space on that disk and try again.").format(
                parent=path.parent, reason=error.strerror
            )
        ) from error


def write(path: Path, array: NDArray[Any], grid: Grid) -> None:
    """Write a volume at once; see `write_in_steps`."""
    for _step in write_in_steps(path, array, grid):
        pass


def _header(array: NDArray[Any], grid: Grid) -> str:
    kind = next(name for name, code in _TYPES.items() if np.dtype(code) == array.dtype.newbyteorder("<"))
    # MetaImage lists where each index axis points, axis by axis: the columns of the direction matrix.
    columns = [entry for axis in np.asarray(grid.direction).T.tolist() for entry in axis]
    components = array.shape[3] if array.ndim == 4 else 1
    lines = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": _words(columns),
        "Offset": _words(grid.origin),
        "ElementSpacing": _words(grid.spacing),
        "DimSize": " ".join(str(n) for n in grid.size),
        "ElementNumberOfChannels": str(components),
        "ElementType": kind,
        "ElementDataFile": "LOCAL",
    }
    return "".join(f"{key} = {value}\n" for key, value in lines.items())


def _words(numbers: Any) -> str:
    return " ".join(repr(float(number)) for number in numbers)


def read_header(path: Path) -> VolumeHeader:
    """The header of a file that `write_in_steps` made.

    Raises:
        InputError: If it is missing, of another form or shorter than it says.
    """
    try:
        with path.open("rb") as file:
            said = _said(file)
            offset, size = file.tell(), path.stat().st_size
        header = _parsed(said, offset)
    except OSError as error:
        raise InputError(
            _("{path} cannot be read ({reason}); register again.").format(path=path, reason=error.strerror)
        ) from error
    except (KeyError, ValueError, UnicodeDecodeError) as error:
        raise InputError(_("{path} is damaged or of another form; register again.").format(path=path)) from error
    if size != offset + int(np.prod(header.shape, dtype=np.int64)) * header.dtype.itemsize:
        raise InputError(_("{path} is cut short; register again.").format(path=path))
    return header


def _said(file: Any) -> dict[str, str]:
    said: dict[str, str] = {}
    while "ElementDataFile" not in said:
        key, separator, value = file.readline(1 << 12).decode("ascii").partition(" = ")
        if not separator:
            raise ValueError("no header line")
        said[key] = value.strip()
    return said


def _parsed(said: dict[str, str], offset: int) -> VolumeHeader:
    x, y, z = (int(n) for n in said["DimSize"].split())
    direction = np.array([float(n) for n in said["TransformMatrix"].split()]).reshape(3, 3).T
    spacing, origin = (_three(said[key]) for key in ("ElementSpacing", "Offset"))
    grid = Grid((z, y, x), spacing, origin, tuple(map(tuple, direction)))
    return VolumeHeader(grid, np.dtype(_TYPES[said["ElementType"]]), int(said["ElementNumberOfChannels"]), offset)


def _three(words: str) -> tuple[float, float, float]:
    x, y, z = (float(n) for n in words.split())
    return x, y, z


def read_in_steps(path: Path, header: VolumeHeader, array: NDArray[Any]) -> Iterator[None]:
    """Fill an array with a file's voxels, a few megabytes between two yields.

    Args:
        path: The file.
        header: What `read_header` gave.
        array: C-contiguous, of the header's shape and type; filled in place, so that no copy is ever held.
    Raises:
        InputError: If it cannot be read.
    """
    if array.shape != header.shape or array.dtype != header.dtype or not array.flags.c_contiguous:
        raise ValueError(f"an array of {array.shape}, {array.dtype} cannot take {header.shape}, {header.dtype}")
    flat = array.reshape(-1).view(np.uint8).data
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(header.offset)
            start = 0
            while start < len(flat):
                count = file.readinto(flat[start : start + STEP_BYTES])
                if not count:
                    raise InputError(_("{path} is cut short; register again.").format(path=path))
                start += count
                yield
    except OSError as error:
        raise InputError(
            _("{path} cannot be read ({reason}); register again.").format(path=path, reason=error.strerror)
        ) from error


def delete_in_steps(path: Path) -> Iterator[None]:
    """Delete a file, some megabytes between two yields; one that cannot be deleted stays, perhaps cut short."""
    with suppress(OSError):
        for size in range(path.stat().st_size, 0, -_DELETED_BYTES):
            os.truncate(path, size)
            yield
        path.unlink()


def read(path: Path) -> tuple[NDArray[Any], Grid]:
    """Array and grid of a file, at once; see `read_in_steps`."""
    header = read_header(path)
    array = np.empty(header.shape, header.dtype)
    for _step in read_in_steps(path, header, array):
        pass
    return array, header.grid
