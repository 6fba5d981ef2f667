"""Surface distances against hand-worked cases, brute force, surface-distance, scikit-image and SimpleITK."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk
import surface_distance
from scipy.ndimage import gaussian_filter, shift
from scipy.spatial.distance import cdist
from skimage.measure import marching_cubes, mesh_surface_area

from RobustDIRLib.evaluation import surfaces
from RobustDIRLib.evaluation.measurement import Reason
from RobustDIRLib.evaluation.surfaces import SurfaceDistances, label_boxes, surface_distances_per_label
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image


def blobs(shape: tuple[int, int, int], seed: int, width: float = 3) -> np.ndarray:
    """Labels 0, 1, 4 and 300 of ragged blobs that touch every border."""
    noise = np.random.default_rng(seed).normal(size=shape)
    smooth = gaussian_filter(noise, width, mode="nearest")
    return np.array([0, 4, 1, 300])[np.digitize(smooth, np.quantile(smooth, [0.4, 0.6, 0.85]))]


@pytest.fixture
def pair(oblique_grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Two label maps that differ by a shift along every axis and by loose voxels."""
    fixed = blobs(oblique_grid.shape, 1)
    warped = shift(fixed, (1, -2, 1), order=0, mode="nearest")
    loose = np.random.default_rng(2).random(fixed.shape) < 0.01
    return fixed, np.where(loose, 4, warped)


def values(found: SurfaceDistances) -> dict[str, float]:
    return {name: one["value"] for name, one in found.plain().items()}


# --- hand-worked ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("apart", [1, 2, 5])
def test_two_single_voxels(oblique_grid: Grid, axis: int, apart: int) -> None:
    """A voxel's surface is its eight corners, of equal area: four face the other voxel, four are turned away."""
    fixed, warped = np.zeros((2, *oblique_grid.shape), int)
    fixed[8, 9, 10] = 7
    place = [8, 9, 10]
    place[axis] += apart
    warped[tuple(place)] = 7
    step = oblique_grid.spacing[2 - axis]
    found = values(surface_distances_per_label(fixed, warped, oblique_grid)[7])
    assert found["hd95_mm"] == found["hausdorff_mm"] == pytest.approx(apart * step)
    means = ("assd_mm", "mda_mm", "fixed_to_warped_mm", "warped_to_fixed_mm")
    assert [found[name] for name in means] == pytest.approx([(apart - 0.5) * step] * 4)


def test_diagonal_neighbours_share_a_corner(oblique_grid: Grid) -> None:
    """The far corner is a whole diagonal away from the shared one, and the others lie as edges and faces say."""
    fixed, warped = np.zeros((2, *oblique_grid.shape), int)
    fixed[3, 4, 5] = warped[4, 5, 6] = 1
    x, y, z = oblique_grid.spacing
    nearest = [np.linalg.norm(corner) for corner in product((0, x), (0, y), (0, z))]
    found = values(surface_distances_per_label(fixed, warped, oblique_grid)[1])
    assert found["assd_mm"] == pytest.approx(np.mean(nearest))
    assert found["hausdorff_mm"] == pytest.approx(np.linalg.norm([x, y, z]))


def test_both_means_where_surfaces_are_of_unlike_size(oblique_grid: Grid) -> None:
    """ASSD weighs both directions by their surfaces' areas, the mean distance to agreement counts them alike."""
    fixed, warped = np.zeros((2, *oblique_grid.shape), int)
    fixed[2:15, 3:18, 4:20] = 1
    warped[7:9, 8:12, 10:14] = 1
    surface = [surfaces.surface_of_label(a, 1, label_boxes(a)[1], oblique_grid) for a in (fixed, warped)]
    areas = [one.areas.sum() for one in surface]
    found = values(surface_distances_per_label(fixed, warped, oblique_grid)[1])
    there, back = found["fixed_to_warped_mm"], found["warped_to_fixed_mm"]
    assert found["mda_mm"] == pytest.approx((there + back) / 2)
    assert found["assd_mm"] == pytest.approx((there * areas[0] + back * areas[1]) / sum(areas))
    assert abs(found["assd_mm"] - found["mda_mm"]) > 0.5


def test_equal_surfaces_are_nowhere_apart(oblique_grid: Grid, pair: tuple[np.ndarray, np.ndarray]) -> None:
    found = surface_distances_per_label(pair[0], pair[0].copy(), oblique_grid)
    assert list(found) == [1, 4, 300]
    assert all(set(values(one).values()) == {0.0} for one in found.values())


