"""The headers of MetaImage files (`.mha`, `.mhd`): https://itk.org/Wiki/ITK/MetaIO/Documentation.

ITK reads what is missing of the voxels as whatever memory held, and takes axes that are skewed or not of unit length;
here such files are refused.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array
from RobustDIRLib.io.header import Header, check_sides, refuse_two_sizes
from RobustDIRLib.io.payload import Payload, numbered_files, surplus

_LONGEST_HEADER = 1 << 22
_DTYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
_ORIGINS = ("Offset", "Position", "Origin")
_DIRECTIONS = ("TransformMatrix", "Rotation", "Orientation")
_ORDERS = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
# The letter of AnatomicalOrientation says where an axis comes from: which component of LPS grows or falls along it.
_FROM = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "I": (2, 1), "S": (2, -1)}
_ALIKE = 0.1  # cosine of an axis and the direction of its letter, from which on the letter can be meant


def is_header(data: bytes) -> bool:
    """Whether a file that begins so is a MetaImage."""
    return re.search(rb"(?m)^\s*(NDims|DimSize|ElementDataFile)\s*[=:]", data) is not None


def read_header(path: Path) -> Header:
    """The header of a MetaImage file, attached or not.

    Raises:
        InputError: If it is damaged, or says something that cannot be read rightly here.
    """
    fields, offset = _fields(path)
    sides = tuple(int(n) for n in _numbers(path, fields, "DimSize", None, whole=True))
    check_sides(path, sides)
    dimensions = _numbers(path, fields, "NDims", 1, whole=True)[0]
    if dimensions != len(sides):
        raise InputError(f"{path} says it has {dimensions:g} dimensions and gives {len(sides)} sizes; export it again.")
    if fields.get("ObjectType", "Image").lower() != "image":
        raise InputError(f"{path} holds an object of the type '{fields['ObjectType']}' and no image; give an image.")
    _refuse_scaling(path, fields)
    channels = int(_numbers(path, fields, "ElementNumberOfChannels", 1, "1", whole=True)[0])
    if channels < 1:
        raise InputError(f"{path} has {channels} values a voxel; export it again.")
    first = int(channels > 1)
    sides = (channels, *sides) if first else sides
    payload = _payload(path, fields, math.prod(sides), offset)
    matrix, notes = _placement(path, fields, sides[first:])
    return Header(path, sides, (first, first + 1, first + 2), matrix, payload, notes=(*notes, *surplus(path, payload)))


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Fields by name, and where the line of ElementDataFile, the last one, ends."""
    with path.open("rb") as stream:
        data = stream.read(_LONGEST_HEADER)
    end = re.search(rb"(?m)^\s*ElementDataFile\s*[=:][^\n]*(\n|\Z)", data)
    if end is None:
        raise InputError(f"{path} is cut short or damaged: its header names no data; copy or export it again.")
    fields: dict[str, str] = {}
    for line in data[: end.end()].decode("utf-8", "replace").splitlines():
        name, found, value = re.match(r"([^=:]*)([=:]?)(.*)", line).groups()  # type: ignore[union-attr]
        if found:
            if fields.get(name.strip(), value.strip()) != value.strip():
                raise InputError(f"{path} gives its {name.strip()} twice, each time another; correct its header.")
            fields[name.strip()] = value.strip()
    if fields["ElementDataFile"].split()[0:1] == ["LIST"]:
        fields["listed"] = data[end.end() :].decode("utf-8", "replace")
    return fields, end.end()


def _refuse_scaling(path: Path, fields: dict[str, str]) -> None:
    for name, usual in (("ElementToIntensityFunctionSlope", 1.0), ("ElementToIntensityFunctionOffset", 0.0)):
        if _numbers(path, fields, name, 1, str(usual))[0] != usual:
            raise InputError(f"{path} scales its voxels by {name}, which ITK passes over; save it with scaled voxels.")


