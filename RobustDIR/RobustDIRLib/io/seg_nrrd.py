"""Segmentations as 3D Slicer saves them: NRRD with the segments' names, values and layers in the header."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.formats import NRRD, VolumeFile
from RobustDIRLib.io.segments import Segments

_log = logging.getLogger(__name__)

_NAMED = 5  # segments in a message
_SEGMENT = re.compile(r"segment(\d+)_(name|labelvalue|layer)$")


@dataclass(frozen=True)
class _Segment:
    """One entry of the header."""

    name: str
    value: int
    layer: int


def read_segments(file: VolumeFile) -> Segments | None:
    """The segments of a NRRD file; None for another file, or one without segments.

    Numbers are the values of the file, but where two layers use one value twice: then they count the segments from 1.

    Raises:
        InputError: If the header contradicts the voxels or cannot be understood.
    """
    found = _described(file.header.keys) if file.kind == NRRD else []
    if not found:
        return None
    path = file.path
    array, grid = file.header.read()
    if array.ndim not in (3, 4) or not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"{path} holds no label map of segments ({array.ndim}D, {array.dtype}); export it again.")
    layers = [array] if array.ndim == 3 else [array[..., k] for k in range(array.shape[-1])]
    segments = _placed(path, found, len(layers))
    _check(path, segments, layers)
    return _segments(segments, layers, grid)


def _described(keys: Mapping[str, str]) -> list[dict[str, str]]:
    """What the header says of each segment, in their order: `name`, `labelvalue`, `layer`, as far as it does."""
    entries: dict[int, dict[str, str]] = {}
    for key, value in keys.items():
        match = _SEGMENT.match(key)
        if match:
            entries.setdefault(int(match[1]), {})[match[2]] = value
    return [one for _, one in sorted(entries.items())]


def _placed(path: Path, found: list[dict[str, str]], layers: int) -> list[_Segment]:
    """The segments, each with its value and layer; until Slicer 4.10 each had a layer of its own, of 0 and 1."""
    said = sum("layer" in one for one in found)
    own = not said and layers > 1
    if own and layers != len(found) or 0 < said < len(found):
        raise InputError(f"{path} does not say in which of its layers each segment is; save it again in Slicer.")
    try:
        return [
            _Segment(
                one.get("name") or f"Segment {k + 1}",
                int(one.get("labelvalue", 1 if own else k + 1)),
                int(one.get("layer", k if own else 0)),
            )
            for k, one in enumerate(found)
        ]
    except ValueError as error:
        raise InputError(f"{path} has a segment whose value or layer is no number; save it again.") from error


def _check(path: Path, found: list[_Segment], layers: list[NDArray[Any]]) -> None:
    """Refuses segments that no voxel can be told by, and tells of voxels that are in none."""
    beyond = [one.name for one in found if not 0 <= one.layer < len(layers)]
    if beyond:
        raise InputError(f"{path} names a layer that it does not hold (of segment {beyond[0]!r}); save it again.")
    places = [(one.layer, one.value) for one in found]
    unclear = [one.name for one in found if one.value == 0 or places.count((one.layer, one.value)) > 1]
    if unclear:
        raise InputError(
            f"{path} has segments whose voxels cannot be told from others' or from the background "
            f"({', '.join(map(repr, unclear[:_NAMED]))}); save it again in Slicer."
        )
    named = [[one.value for one in found if one.layer == k] for k in range(len(layers))]
    count = sum(int((~np.isin(layer, [0, *known])).sum()) for layer, known in zip(layers, named, strict=True))
    if count:
        _log.warning("%s: %d voxels have values of no segment; they count as background, as in Slicer.", path, count)


def _segments(found: list[_Segment], layers: list[NDArray[Any]], grid: Grid) -> Segments:
    values = [one.value for one in found]
    numbers = values if len(set(values)) == len(values) else list(range(1, len(found) + 1))
    mapped = [np.zeros(grid.shape, np.int32) for _ in layers]
    for one, number in zip(found, numbers, strict=True):
        mapped[one.layer][layers[one.layer] == one.value] = number
    return Segments(tuple(mapped), grid, {n: one.name for n, one in zip(numbers, found, strict=True)})