def test_exchange_of_the_maps_exchanges_the_directions(oblique_grid: Grid, pair: tuple[np.ndarray, np.ndarray]) -> None:
    there = surface_distances_per_label(*pair, oblique_grid)
    back = surface_distances_per_label(*pair[::-1], oblique_grid)
    for label, one in there.items():
        swapped = replace(one, fixed_to_warped_mm=one.warped_to_fixed_mm, warped_to_fixed_mm=one.fixed_to_warped_mm)
        assert values(back[label]) == pytest.approx(values(swapped))
        assert one.fixed_to_warped_mm != one.warped_to_fixed_mm


# --- oracles ----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # of the oracle's own imports
@pytest.mark.parametrize("seed", [3, 4])
def test_agrees_with_surface_distance(oblique_grid: Grid, seed: int) -> None:
    fixed, warped = blobs(oblique_grid.shape, seed), blobs(oblique_grid.shape, seed + 10, 2)
    found = surface_distances_per_label(fixed, warped, oblique_grid)
    for label in (1, 4, 300):
        oracle = surface_distance.compute_surface_distances(fixed == label, warped == label, oblique_grid.spacing[::-1])
        there, back = surface_distance.compute_average_surface_distance(oracle)
        expected = {
            "hd95_mm": surface_distance.compute_robust_hausdorff(oracle, 95),
            "hausdorff_mm": surface_distance.compute_robust_hausdorff(oracle, 100),
            "fixed_to_warped_mm": there,
            "warped_to_fixed_mm": back,
            "mda_mm": (there + back) / 2,
        }
        mine = values(found[label])
        assert {name: mine[name] for name in expected} == pytest.approx(expected)


