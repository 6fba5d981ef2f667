"""Volume nodes to arrays on grids and back, with any parents: by points, on oblique, anisotropic, flipped grids."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from mrml_cases import (
    TOLERANCE_MM,
    bend,
    from_parent,
    inner_points,
    linear_transform,
    matrix_of,
    new_node,
    ramps,
    scene_state,
    to_parent,
)
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import swap_lps_ras
from RobustDIRLib.io.images import Image, resample

pytestmark = pytest.mark.usefixtures("scene")

ROTATION = np.eye(4)
ROTATION[:3, :3] = Rotation.from_euler("xyz", (13, -31, 47), degrees=True).as_matrix() * np.array([1.0, 1.0, -1.0])
ROTATION[:3, 3] = 7.0, -11.0, 19.0
SHEAR = ROTATION @ np.array([[1.1, 0.2, 0, 5], [0, 0.9, -0.15, -3], [0.1, 0, 1.2, 8], [0, 0, 0, 1]])


@pytest.fixture
def mrml(scene):
    from RobustDIRLib import mrml

    return mrml


@pytest.fixture
def a_volume_node(scene, an_image):
    """`an_image` as Slicer itself would make it: an array and a matrix."""
    import slicer

    return slicer.util.addVolumeFromArray(an_image.array.copy(), matrix_of(an_image.grid), "image")


@pytest.fixture
def ramp_nodes(scene, oblique_grid):
    """Three volumes that hold their voxels' own x, y, z: what is read at a point says which point it was."""
    import slicer

    matrix = matrix_of(oblique_grid)
    return [slicer.util.addVolumeFromArray(r.astype(np.float64), matrix, "ramp") for r in ramps(oblique_grid)]


def read_at(volumes, points):
    """Values of volumes on one grid at points, linearly interpolated."""
    voxels = volumes[0].grid.voxels_from_points(points).T
    return np.stack([map_coordinates(v.array, voxels, order=1) for v in volumes], axis=-1)


def test_voxels_keep_their_place(mrml, a_volume_node, an_image):
    volume = mrml.volume_from_node(a_volume_node)
    np.testing.assert_array_equal(volume.array, an_image.array)
    assert volume.grid.close_to(an_image.grid, 1e-9)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_each_axis_points_where_slicer_has_it(mrml, a_volume_node, axis):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    a_volume_node.GetIJKToRASMatrix(matrix)
    ijk = [2.0, 3.0, 4.0, 1.0]
    ijk[axis] += 5.5
    grid = mrml.grid_of_volume(a_volume_node)
    np.testing.assert_allclose(
        grid.points_from_voxels(ijk[2::-1]), swap_lps_ras(matrix.MultiplyPoint(ijk)[:3]), atol=TOLERANCE_MM
    )


def test_rotated_and_shifted_volumes_keep_their_voxels(mrml, scene, a_volume_node, an_image):
    import slicer

    shift = np.eye(4)
    shift[:3, 3] = 1.0, 2.0, 3.0
    outer, inner = linear_transform(scene, ROTATION), linear_transform(scene, shift)
    a_volume_node.SetAndObserveTransformNodeID(inner.GetID())
    inner.SetAndObserveTransformNodeID(outer.GetID())
    volume = mrml.volume_from_node(a_volume_node)
    np.testing.assert_array_equal(volume.array, an_image.array)
    assert np.shares_memory(volume.array, slicer.util.arrayFromVolume(a_volume_node))
    voxels = np.random.default_rng(1).uniform(0, 15, (9, 3))
    own = swap_lps_ras(an_image.grid.points_from_voxels(voxels))
    world = (np.c_[own, np.ones(9)] @ (ROTATION @ shift).T)[:, :3]
    np.testing.assert_allclose(volume.grid.points_from_voxels(voxels), swap_lps_ras(world), atol=TOLERANCE_MM)


def test_skewed_volumes_are_read_where_they_lie(mrml, scene, ramp_nodes, oblique_grid):
    parent = linear_transform(scene, SHEAR)
    for node in ramp_nodes:
        node.SetAndObserveTransformNodeID(parent.GetID())
    volumes = [mrml.volume_from_node(node) for node in ramp_nodes]
    direction = np.asarray(volumes[0].grid.direction)
    np.testing.assert_allclose(direction.T @ direction, np.eye(3), atol=1e-9)
    own = inner_points(oblique_grid)
    np.testing.assert_allclose(read_at(volumes, to_parent(parent, own)), own, atol=TOLERANCE_MM)


