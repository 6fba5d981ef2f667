"""The headers of NRRD files: https://teem.sourceforge.net/nrrd/format.html.

ITK reads them without a word where a spacing is NaN or negative (1 mm, mirrored), where the space or its unit is
another than patients' in mm, and where axes are skewed; here such files are refused or said.
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

MAGIC = b"NRRD00"
_LONGEST_HEADER = 1 << 24

_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_DTYPES = {name: code for code, names in _TYPES.items() for name in names}
_ENCODINGS = {
    "raw": "raw", "gz": "gzip", "gzip": "gzip", "bz2": "bzip2", "bzip2": "bzip2", "txt": "text", "text": "text",
    "ascii": "text",
}  # fmt: skip
# Spaces whose axes are a patient's, and the signs that turn them into LPS.
_SPACES = {
    "left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1), "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1),
}  # fmt: skip
_MILLIMETRES = {"mm", "millimeter", "millimeters", "millimetre", "millimetres", ""}
_ROUNDING = 1e-4  # of the frame of measurement
_SPATIAL_KINDS = {"domain", "space", "none", "???"}


def read_header(path: Path) -> Header:
    """The header of a NRRD file, attached or not.

    Raises:
        InputError: If it is damaged, or says something that cannot be read rightly here.
    """
    fields, keys, offset = _fields(path)
    sides = _whole_numbers(path, fields, "sizes")
    check_sides(path, sides)
    if _one_number(path, fields, "dimension") != len(sides):
        raise InputError(
            f"{path} says it has {fields.get('dimension')} dimensions and gives {len(sides)} sizes; export it again."
        )
    _refuse_modelling(path, keys)
    spatial, matrix, notes = _placement(path, fields, sides)
    payload = _payload(path, fields, sides, offset)
    notes = (*notes, *_of_quantized(path, fields), *surplus(path, payload))
    header = Header(path, sides, spatial, matrix, payload, notes=notes, keys=keys)
    if header.values == 3:
        _refuse_other_vectors(path, fields)
    return header


def _refuse_other_vectors(path: Path, fields: dict[str, str]) -> None:
    """Refuse vectors in another frame than LPS, by the space or by a frame of measurement, which ITK passes over."""
    if _SPACES.get(fields.get("space", "lps").lower()) not in ((1, 1, 1), None):
        raise InputError(
            f"{path} holds vectors in the space '{fields['space']}', whose signs programs read in two ways; save it in "
            "'left-posterior-superior'."
        )
    words = re.findall(r"\([^)]*\)", fields.get("measurement frame", ""))
    frame = np.array([_vector(path, word, "measurement frame")[:3] for word in words])
    if len(words) and not np.allclose(frame, np.eye(3), atol=_ROUNDING):
        raise InputError(
            f"{path} holds vectors in a frame of their own ('measurement frame'), which programs read in two ways; "
            "save it without one."
        )


def _fields(path: Path) -> tuple[dict[str, str], dict[str, str], int]:
    """Fields with their names in lower case, keys with their values, and where the header ends."""
    with path.open("rb") as stream:
        data = stream.read(_LONGEST_HEADER)
    end = re.search(rb"\r?\n\r?\n", data)
    text = data[: end.start() if end else len(data)].decode("utf-8", "replace")
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        if not line.startswith("#") and ":=" in line:
            key, _, value = line.partition(":=")
            keys[key.strip().lower()] = value.strip()
        elif match := re.match(r"([^#:]+): ?(.*)", line):
            name = match[1].strip().lower().replace("centerings", "centers").replace("datafile", "data file")
            if name in fields:
                raise InputError(f"{path} gives its {name} twice; correct its header.")
            fields[name] = match[2].strip()
            if name == "data file" and match[2].split()[0:1] == ["LIST"]:
                fields["listed"] = text.partition(line)[2].strip()
                break
    if end is None and "data file" not in fields:
        raise InputError(f"{path} is cut short or damaged: its NRRD header has no end; copy or export it again.")
    return fields, keys, end.end() if end else len(data)


def _of_quantized(path: Path, fields: dict[str, str]) -> tuple[str, ...]:
    """A sentence if the voxels were values of another range once, which Teem alone makes of them again."""
    names = [name for name in ("old min", "old max", "oldmin", "oldmax") if name in fields]
    if not any(math.isfinite(number) for name in names for number in _numbers(path, fields[name])):
        return ()
    return (f"{path} says that its voxels were quantized ({' and '.join(names)}); they were taken as they are stored.",)


def _refuse_modelling(path: Path, keys: dict[str, str]) -> None:
    """Slicer marks fields that take moving points to fixed ones, whose displacements are another transform."""
    kind = keys.get("displacement field type", "resampling").lower()
    if kind != "resampling":
        raise InputError(
            f"{path} is a displacement field of the type '{kind}', from moving to fixed points; export it as "
            "'resampling', the inverse transform in Slicer."
        )


def _placement(
    path: Path, fields: dict[str, str], sides: tuple[int, ...]
) -> tuple[tuple[int, int, int], Array, tuple[str, ...]]:
    """Which axes are spatial, the matrix from their indices to mm, LPS, and what is to be said of it."""
    kinds = fields.get("kinds", " ".join(["none"] * len(sides))).lower().split()
    if len(kinds) != len(sides):
        raise InputError(f"{path} gives {len(kinds)} kinds for {len(sides)} axes; correct its header.")
    for name in ("axis mins", "axis maxs", "axismins", "axismaxs"):
        if any(math.isfinite(number) for number in _numbers(path, fields.get(name, "nan"))):
            raise InputError(
                f"{path} places its voxels by '{name}', which programs read in different ways; save it with 'space "
                "directions' and 'space origin'."
            )
    if "space directions" in fields:
        spatial, matrix, notes = _oriented(path, fields, kinds)
        _check_spacings(path, fields, matrix, [sides[axis] for axis in spatial], spatial)
        return spatial, matrix, notes
    return _unoriented(path, fields, kinds)


def _oriented(
    path: Path, fields: dict[str, str], kinds: list[str]
) -> tuple[tuple[int, int, int], Array, tuple[str, ...]]:
    signs, notes = _space(path, fields)
    words = re.findall(r"none|\([^)]*\)", fields["space directions"])
    if len(words) != len(kinds):
        raise InputError(f"{path} gives {len(words)} space directions for {len(kinds)} axes; correct its header.")
    columns = [_direction(path, word) for word in words]
    axes = [axis for axis, column in enumerate(columns) if column is not None and column[:3].any()]
    spatial = _three(path, axes, kinds)
    chosen = [column for column in columns if column is not None and column[:3].any()]
    if any(column[3:].any() for column in chosen):
        raise InputError(f"{path} has axes in space that move in time as well; give a single 3D volume.")
    if "space origin" not in fields:
        notes += (f"{path} does not say where its first voxel lies; taken as 0, 0, 0; check the alignment.",)
    origin = _vector(path, fields.get("space origin", "(0,0,0)"), "space origin")
    matrix = np.array(signs)[:, None] * np.column_stack([*(column[:3] for column in chosen), origin[:3]])
    _refuse_units(path, "space units", _units(fields, "space units"))
    _refuse_units_of_axes(path, fields, kinds, axes)
    return spatial, matrix, notes


def _direction(path: Path, word: str) -> Array | None:
    """The step of an axis in space; None for an axis that is none, which some programs write as NaN throughout."""
    found = None if word == "none" else _vector(path, word, "space directions")
    return None if found is None or np.isnan(found).all() else found


def _check_spacings(
    path: Path, fields: dict[str, str], matrix: Array, sides: list[int], spatial: tuple[int, int, int]
) -> None:
    """Refuses spacings that contradict the directions beside which they should not stand."""
    spacings = np.array(_numbers(path, fields.get("spacings", "")))
    if len(spacings) > max(spatial) and np.isfinite(spacings[list(spatial)]).all():
        lengths = np.linalg.norm(matrix[:, :3], axis=0)
        refuse_two_sizes(path, lengths, spacings[list(spatial)], tuple(sides), ("space directions", "spacings"))


def _space(path: Path, fields: dict[str, str]) -> tuple[tuple[int, int, int], tuple[str, ...]]:
    """The signs that turn the file's space into LPS."""
    space = fields.get("space", "").lower().removesuffix("-time")
    if space in _SPACES:
        return _SPACES[space], ()
    if space in ("", "3d-right-handed", "3dr"):
        return (1, 1, 1), (f"{path} does not name the space of its axes; taken as LPS; check the alignment.",)
    raise InputError(
        f"{path} lies in the space '{fields['space']}', which does not say where left, back and head are; save it in "
        "'left-posterior-superior'."
    )


