"""Registrations as transform nodes: both directions, by points and by what Slicer makes of images and files."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from mrml_cases import (
    TOLERANCE_MM,
    field_from_transform,
    from_parent,
    inner_points,
    linear_transform,
    matrix_of,
    to_parent,
)
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.displacements import (
    apply_to_points,
    compose_transforms,
    read_displacement,
    read_transform,
    to_sitk_transform,
    write_displacement,
    write_transform,
)
from RobustDIRLib.io.images import resample
from RobustDIRLib.values import DisplacementField, Landmarks

pytestmark = pytest.mark.usefixtures("scene")


@pytest.fixture
def mrml(scene):
    from RobustDIRLib import mrml

    return mrml


@pytest.fixture
def a_grid_node(mrml, a_field):
    return mrml.transform_from_parts([DisplacementField(a_field.array, a_field.grid)], "moving to fixed")


@pytest.fixture
def an_affine():
    """Rotation, scaling, shear and shift, about a centre, as ITK has them."""
    affine = sitk.AffineTransform(3)
    axes = Rotation.from_euler("xyz", (5, -9, 12), degrees=True).as_matrix() @ np.diag([1.05, 0.95, 1.1])
    axes[0, 1] += 0.05
    affine.SetMatrix(axes.reshape(-1).tolist())
    affine.SetCenter((10.0, -20.0, 5.0))
    affine.SetTranslation((3.0, -2.0, 4.0))
    return affine


def test_from_parent_takes_fixed_points_to_moving_points(a_grid_node, a_field):
    points = inner_points(a_field.grid)
    expected = apply_to_points(to_sitk_transform(a_field), points)
    np.testing.assert_allclose(from_parent(a_grid_node, points), expected, atol=TOLERANCE_MM)
    assert np.abs(expected - points).max() > 0.5


@pytest.mark.parametrize("component", [0, 1, 2])
def test_each_component_moves_along_its_own_axis(mrml, oblique_grid, component):
    array = np.zeros((*oblique_grid.shape, 3), np.float32)
    array[..., component] = 2.5
    node = mrml.transform_from_parts([DisplacementField(array, oblique_grid)], "shift")
    point = inner_points(oblique_grid, 1)
    np.testing.assert_allclose(from_parent(node, point) - point, 2.5 * np.eye(3)[component][None], atol=TOLERANCE_MM)


def test_slicer_warps_the_moving_volume_as_the_library_does(mrml, scene, a_grid_node, a_field, an_image, other_grid):
    import slicer

    fixed = slicer.util.addVolumeFromArray(np.zeros(other_grid.shape, np.float32), matrix_of(other_grid), "fixed")
    moving = slicer.util.addVolumeFromArray(an_image.array.copy(), matrix_of(an_image.grid), "moving")
    moving.SetAndObserveTransformNodeID(a_grid_node.GetID())
    warped = slicer.modules.volumes.logic().ResampleVolumeToReferenceVolume(moving, fixed)
    expected = resample(an_image, other_grid, to_sitk_transform(a_field))
    inside = a_field.grid.padded((-2, -2, -2), (-2, -2, -2)).contains(
        other_grid.points_from_voxels(np.argwhere(np.ones(other_grid.shape)))
    )
    ours = slicer.util.arrayFromVolume(warped).reshape(-1)[inside]
    np.testing.assert_allclose(ours, expected.array.reshape(-1)[inside], atol=2e-3)
    assert np.abs(resample(an_image, other_grid).array.reshape(-1)[inside] - ours).max() > 0.1


def test_moving_landmarks_under_the_node_come_onto_fixed_ones(mrml, a_grid_node, a_field):
    fixed = inner_points(a_field.grid)
    moving = apply_to_points(to_sitk_transform(a_field), fixed)
    markups = mrml.markups_from_points(Landmarks(moving, tuple(map(str, range(len(moving))))), "moving")
    markups.SetAndObserveTransformNodeID(a_grid_node.GetID())
    # MRML inverts the field by iteration to a tolerance of its own.
    np.testing.assert_allclose(mrml.points_from_markups(markups).points, fixed, atol=0.02)


def test_the_inverse_node_is_the_inverse(mrml, a_grid_node, a_field):
    """A field and its exact inverse: two shifts that undo each other, in two nodes."""
    shift = np.broadcast_to(np.float32([1.5, -2.5, 3.5]), (*a_field.grid.shape, 3))
    forth = mrml.transform_from_parts([DisplacementField(shift, a_field.grid)], "moving to fixed")
    back = mrml.transform_from_parts([DisplacementField(-shift, a_field.grid)], "fixed to moving")
    points = inner_points(a_field.grid)
    np.testing.assert_allclose(from_parent(back, from_parent(forth, points)), points, atol=TOLERANCE_MM)
    np.testing.assert_allclose(to_parent(forth, points), from_parent(back, points), atol=TOLERANCE_MM)


def test_a_composite_acts_as_itks(mrml, a_field, an_affine):
    transform = sitk.CompositeTransform([an_affine, to_sitk_transform(a_field)])
    node = mrml.transform_from_parts(mrml.itk_parts(transform), "moving to fixed")
    points = inner_points(a_field.grid)
    np.testing.assert_allclose(from_parent(node, points), apply_to_points(transform, points), atol=TOLERANCE_MM)
    np.testing.assert_allclose(
        mrml.transform_points(node, points), apply_to_points(transform, points), atol=TOLERANCE_MM
    )


def test_the_order_of_parts_matters(mrml, a_field, an_affine):
    one = sitk.CompositeTransform([an_affine, to_sitk_transform(a_field)])
    other = sitk.CompositeTransform([to_sitk_transform(a_field), an_affine])
    parts = mrml.itk_parts(one)
    assert len(parts) == 2
    assert isinstance(parts[0], DisplacementField)
    assert isinstance(mrml.itk_parts(other)[1], DisplacementField)


def test_composites_within_composites_are_taken_apart(mrml, a_field, an_affine):
    inner = sitk.CompositeTransform([sitk.TranslationTransform(3, (1.0, 2.0, 3.0)), to_sitk_transform(a_field)])
    outer = sitk.CompositeTransform([an_affine, inner])
    node = mrml.transform_from_parts(mrml.itk_parts(outer), "nested")
    points = inner_points(a_field.grid)
    np.testing.assert_allclose(from_parent(node, points), apply_to_points(outer, points), atol=TOLERANCE_MM)


def test_a_linear_transform_becomes_a_linear_node(mrml, oblique_grid, an_affine):
    node = mrml.transform_from_parts(mrml.itk_parts(an_affine), "affine")
    points = inner_points(oblique_grid)
    assert node.GetClassName() == "vtkMRMLLinearTransformNode"
    np.testing.assert_allclose(from_parent(node, points), apply_to_points(an_affine, points), atol=TOLERANCE_MM)


def test_other_kinds_of_transforms_are_refused(mrml):
    spline = sitk.BSplineTransform(3, 3)
    with pytest.raises(InputError, match="kind BSplineTransform"):
        mrml.itk_parts(spline)


def test_fields_are_interpolated_linearly(a_grid_node):
    import vtk

    grid_transform = a_grid_node.GetTransformFromParentAs("vtkOrientedGridTransform")
    assert grid_transform.GetInterpolationMode() == vtk.VTK_LINEAR_INTERPOLATION


def test_parents_of_a_transform_count(mrml, scene, a_grid_node, a_field):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (13, -31, 47), degrees=True).as_matrix()
    matrix[:3, 3] = 7.0, -11.0, 19.0
    parent = linear_transform(scene, matrix)
    a_grid_node.SetAndObserveTransformNodeID(parent.GetID())
    world = to_parent(parent, inner_points(a_field.grid))
    expected = from_parent(a_grid_node, from_parent(parent, world))
    np.testing.assert_allclose(mrml.transform_points(a_grid_node, world), expected, atol=TOLERANCE_MM)


def test_points_return_by_the_inverse_direction(mrml, a_grid_node, a_field):
    points = inner_points(a_field.grid)
    there = mrml.transform_points(a_grid_node, points)
    np.testing.assert_allclose(mrml.transform_points(a_grid_node, there, inverse=True), points, atol=0.02)


def test_a_node_sampled_on_its_own_grid_gives_its_field(mrml, a_grid_node, a_field):
    field = field_from_transform(mrml, a_grid_node, a_field.grid)
    np.testing.assert_allclose(field, a_field.array, atol=TOLERANCE_MM)


def test_a_filled_node_is_filled_anew(mrml, a_grid_node, a_field):
    same = mrml.transform_from_parts([DisplacementField(-a_field.array, a_field.grid)], "ignored", node=a_grid_node)
    assert same is a_grid_node
    field = field_from_transform(mrml, same, a_field.grid)
    np.testing.assert_allclose(field, -a_field.array, atol=TOLERANCE_MM)


def test_the_node_owns_its_field(mrml, oblique_grid):
    array = np.ones((*oblique_grid.shape, 3), np.float32)
    node = mrml.transform_from_parts([DisplacementField(array, oblique_grid)], "shift")
    array *= 9
    point = inner_points(oblique_grid, 1)
    np.testing.assert_allclose(from_parent(node, point) - point, 1.0, atol=TOLERANCE_MM)


def test_a_linear_node_refuses_a_field(mrml, scene, a_field):
    node = linear_transform(scene, np.eye(4))
    with pytest.raises(InputError, match="linear takes linear transforms only"):
        mrml.transform_from_parts([DisplacementField(a_field.array, a_field.grid)], "x", node=node)


@pytest.mark.parametrize("extension", [".h5", ".nrrd", ".nii.gz", ".mha"])
def test_files_that_slicer_saves_are_the_same_transform(mrml, a_grid_node, a_field, tmp_path, extension):
    import slicer

    path = tmp_path / f"transform{extension}"
    assert slicer.util.saveNode(a_grid_node, str(path))
    saved = read_transform(path) if extension == ".h5" else to_sitk_transform(read_displacement(path))
    points = inner_points(a_field.grid)
    np.testing.assert_allclose(apply_to_points(saved, points), from_parent(a_grid_node, points), atol=TOLERANCE_MM)


@pytest.fixture
def loaded(tmp_path, scene):
    """Writes by the library, loads by a storage node of Slicer's, as *Add Data* does."""
    import slicer

    def load(name, write):
        write(tmp_path / name)
        node = slicer.util.loadTransform(str(tmp_path / name))
        assert node.GetStorageNode().GetClassName() == "vtkMRMLTransformStorageNode"
        return node

    return load