@pytest.mark.parametrize("above", [None, "linear"])
def test_bent_volumes_are_read_where_they_lie(mrml, scene, ramp_nodes, oblique_grid, above):
    parent = bend(scene)
    if above:
        outer = linear_transform(scene, ROTATION)
        parent.SetAndObserveTransformNodeID(outer.GetID())
    for node in ramp_nodes:
        node.SetAndObserveTransformNodeID(parent.GetID())
    volumes = [mrml.volume_from_node(node) for node in ramp_nodes]
    voxels = np.argwhere(np.ones(volumes[0].grid.shape))
    world = volumes[0].grid.points_from_voxels(voxels)
    own = from_parent(parent, from_parent(outer, world) if above else world)
    inside = ((oblique_grid.voxels_from_points(own) > 0.2).all(1)) & (
        (oblique_grid.voxels_from_points(own) < np.array(oblique_grid.shape) - 1.2).all(1)
    )
    assert inside.sum() > 1000
    read = np.stack([v.array.reshape(-1) for v in volumes], axis=-1)
    np.testing.assert_allclose(read[inside], own[inside], atol=TOLERANCE_MM)


def test_the_upright_grid_covers_all_of_a_bent_volume(mrml, scene, a_volume_node, oblique_grid):
    parent = bend(scene)
    a_volume_node.SetAndObserveTransformNodeID(parent.GetID())
    centres = oblique_grid.points_from_voxels(np.argwhere(np.ones(oblique_grid.shape)))
    grid = mrml.grid_of_volume(a_volume_node)
    assert grid.contains(to_parent(parent, centres)).all()
    np.testing.assert_allclose(grid.spacing, oblique_grid.spacing, rtol=0.15)
    assert np.sign(np.linalg.det(grid.direction)) == np.sign(np.linalg.det(oblique_grid.direction))


def test_outside_a_bent_volume_is_its_smallest_value(mrml, scene, a_volume_node, an_image):
    a_volume_node.SetAndObserveTransformNodeID(bend(scene).GetID())
    assert mrml.volume_from_node(a_volume_node).array[0, 0, 0] == an_image.array.min()


def test_bent_label_maps_keep_their_labels(mrml, scene, a_label_map):
    import slicer

    node = slicer.util.addVolumeFromArray(
        a_label_map.array.copy(), matrix_of(a_label_map.grid), "labels", "vtkMRMLLabelMapVolumeNode"
    )
    node.SetAndObserveTransformNodeID(bend(scene).GetID())
    assert set(np.unique(mrml.volume_from_node(node).array)) == {0, 1, 2, 3, 207}


def test_resampling_to_another_grid_is_the_librarys(mrml, a_volume_node, an_image, other_grid):
    ours = mrml.volume_from_node(a_volume_node, other_grid)
    np.testing.assert_allclose(ours.array, resample(an_image, other_grid).array, atol=2e-5)
    assert ours.grid == other_grid


def test_nearest_voxels_on_another_grid_are_the_librarys(mrml, scene, a_label_map, other_grid):
    import slicer

    node = slicer.util.addVolumeFromArray(
        a_label_map.array.copy(), matrix_of(a_label_map.grid), "labels", "vtkMRMLLabelMapVolumeNode"
    )
    expected = resample(a_label_map, other_grid, nearest=True).array
    assert (mrml.volume_from_node(node, other_grid).array != expected).mean() < 1e-3


def test_reading_leaves_the_scene_as_it_was(mrml, scene, a_volume_node):
    a_volume_node.SetAndObserveTransformNodeID(bend(scene).GetID())
    before = scene_state(scene)
    mrml.volume_from_node(a_volume_node)
    assert scene_state(scene) == before


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_volumes_return_as_they_went(mrml, scene, oblique_grid, kind):
    array = (np.random.default_rng(5).uniform(0, 200, oblique_grid.shape)).astype(kind)
    node = mrml.volume_to_node(Image(array, oblique_grid), "made")
    again = mrml.volume_from_node(node)
    np.testing.assert_array_equal(again.array, array)
    assert again.array.dtype == kind
    assert again.grid.close_to(oblique_grid, 1e-9)
    assert node.GetDisplayNode() is not None


def test_slicer_finds_a_point_of_a_written_volume(mrml, scene, an_image):
    import vtk

    node = mrml.volume_to_node(Image(an_image.array, an_image.grid), "made")
    matrix = vtk.vtkMatrix4x4()
    node.GetRASToIJKMatrix(matrix)
    points = inner_points(an_image.grid, 9)
    found = [matrix.MultiplyPoint((*p, 1.0))[2::-1] for p in swap_lps_ras(points)]
    np.testing.assert_allclose(found, an_image.grid.voxels_from_points(points), atol=TOLERANCE_MM)


