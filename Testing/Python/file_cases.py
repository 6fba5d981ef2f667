"""Image files written by hand, byte by byte, with one thing in them changed; shared by the tests of the readers."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid, swap_lps_ras
from RobustDIRLib.io.images import Image, read_image

VOXELS = np.random.default_rng(3).integers(-1000, 2000, (9, 11, 10)).astype("<i2")
SPACING, ORIGIN = (1.5, 2.5, 3.5), (10.0, -20.0, 30.0)


def place(degrees: tuple[float, float] = (23.0, 17.0), *, mirror: int = 1) -> np.ndarray:
    """Matrix `(3, 4)` from indices x, y, z to mm, LPS, of an oblique volume."""
    a, b = np.deg2rad(degrees)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return np.column_stack([about_z @ about_x * np.array([1, 1, mirror]) * SPACING, ORIGIN])


def expected_grid(matrix: np.ndarray) -> Grid:
    axes = matrix[:, :3] / np.linalg.norm(matrix[:, :3], axis=0)
    spacing = tuple(np.linalg.norm(matrix[:, :3], axis=0))
    return Grid(VOXELS.shape, spacing, tuple(matrix[:, 3]), tuple(map(tuple, axes)))


def assert_read(image: Image, matrix: np.ndarray | None = None, voxels: np.ndarray = VOXELS) -> None:
    """The image holds the voxels, where the matrix says."""
    np.testing.assert_array_equal(image.array, voxels)
    assert image.grid.close_to(expected_grid(place() if matrix is None else matrix), tolerance=1e-4)


def nifti_bytes(*changes: tuple[Any, ...], sform: int = 1, qform: int = 1, voxels: np.ndarray = VOXELS) -> bytes:
    """A NIfTI-1 file in which numbers were changed: `(offset, format, values...)`."""
    affine = np.vstack([swap_lps_ras(place().T).T, [0, 0, 0, 1]])
    image = nib.Nifti1Image(voxels.T, affine)
    image.set_qform(affine, qform)
    image.set_sform(affine, sform)
    image.header.set_xyzt_units("mm")
    data = bytearray(image.to_bytes())
    for offset, form, *values in changes:
        struct.pack_into("<" + form, data, offset, *values)
    return bytes(data)


def nrrd_bytes(fields: dict[str, str | None] | None = None, body: bytes = VOXELS.tobytes(), end: str = "\n") -> bytes:
    """A NRRD file in LPS; a field of None is left out."""
    matrix = place()
    vectors = [f"({','.join(repr(float(n)) for n in column)})" for column in matrix.T]
    lines: dict[str, str | None] = {
        "type": "short", "dimension": "3", "space": "left-posterior-superior", "sizes": "10 11 9",
        "space directions": " ".join(vectors[:3]), "space origin": vectors[3], "encoding": "raw", "endian": "little",
    }  # fmt: skip
    lines.update(fields or {})
    text = ["NRRD0005", *(f"{name}: {value}" for name, value in lines.items() if value is not None)]
    return (end.join(text) + end + end).encode() + body


def meta_bytes(fields: dict[str, str | None] | None = None, body: bytes = VOXELS.tobytes()) -> bytes:
    """A MetaImage file; a field of None is left out."""
    axes = place()[:, :3] / SPACING
    lines: dict[str, str | None] = {
        "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False", "TransformMatrix": " ".join(repr(float(n)) for n in axes.T.ravel()),
        "Offset": "10 -20 30", "ElementSpacing": "1.5 2.5 3.5", "DimSize": "10 11 9", "ElementType": "MET_SHORT",
        "ElementDataFile": "LOCAL",
    }  # fmt: skip
    lines.update(fields or {})
    lines["ElementDataFile"] = lines.pop("ElementDataFile")
    return "".join(f"{name} = {value}\n" for name, value in lines.items() if value is not None).encode() + body


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def refusal(path: Any, reader: Callable[[Any], Any] = read_image, *, names: Path | None = None) -> str:
    """The one sentence that refuses a file."""
    with pytest.raises(InputError) as caught:
        reader(path)
    message = str(caught.value)
    assert str(names or path) in message
    assert "\n" not in message
    assert message.endswith(".")
    return message


def told(path: Any, caplog: Any, reader: Callable[[Any], Image] = read_image) -> tuple[Image, list[str]]:
    """What is read, and the warnings about it."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="RobustDIRLib"):
        image = reader(path)
    return image, [record.getMessage() for record in caplog.records]
