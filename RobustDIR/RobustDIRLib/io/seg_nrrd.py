"""Segmentations as 3D Slicer saves them: NRRD with the segments' names, values and layers in the header."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io import nrrd
from RobustDIRLib.io.formats import NRRD, format_of
from RobustDIRLib.io.images import read_vectors
from RobustDIRLib.io.segments import Segments

_SEGMENT = re.compile(r"segment(\d+)_(name|labelvalue|layer)$")


@dataclass(frozen=True)
class _Segment:
    """One entry of the header."""

    name: str
    value: int
    layer: int


def read_segments(path: Path) -> Segments | None:
    """The segments of a NRRD file; None for another file, or one without segments.

    Numbers are the values of the file, but where two layers use one value twice: then they count the segments from 1.

    Raises:
        InputError: If the header contradicts the voxels or cannot be understood.
    """
    if path.is_dir() or format_of(path) != NRRD:
        return None
    found = _header(path)
    if not found:
        return None
    array, grid, _ = read_vectors(path)
    if array.ndim not in (3, 4) or not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"{path} holds no label map of segments ({array.ndim}D, {array.dtype}); export it again.")
    layers = [array] if array.ndim == 3 else [array[..., k] for k in range(array.shape[-1])]
    return _segments(path, found, layers, grid)


def _header(path: Path) -> list[_Segment]:
    entries: dict[int, dict[str, str]] = {}
    for key, value in nrrd.read_keys(path).items():
        match = _SEGMENT.match(key)
        if match:
            entries.setdefault(int(match[1]), {})[match[2]] = value
    try:
        return [
            _Segment(one.get("name") or f"Segment {k + 1}", int(one.get("labelvalue", k + 1)), int(one.get("layer", 0)))
            for k, one in sorted(entries.items())
        ]
    except ValueError as error:
        raise InputError(f"{path} has a segment whose value or layer is no number; save it again.") from error


def _segments(path: Path, found: list[_Segment], layers: list[NDArray[Any]], grid: Grid) -> Segments:
    beyond = [one.name for one in found if not 0 <= one.layer < len(layers)]
    if beyond:
        raise InputError(f"{path} names a layer that it does not hold (of segment {beyond[0]!r}); save it again.")
    values = [one.value for one in found]
    numbers = values if len(set(values)) == len(values) else list(range(1, len(found) + 1))
    mapped = [np.zeros(grid.shape, np.int32) for _ in layers]
    for one, number in zip(found, numbers, strict=True):
        mapped[one.layer][layers[one.layer] == one.value] = number
    return Segments(tuple(mapped), grid, {n: one.name for n, one in zip(numbers, found, strict=True)})