@pytest.mark.parametrize(("kind", "becomes"), [(bool, np.uint8), (np.float16, np.float32), (">i2", "<i2")])
def test_types_that_vtk_lacks_are_widened(mrml, scene, oblique_grid, kind, becomes):
    array = np.random.default_rng(6).integers(0, 2, oblique_grid.shape).astype(kind)
    again = mrml.volume_from_node(mrml.volume_to_node(Image(array, oblique_grid), "made"))
    assert again.array.dtype == becomes
    np.testing.assert_array_equal(again.array, array)


def test_a_filled_node_owns_its_voxels_and_lies_in_the_world(mrml, scene, a_volume_node, an_image):
    a_volume_node.SetAndObserveTransformNodeID(bend(scene).GetID())
    array = np.zeros(an_image.grid.shape, np.int16)
    same = mrml.volume_to_node(Image(array, an_image.grid), "ignored", node=a_volume_node)
    array += 1
    assert same is a_volume_node
    assert a_volume_node.GetTransformNodeID() is None
    assert mrml.volume_from_node(same).array.max() == 0


def test_label_maps_become_label_map_nodes(mrml, scene, a_label_map):
    node = mrml.volume_to_node(Image(*_pair(a_label_map)), "labels", labels=True)
    assert node.GetClassName() == "vtkMRMLLabelMapVolumeNode"


def _pair(image: Image):
    return image.array, image.grid


def test_what_is_no_volume_is_refused(mrml, scene):
    with pytest.raises(InputError, match="no volume; select one"):
        mrml.volume_from_node(None)
    empty = new_node(scene, "ScalarVolume", "empty")
    with pytest.raises(InputError, match="empty holds no voxels"):
        mrml.volume_from_node(empty)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("entry", [0.0, np.nan, np.inf])
def test_what_a_transform_flattens_or_puts_nowhere_is_refused(mrml, scene, a_volume_node, axis, entry):
    """However its own axes are turned; one that is only made thin is read."""
    matrix = np.eye(4)
    matrix[axis, axis] = 1e-3
    transform = linear_transform(scene, ROTATION @ matrix)
    a_volume_node.SetAndObserveTransformNodeID(transform.GetID())
    mrml.grid_of_volume(a_volume_node)
    matrix[axis, axis] = entry
    transform.SetMatrixTransformToParent(slicer_matrix(ROTATION @ matrix if np.isfinite(entry) else matrix))
    for read in (mrml.grid_of_volume, mrml.volume_from_node):
        with pytest.raises(InputError, match="is flattened, or put nowhere"):
            read(a_volume_node)


def slicer_matrix(matrix):
    import slicer

    return slicer.util.vtkMatrixFromArray(matrix)


def test_colours_are_refused(mrml, scene):
    import slicer

    node = slicer.util.addVolumeFromArray(np.zeros((3, 4, 5, 3)), name="paint", nodeClassName="vtkMRMLVectorVolumeNode")
    with pytest.raises(InputError, match="paint has 3 values a voxel"):
        mrml.volume_from_node(node)


@pytest.mark.parametrize(
    ("voxels", "largest"), [(1, 25), (60, 50), (25 * 21, 25 * 21), (1200, 1050), (10**6, 17 * 21 * 25)]
)
def test_boxes_cover_a_grid_once(mrml, oblique_grid, voxels, largest):
    from RobustDIRLib.mrml.resampling import boxes

    covered, sizes = np.zeros(oblique_grid.shape, int), []
    for box in boxes(oblique_grid, voxels):
        covered[box] += 1
        sizes.append(covered[box].size)
    assert (covered == 1).all()
    assert max(sizes) == largest


@pytest.mark.parametrize("bent", [False, True])
def test_reading_in_small_steps_changes_nothing(mrml, scene, a_volume_node, other_grid, monkeypatch, bent):
    from RobustDIRLib.mrml import resampling

    if bent:
        a_volume_node.SetAndObserveTransformNodeID(bend(scene).GetID())
    whole = mrml.volume_from_node(a_volume_node, other_grid)
    monkeypatch.setattr(resampling, "_LINEAR_VOXELS", 70)
    monkeypatch.setattr(resampling, "_BENT_VOXELS", 70)
    volume, steps = mrml.begin_volume(a_volume_node, other_grid)
    assert len(list(steps)) == 19 * 6  # layers, and rows of 15 voxels four by four
    np.testing.assert_array_equal(volume.array, whole.array)
    assert np.ptp(whole.array) > 0.5