def _unoriented(
    path: Path, fields: dict[str, str], kinds: list[str]
) -> tuple[tuple[int, int, int], Array, tuple[str, ...]]:
    if "space origin" in fields:
        raise InputError(
            f"{path} says where its first voxel lies ('space origin') and not how its axes do; save it with 'space "
            "directions' as well."
        )
    spacings = _numbers(path, fields.get("spacings", ""))
    axes = [axis for axis, kind in enumerate(kinds) if kind in _SPATIAL_KINDS]
    if len(spacings) != len(kinds):
        raise InputError(f"{path} does not say how large its voxels are; save it with spacing, origin and directions.")
    if len(axes) > 3:  # without kinds, a fourth axis may be time
        axes = [axis for axis in axes if axis < 3]
    spatial = _three(path, axes, kinds)
    chosen = [spacings[axis] for axis in axes]
    if not all(math.isfinite(s) and s > 0 for s in chosen):
        listed = ", ".join(f"{s:g}" for s in chosen)
        raise InputError(f"{path} has a voxel spacing that is not positive ({listed} mm); correct its header.")
    _refuse_units_of_axes(path, fields, kinds, axes)
    note = f"{path} does not say how the patient lies (it has spacings alone); check the alignment."
    return spatial, np.column_stack([np.diag(chosen), np.zeros(3)]), (note,)