def test_agrees_with_every_distance_in_space(oblique_grid: Grid, pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Points of the surfaces in mm and LPS, each measured to each."""
    fixed, warped = (surfaces.surface_of_label(a, 4, label_boxes(a)[4], oblique_grid) for a in pair)
    apart = cdist(fixed.points, warped.points)
    found = values(surface_distances_per_label(*pair, oblique_grid)[4])
    assert found["fixed_to_warped_mm"] == pytest.approx(np.average(apart.min(axis=1), weights=fixed.areas))
    assert found["warped_to_fixed_mm"] == pytest.approx(np.average(apart.min(axis=0), weights=warped.areas))
    assert found["hausdorff_mm"] == pytest.approx(max(apart.min(axis=1).max(), apart.min(axis=0).max()))


def test_surface_lies_between_voxels_inside_and_outside(oblique_grid: Grid, a_label_map: Image) -> None:
    """Each point is a cell's centre; of the eight voxels around it some bear the label and some do not."""
    array = np.asarray(a_label_map.array)
    surface = surfaces.surface_of_label(array, 2, label_boxes(array)[2], oblique_grid)
    cells = oblique_grid.voxels_from_points(surface.points)
    np.testing.assert_allclose(cells % 1, 0.5, atol=1e-9)
    padded = np.pad(array == 2, 1)
    low = np.floor(cells + 1e-6).astype(int) + 1
    corners = sum(padded[tuple((low + corner).T)].astype(int) for corner in product((0, 1), repeat=3))
    assert ((corners > 0) & (corners < 8)).all()


def test_area_is_that_of_marching_cubes(oblique_grid: Grid) -> None:
    """On a smooth ellipsoid no cell can be cut in two ways."""
    places = np.stack(np.meshgrid(*map(np.arange, oblique_grid.shape), indexing="ij"), axis=-1)
    ball = ((places - [8, 10, 12]) ** 2 / np.array([5, 7, 9]) ** 2).sum(axis=-1) < 1
    vertices, faces, *_ = marching_cubes(ball.astype(float), 0.5, spacing=oblique_grid.spacing[::-1])
    surface = surfaces.surface_of_label(ball.astype(int), 1, label_boxes(ball.astype(int))[1], oblique_grid)
    assert surface.areas.sum() == pytest.approx(mesh_surface_area(vertices, faces))


def test_area_of_a_cell_is_the_same_however_it_is_turned_or_inverted() -> None:
    areas = surfaces._cell_areas((1.0, 1.0, 1.0))
    codes = np.arange(256)
    cells = (codes[:, None] >> np.arange(8) & 1).reshape(256, 2, 2, 2)
    for order, flips in product(permutations((1, 2, 3)), product((1, -1), repeat=3)):
        turned = cells.transpose(0, *order)[:, :: flips[0], :: flips[1], :: flips[2]].reshape(256, 8)
        np.testing.assert_allclose(areas[(turned << np.arange(8)).sum(axis=1)], areas)
    np.testing.assert_allclose(areas[255 - codes], areas)
    assert areas[0] == areas[255] == 0 and (areas[1:255] > 0).all()


def test_within_a_voxel_of_simpleitk(oblique_grid: Grid, pair: tuple[np.ndarray, np.ndarray]) -> None:
    """SimpleITK takes distances between voxels of the labels, not between their surfaces."""
    found = surface_distances_per_label(*pair, oblique_grid)
    for label in (1, 300):
        images = [sitk.GetImageFromArray((a == label).astype(np.uint8)) for a in pair]
        for image in images:
            image.SetSpacing(oblique_grid.spacing)
        oracle = sitk.HausdorffDistanceImageFilter()
        oracle.Execute(*images)
        expected = oracle.GetHausdorffDistance()
        assert values(found[label])["hausdorff_mm"] == pytest.approx(expected, abs=max(oblique_grid.spacing))


def test_place_and_turn_of_the_grid_do_not_matter(oblique_grid: Grid, pair: tuple[np.ndarray, np.ndarray]) -> None:
    plain = Grid(oblique_grid.shape, oblique_grid.spacing)
    for label, one in surface_distances_per_label(*pair, oblique_grid).items():
        assert values(one) == pytest.approx(values(surface_distances_per_label(*pair, plain)[label]))


@pytest.mark.parametrize("axis", range(3))
def test_each_axis_has_its_own_spacing(axis: int) -> None:
    """A plate moved by two voxels: nearly all of its surface is two spacings away."""
    spacing = (0.7, 1.9, 3.3)
    grid = Grid((21, 21, 21), spacing)
    fixed = np.zeros(grid.shape, int)
    region = [slice(2, 19)] * 3
    region[axis] = slice(6, 7)
    fixed[tuple(region)] = 1
    found = values(surface_distances_per_label(fixed, np.roll(fixed, 2, axis), grid)[1])
    assert found["hd95_mm"] == pytest.approx(2 * spacing[2 - axis])


# --- labels -----------------------------------------------------------------------------------------------------------


def test_missing_labels_have_a_reason(oblique_grid: Grid) -> None:
    fixed, warped = np.zeros((2, *oblique_grid.shape), int)
    fixed[2, 3, 4], fixed[5, 5, 5], warped[9, 9, 9] = 1, 2, 3
    found = surface_distances_per_label(fixed, warped, oblique_grid, [9, 3, 2, 1], moving_labels={2, 3})
    reasons = {9: Reason.IN_NEITHER_MAP, 3: Reason.ONLY_IN_MOVING, 2: Reason.VANISHED, 1: Reason.ONLY_IN_FIXED}
    assert {label: one.reason for label, one in found.items()} == reasons
    assert list(found) == [9, 3, 2, 1]
    assert {one["reason"] for one in found[2].plain().values()} == {"vanished_after_warping"}


def test_labels_of_any_integer_type(oblique_grid: Grid, pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Wide and negative labels are found by another way than narrow ones."""
    narrow = surface_distances_per_label(*(a.astype(np.uint16) for a in pair), oblique_grid)
    renamed = [np.select([a == 1, a == 4, a == 300], [-5, 4, 2_000_000_000], 0).astype(np.int32) for a in pair]
    wide = surface_distances_per_label(*renamed, oblique_grid)
    assert list(wide) == [-5, 4, 2_000_000_000]
    assert [values(one) for one in wide.values()] == [values(narrow[label]) for label in (1, 4, 300)]


def test_background_counts_when_asked_for(oblique_grid: Grid, pair: tuple[np.ndarray, np.ndarray]) -> None:
    found = surface_distances_per_label(*pair, oblique_grid, [0])
    assert found[0].reason is None and values(found[0])["assd_mm"] > 0


def test_labels_cut_off_by_the_border_are_closed_there(oblique_grid: Grid) -> None:
    fixed = np.ones(oblique_grid.shape, int)
    warped = fixed.copy()
    warped[:, :, :3] = 0
    found = values(surface_distances_per_label(fixed, warped, oblique_grid)[1])
    assert found["hausdorff_mm"] == pytest.approx(3 * oblique_grid.spacing[0])


def test_other_shapes_are_refused(oblique_grid: Grid) -> None:
    maps = np.zeros(oblique_grid.shape, int), np.zeros((17, 21, 24), int)
    for fixed, warped in (maps, maps[::-1], maps[1:] * 2):
        with pytest.raises(ValueError, match="shape"):
            surface_distances_per_label(fixed, warped, oblique_grid)


def test_memory_does_not_grow_with_the_number_of_labels() -> None:
    """Small structures in a large volume need little beyond a copy of the label map."""
    grid = Grid((96, 96, 96))
    fixed = np.zeros(grid.shape, np.int16)
    for number, place in enumerate(product(range(5, 90, 20), repeat=3), start=1):
        fixed[tuple(slice(p, p + 6) for p in place)] = number
    warped = np.roll(fixed, (1, 2, 1), (0, 1, 2))
    tracemalloc.start()
    found = surface_distances_per_label(fixed, warped, grid)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 125
    assert peak < 12 * fixed.size
