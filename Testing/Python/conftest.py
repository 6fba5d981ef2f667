"""Data with no symmetry to hide behind, shared by the tests: odd sides, unequal spacing, oblique and flipped axes.

What is shared is never changed: arrays are read-only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from RobustDIRLib.geometry import Array, Grid
from RobustDIRLib.io.displacements import DisplacementField
from RobustDIRLib.io.images import Image
from RobustDIRLib.io.landmarks import Landmarks

_SHAPE = (17, 21, 25)
# Centre (z, y, x) and width as parts of each side, and height: no two alike, none on a plane of symmetry.
_BLOBS = (
    ((0.31, 0.42, 0.27), 0.11, 1.0),
    ((0.62, 0.28, 0.66), 0.09, 0.7),
    ((0.55, 0.71, 0.38), 0.14, 0.45),
    ((0.74, 0.61, 0.72), 0.07, 0.85),
)


def _direction(angles: tuple[float, float, float], flips: tuple[int, int, int]) -> tuple[tuple[float, ...], ...]:
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * np.array(flips)
    return tuple(tuple(float(entry) for entry in row) for row in matrix)


def _blobs(shape: tuple[int, int, int]) -> Array:
    places = np.stack(np.meshgrid(*[np.arange(n) / (n - 1) for n in shape], indexing="ij"), axis=-1)
    image = 0.1 * places @ np.array([0.5, 1.0, 2.0])
    for centre, width, height in _BLOBS:
        image += height * np.exp(-((places - np.array(centre)) ** 2).sum(axis=-1) / (2 * width**2))
    return np.asarray(image)


def _read_only(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


@pytest.fixture(scope="session")
def oblique_grid() -> Grid:
    """Odd sides, three spacings, rotated about all axes, one axis flipped (left-handed)."""
    return Grid(_SHAPE, (1.3, 0.9, 2.1), (-31.5, 47.25, 12.75), _direction((17, -24, 38), (1, -1, 1)))


@pytest.fixture(scope="session")
def other_grid(oblique_grid: Grid) -> Grid:
    """A grid that overlaps `oblique_grid` but shares nothing with it: sides, spacing, origin, direction, handedness."""
    grid = Grid((19, 23, 15), (1.7, 1.1, 1.9), (0.0, 0.0, 0.0), _direction((11, -20, 29), (1, -1, -1)))
    centre, other = (g.points_from_voxels((np.array(g.shape) - 1) / 2) for g in (oblique_grid, grid))
    return Grid(grid.shape, grid.spacing, tuple(centre - other + [3.0, -4.0, 2.0]), grid.direction)


@pytest.fixture(scope="session")
def an_image(oblique_grid: Grid) -> Image:
    """Blobs of unlike place, width and height on a slope, float32, between 0 and about 1.2, on `oblique_grid`."""
    return Image(_read_only(_blobs(oblique_grid.shape).astype(np.float32)), oblique_grid)


@pytest.fixture(scope="session")
def a_label_map(an_image: Image) -> Image:
    """Labels 0, 1, 2, 3 and 207 of `an_image` cut at unequal heights, uint8, on `oblique_grid`."""
    labels = np.digitize(an_image.array, [0.3, 0.5, 0.7, 0.9]).astype(np.uint8)
    return Image(_read_only(np.where(labels == 4, np.uint8(207), labels)), an_image.grid)


@pytest.fixture(scope="session")
def a_displacement(oblique_grid: Grid) -> np.ndarray:
    """Smooth and unlike along every axis, up to about 2 voxels, `(3, D, H, W)`, channels z, y, x, float32."""
    noise = np.random.default_rng(20).normal(size=(3, *oblique_grid.shape))
    smooth = np.stack([gaussian_filter(channel, 3.5, mode="nearest") for channel in noise])
    smooth *= np.array([1.2, 1.6, 2.0]).reshape(3, 1, 1, 1) / np.abs(smooth).max(axis=(1, 2, 3), keepdims=True)
    return _read_only((smooth + np.array([0.2, -0.3, 0.4]).reshape(3, 1, 1, 1)).astype(np.float32))


@pytest.fixture(scope="session")
def a_field(a_displacement: np.ndarray, oblique_grid: Grid) -> DisplacementField:
    """`a_displacement` in mm, LPS, on `oblique_grid`, float32."""
    return DisplacementField(_read_only(oblique_grid.displacement_to_mm(a_displacement)), oblique_grid)


@pytest.fixture(scope="session")
def some_landmarks(oblique_grid: Grid) -> Landmarks:
    """Seven named points well inside `oblique_grid`, between its voxel centres."""
    voxels = np.random.default_rng(7).uniform(3, np.array(oblique_grid.shape) - 4, size=(7, 3))
    names = ("carina", "apex, left", 'the "hilum"', "d", "Lebergefäß", "6", "g")
    return Landmarks(_read_only(oblique_grid.points_from_voxels(voxels)), names)


@pytest.fixture(scope="module")
def few_synthetic_pairs() -> Iterator[None]:
    """What a fine-tuned network is asked about forgetting is one small pair; for tests of what else a run does."""
    from RobustDIRLib.finetuning import forgetting

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(forgetting, "_SIDE", 24)
        monkeypatch.setattr(forgetting, "_COUNT", 1)
        monkeypatch.setattr(forgetting, "_PAIRS", replace(forgetting._PAIRS, side=24))
        monkeypatch.setattr(forgetting, "synthetic_pairs", lru_cache(forgetting.synthetic_pairs.__wrapped__))
        yield


@pytest.fixture
def a_panel(open_panel: Any, desktop: Any) -> Any:
    """The module's panel with a pair of volumes chosen; tests of one part of the panel have one of their own."""
    import panel_cases as cases

    panel = open_panel("RobustDIR")
    fixed, moving = cases.volume_nodes()
    panel.ui.fixedSelector.setCurrentNode(fixed)
    panel.ui.movingSelector.setCurrentNode(moving)
    cases.settle(desktop)
    return panel


@pytest.fixture
def sections(a_panel: Any) -> Any:
    """What is behind the panel."""
    return a_panel.widget.panel


@pytest.fixture
def runs_folder(desktop: Any, tmp_path: Any) -> Any:
    """The folder for runs, in the application's settings for as long as the test lasts."""
    import slicer

    from RobustDIRLib.trainpanel.home import SETTING, set_runs_home

    set_runs_home(tmp_path / "runs")
    yield tmp_path / "runs"
    slicer.app.settings().remove(SETTING)


@pytest.fixture
def train_panel(open_panel: Any, desktop: Any, runs_folder: Any) -> Any:
    """The panel of RobustDIRTrain on an empty scene."""
    import panel_cases as cases

    panel = open_panel("RobustDIRTrain")
    cases.settle(desktop)
    return panel