def _three(path: Path, axes: list[int], kinds: list[str]) -> tuple[int, int, int]:
    if len(axes) != 3 or any(kinds[axis] not in _SPATIAL_KINDS for axis in axes):
        raise InputError(
            f"{path} has axes of the kinds {', '.join(kinds)} and is no 3D volume; give one with three axes in space."
        )
    x, y, z = axes
    return x, y, z


def _units(fields: dict[str, str], name: str) -> list[str]:
    """The units of a field, in quotes as the format has them, or without."""
    text = fields.get(name, "")
    return re.findall(r'"([^"]*)"', text) if '"' in text else text.split()


def _refuse_units_of_axes(path: Path, fields: dict[str, str], kinds: list[str], axes: list[int]) -> None:
    """Refuses other units than mm of the axes in space; those of other axes may be any."""
    units = _units(fields, "units")
    _refuse_units(path, "units", [units[axis] for axis in axes] if len(units) == len(kinds) else units)


def _refuse_units(path: Path, name: str, units: list[str]) -> None:
    other = [unit for unit in units if unit.strip().lower() not in _MILLIMETRES]
    if other:
        raise InputError(f"{path} gives its {name} as '{other[0]}'; convert it to mm.")


def _payload(path: Path, fields: dict[str, str], sides: tuple[int, ...], offset: int) -> Payload:
    kind, encoding = (fields.get(name, "").lower() for name in ("type", "encoding"))
    if kind not in _DTYPES:
        raise InputError(f"{path} has voxels of the type '{kind}'; save it as integers or float.")
    if encoding not in _ENCODINGS:
        raise InputError(f"{path} has the encoding '{encoding}', which is not read here; save it as raw or gzip.")
    skip = _one_number(path, fields, "byte skip", "0")
    packing = _ENCODINGS[encoding]
    if _one_number(path, fields, "line skip", "0") or (skip and packing != "raw") or skip < -1:
        raise InputError(f"{path} skips lines or bytes of its data, which is not read here; save it again as one file.")
    endian = fields.get("endian", "").lower()
    code = _DTYPES[kind]
    if endian not in ("little", "big") and code[1] != "1" and packing != "text":
        raise InputError(f"{path} does not say the order of its bytes (endian); correct its header.")
    files = _data_files(path, fields)
    start = None if skip == -1 else skip + (0 if files else offset)
    dtype = np.dtype((">" if endian == "big" else "<") + code)
    return Payload(files or (path,), dtype, math.prod(sides), start, packing)


def _data_files(path: Path, fields: dict[str, str]) -> tuple[Path, ...]:
    """The files of a detached header; none if the voxels follow it."""
    name = fields.get("data file")
    if name is None:
        return ()
    if "listed" in fields:
        return tuple(path.parent / line.strip() for line in fields["listed"].splitlines() if line.strip())
    words = name.split()
    if "%" in name and len(words) in (4, 5):
        return numbered_files(path, words[0], words[1:4])
    return (path.parent / name,)


def _numbers(path: Path, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split())
    except ValueError as error:
        raise InputError(f"{path} has '{text}' in its header where numbers are needed; correct it.") from error


def _whole_numbers(path: Path, fields: dict[str, str], name: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in fields[name].split())
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} has no whole numbers as its {name}; it is damaged, export it again.") from error


def _one_number(path: Path, fields: dict[str, str], name: str, default: str = "") -> int:
    numbers = _whole_numbers(path, {name: fields.get(name, default)}, name)
    if len(numbers) != 1:
        raise InputError(f"{path} has no number as its {name}; it is damaged, export it again.")
    return numbers[0]


def _vector(path: Path, text: str, name: str) -> Array:
    numbers = _numbers(path, text.strip("() ").replace(",", " "))
    if len(numbers) not in (3, 4):
        raise InputError(f"{path} has {len(numbers)} numbers in a vector of its {name} where 3 are needed; correct it.")
    return np.array(numbers)