def interpolate_linearly(transform) -> int:
    """Has the grids in a loaded transform interpolate as ITK does; how many there are."""
    if transform.IsA("vtkGeneralTransform"):
        parts = [transform.GetConcatenatedTransform(k) for k in range(transform.GetNumberOfConcatenatedTransforms())]
        return sum(interpolate_linearly(part) for part in parts)
    if transform.IsA("vtkOrientedGridTransform"):
        transform.SetInterpolationModeToLinear()
        return 1
    return 0


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha", ".h5"])
def test_slicer_reads_our_displacement_fields(loaded, a_field, extension):
    def write(path):
        if extension == ".h5":
            write_transform(path, to_sitk_transform(a_field))
        else:
            write_displacement(path, a_field)

    node = loaded(f"displacement{extension}", write)
    points = inner_points(a_field.grid)
    expected = apply_to_points(to_sitk_transform(a_field), points)
    # Files carry no interpolation: what Slicer loads is cubic between voxel centres, and the same at them.
    centres = a_field.grid.points_from_voxels(np.argwhere(np.ones(np.array(a_field.grid.shape) - 8))[::37] + 4)
    moved = apply_to_points(to_sitk_transform(a_field), centres)
    np.testing.assert_allclose(from_parent(node, centres), moved, atol=TOLERANCE_MM)
    np.testing.assert_allclose(from_parent(node, points), expected, atol=0.05)
    assert interpolate_linearly(node.GetTransformFromParent()) == 1
    np.testing.assert_allclose(from_parent(node, points), expected, atol=TOLERANCE_MM)
    assert np.abs(expected - points).max() > 0.5