def _placement(path: Path, fields: dict[str, str], sides: tuple[int, ...]) -> tuple[Array, tuple[str, ...]]:
    """The matrix from indices x, y, z to mm, LPS; of more dimensions, that of the first three."""
    dimensions = len(sides)
    unit = fields.get("DistanceUnits", "mm").lower()
    if unit not in ("mm", "millimeter", "millimeters", "?", "???", ""):
        raise InputError(f"{path} gives its distances in '{unit}'; convert it to mm.")
    name = "ElementSpacing" if "ElementSpacing" in fields else "ElementSize"
    if name not in fields:
        raise InputError(f"{path} does not say how large its voxels are; save it with spacing, origin and directions.")
    spacing = np.array(_numbers(path, fields, name, dimensions))[:3]
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        listed = ", ".join(f"{s:g}" for s in spacing)
        raise InputError(f"{path} has a voxel spacing that is not positive ({listed} mm); correct its header.")
    origin = _numbers(path, fields, _only(path, fields, _ORIGINS), dimensions, " ".join(["0"] * dimensions))
    turned = _only(path, fields, _DIRECTIONS)
    usual = " ".join(str(number) for number in np.eye(dimensions, dtype=int).ravel())
    direction = np.array(_numbers(path, fields, turned, dimensions**2, usual)).reshape(dimensions, dimensions)
    axes = direction[:3, :3].T  # in the file, each axis has its own three numbers after one another
    lengths = np.linalg.norm(axes, axis=0)
    refuse_two_sizes(path, lengths * spacing, spacing, sides, (turned, name))
    lacking = [one for one, names in ((turned, _DIRECTIONS), ("Offset", _ORIGINS)) if not set(names) & set(fields)]
    notes = _of_letters(path, fields, axes / lengths)
    if lacking:
        lacks = ", no ".join(lacking)
        notes += (f"{path} does not say how the patient lies (it has no {lacks}); check the alignment.",)
    return np.column_stack([axes / lengths * spacing, origin[:3]]), notes


def _of_letters(path: Path, fields: dict[str, str], axes: Array) -> tuple[str, ...]:
    """A sentence if the letters of the axes are not those of the matrix, which ITK goes by; `axes` in columns, LPS."""
    letters = fields.get("AnatomicalOrientation", "").upper()
    if len(letters) != 3 or not set(letters) <= set(_FROM):
        return ()
    if all(sign * axes[part, k] > _ALIKE for k, (part, sign) in enumerate(_FROM[letter] for letter in letters)):
        return ()
    return (
        f"{path} says AnatomicalOrientation = {letters}, which its axes are not; read by its axes, as ITK does; check "
        "the alignment.",
    )


def _only(path: Path, fields: dict[str, str], names: tuple[str, ...]) -> str:
    """The one of several names for the same thing that the file uses; the first if none."""
    used = [name for name in names if name in fields]
    if len({fields[name].lower() for name in used}) > 1:
        raise InputError(f"{path} gives {' and '.join(used)}, which differ and mean the same; correct its header.")
    return used[0] if used else names[0]


def _payload(path: Path, fields: dict[str, str], count: int, offset: int) -> Payload:
    kind = fields.get("ElementType", "").removesuffix("_ARRAY")
    if kind not in _DTYPES:
        raise InputError(f"{path} has voxels of the type '{kind}'; save it as integers or float.")
    big = _yes(path, fields, _only(path, fields, _ORDERS))
    files = _data_files(path, fields)
    start: int | None = 0 if files else offset
    skip = int(_numbers(path, fields, "HeaderSize", 1, "0", whole=True)[0])
    if skip < -1 or (skip > 0 and not files):
        raise InputError(f"{path} has a HeaderSize of {skip}, which no such file has; correct its header.")
    if skip:
        start = None if skip == -1 else skip
    text = "BinaryData" in fields and not _yes(path, fields, "BinaryData")
    packing = "text" if text else "zlib" if _yes(path, fields, "CompressedData") else "raw"
    if packing != "raw" and skip:
        raise InputError(f"{path} is packed and has a HeaderSize, which is not read here; save it again.")
    return Payload(files or (path,), np.dtype((">" if big else "<") + _DTYPES[kind]), count, start, packing)


def _data_files(path: Path, fields: dict[str, str]) -> tuple[Path, ...]:
    """The files of a detached header; none if the voxels follow it."""
    name = fields["ElementDataFile"]
    if name in ("LOCAL", "Local", "local"):
        return ()
    if "listed" in fields:
        return tuple(path.parent / line.strip() for line in fields["listed"].splitlines() if line.strip())
    words = name.split()
    if "%" in name and len(words) in (3, 4):
        return numbered_files(path, words[0], [*words[1:], "1"][:3])
    return (path.parent / name,)


def _yes(path: Path, fields: dict[str, str], name: str) -> bool:
    word = fields.get(name, "False")
    if word.lower() not in ("true", "t", "1", "false", "f", "0"):
        raise InputError(f"{path} has '{word}' as its {name} where True or False is needed; correct its header.")
    return word.lower()[0] in "t1"


def _numbers(
    path: Path, fields: dict[str, str], name: str, count: int | None, usual: str | None = None, *, whole: bool = False
) -> tuple[float, ...]:
    """The numbers of a field; `count` of them unless that is None."""
    words = fields.get(name, usual or "").split()
    try:
        numbers = tuple((int if whole else float)(word) for word in words)
    except ValueError:
        numbers = ()
    if not numbers or (count is not None and len(numbers) != count):
        needed = f"{count} numbers" if count else "numbers"
        raise InputError(f"{path} has '{' '.join(words)}' as its {name} where {needed} are needed; export it again.")
    return numbers
