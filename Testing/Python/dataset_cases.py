"""Small files as the known data sets have them: NIfTI on oblique grids, lists in JSON, landmarks in text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from RobustDIRLib.datasets.cases import Dataset
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image, write_image
from RobustDIRLib.io.landmarks import Landmarks, write_landmarks

# Rotated about two axes, left-handed, three spacings, odd sides.
GRID = Grid(
    (11, 14, 17),
    (1.3, 0.9, 2.1),
    (-31.5, 47.25, 12.75),
    ((0.8, 0.36, 0.48), (-0.6, 0.48, 0.64), (0.0, 0.8, -0.6)),
)


def write_scan(path: Path, seed: int = 0, grid: Grid = GRID) -> Path:
    """An image of noise in HU."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(seed).normal(-400, 300, grid.shape).astype(np.float32)
    write_image(path, Image(array, grid))
    return path


def write_label_map(path: Path, seed: int = 0, grid: Grid = GRID) -> Path:
    """Labels 0 to 3 at random."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, Image(np.random.default_rng(seed).integers(0, 4, grid.shape).astype(np.uint8), grid))
    return path


def voxels(count: int, seed: int = 0, grid: Grid = GRID) -> np.ndarray:
    """Indices within the grid, between voxel centres, ordered x, y, z as in the files."""
    return np.random.default_rng(seed).uniform(0, np.array(grid.size) - 1, (count, 3))


def write_voxels(path: Path, indices: np.ndarray) -> Path:
    """Learn2Reg's keypoints: lines x,y,z without a header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{x:.3f},{y:.3f},{z:.3f}\n" for x, y, z in indices))
    return path


def write_points(path: Path, count: int = 5, seed: int = 0, grid: Grid = GRID) -> Path:
    """Landmarks in mm within the grid."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_landmarks(path, Landmarks(grid.points_from_voxels(voxels(count, seed, grid)[:, ::-1])))
    return path


def write_json(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def problems(path: Path, *parts: str, count: int | None = None, **options: str) -> list[str]:
    """The problems that opening tells of, each part said in one of them."""
    with pytest.raises(InputError) as caught:
        open_dataset(path, **options)
    told = str(caught.value).splitlines()[1:]
    for part in parts:
        assert any(part in line for line in told), f"{part!r} is not in {told}"
    assert count is None or len(told) == count, told
    return told


def names(dataset: Dataset) -> list[str]:
    return [case.name for case in dataset.cases]


def untouched(folder: Path) -> Iterable[tuple[str, int]]:
    """Every file with the time of its last change, to see that a data set is only read."""
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))