@pytest.mark.parametrize("which", ["transform", "inverse"])
def test_slicer_reads_the_composites_of_a_run(loaded, a_field, an_affine, which):
    """As `transform.h5` and `inverse.h5` hold them: an affine part after the displacement, and before it."""
    field = to_sitk_transform(a_field)
    if which == "transform":
        transform, points = compose_transforms(an_affine, field), inner_points(a_field.grid)
    else:
        transform = compose_transforms(field, an_affine)
        points = apply_to_points(an_affine.GetInverse(), inner_points(a_field.grid))
    node = loaded(f"{which}.h5", lambda path: write_transform(path, transform))
    expected = apply_to_points(transform, points)
    np.testing.assert_allclose(from_parent(node, points), expected, atol=0.05)  # cubic, as above
    assert interpolate_linearly(node.GetTransformFromParent()) == 1
    np.testing.assert_allclose(from_parent(node, points), expected, atol=TOLERANCE_MM)


def test_a_composite_survives_saving(mrml, scene, a_field, an_affine, tmp_path):
    import slicer

    transform = sitk.CompositeTransform([an_affine, to_sitk_transform(a_field)])
    node = mrml.transform_from_parts(mrml.itk_parts(transform), "composite")
    assert slicer.util.saveNode(node, str(tmp_path / "composite.h5"))
    points = inner_points(a_field.grid)
    saved = read_transform(tmp_path / "composite.h5")
    np.testing.assert_allclose(apply_to_points(saved, points), apply_to_points(transform, points), atol=TOLERANCE_MM)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_beyond_its_grid_a_field_goes_on_with_its_border_values(a_grid_node, a_field, axis):
    voxel = np.array(a_field.grid.shape) // 2
    voxel[axis] = a_field.grid.shape[axis] - 1
    beyond = voxel.astype(float)
    beyond[axis] += 30
    point = a_field.grid.points_from_voxels(beyond[None])
    moved = from_parent(a_grid_node, point) - point
    np.testing.assert_allclose(moved[0], a_field.array[tuple(voxel)], atol=TOLERANCE_MM)


def test_a_grid_of_one_voxel_thickness_works(mrml):
    grid = Grid((1, 5, 6), (2.0, 1.5, 3.0), (4.0, -7.0, 9.0))
    array = np.full((*grid.shape, 3), 1.25, np.float32)
    node = mrml.transform_from_parts([DisplacementField(array, grid)], "thin")
    point = grid.points_from_voxels([[0.0, 2.0, 3.0]])
    np.testing.assert_allclose(from_parent(node, point) - point, 1.25, atol=TOLERANCE_MM)
