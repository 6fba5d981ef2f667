"""Surfaces as voxels: the same as by the definitions and by Slicer's converter, on any grid, under any transform."""

from __future__ import annotations

import numpy as np
import pytest

from mrml_cases import bend, from_parent, linear_transform, new_node
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid, swap_lps_ras
from RobustDIRLib.values import Image

pytest.importorskip("slicer", reason="needs slicer-core")

TURN = np.array([[0.8, -0.6, 0.0, 4.0], [0.6, 0.8, 0.0, -3.0], [0.0, 0.0, 1.0, 2.5], [0.0, 0.0, 0.0, 1.0]])


def centres_of(grid: Grid) -> np.ndarray:
    return grid.points_from_voxels(np.argwhere(np.ones(grid.shape)))


def middle_of(grid: Grid) -> np.ndarray:
    return grid.points_from_voxels(np.array(grid.shape) / 2 + [1.0, -1.0, 2.0])


def ball(centre: np.ndarray, radius: float):
    import vtk

    source = vtk.vtkSphereSource()
    source.SetCenter(*swap_lps_ras(centre))
    source.SetRadius(radius)
    source.SetPhiResolution(90)
    source.SetThetaResolution(90)
    source.Update()
    return source.GetOutput()


def box(centre: np.ndarray, sides: tuple[float, float, float]):
    """Of squares, not triangles, along the axes of the world."""
    import vtk

    source = vtk.vtkCubeSource()
    source.SetCenter(*swap_lps_ras(centre))
    source.SetXLength(sides[0])
    source.SetYLength(sides[1])
    source.SetZLength(sides[2])
    source.Update()
    return source.GetOutput()


def segmentation_of(scene, *surfaces):
    node = new_node(scene, "Segmentation", "surfaces")
    node.SetSourceRepresentationToClosedSurface()
    for surface in surfaces:
        node.AddSegmentFromClosedSurfaceRepresentation(surface, "one", [1, 0, 0])
    return node


def labels_of(node, grid: Grid) -> np.ndarray:
    from RobustDIRLib import mrml

    return mrml.labels_from_segmentation(node, grid).array


def test_squares_are_filled_to_their_sides(scene, oblique_grid):
    sides = (17.3, 11.1, 14.7)
    labels = labels_of(segmentation_of(scene, box(middle_of(oblique_grid), sides)), oblique_grid)
    reach = np.abs(centres_of(oblique_grid) - middle_of(oblique_grid)) - np.array(sides) / 2
    inside, outside = (reach < -1e-6).all(axis=1), (reach > 1e-6).any(axis=1)
    assert inside.sum() > 50
    assert labels.reshape(-1)[inside].all()
    assert not labels.reshape(-1)[outside].any()


def test_strips_are_filled_as_triangles_are(scene, oblique_grid):
    import vtk

    surface = ball(middle_of(oblique_grid), 8.0)
    stripper = vtk.vtkStripper()
    stripper.SetInputData(surface)
    stripper.Update()
    assert stripper.GetOutput().GetNumberOfStrips()
    strips, triangles = (
        labels_of(segmentation_of(scene, one), oblique_grid) for one in (stripper.GetOutput(), surface)
    )
    assert triangles.any()
    np.testing.assert_array_equal(strips, triangles)


def test_the_voxels_are_those_of_slicers_converter_however_small_the_steps(scene, oblique_grid, monkeypatch):
    import slicer

    from RobustDIRLib.mrml import surfaces

    monkeypatch.setattr(surfaces, "_POINTS", 900)
    monkeypatch.setattr(surfaces, "_TRIANGLES", 1100)
    node = segmentation_of(scene, ball(middle_of(oblique_grid), 9.3))
    labels = labels_of(node, oblique_grid)
    from RobustDIRLib import mrml

    reference = mrml.volume_to_node(Image(np.zeros(oblique_grid.shape, np.uint8), oblique_grid), "reference")
    node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    node.CreateBinaryLabelmapRepresentation()
    segment = node.GetSegmentation().GetSegmentIDs()[0]
    expected = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, reference)
    np.testing.assert_array_equal(labels, expected)
    assert 0 < labels.sum() < labels.size


@pytest.mark.parametrize("kind", ["linear", "bent"])
def test_parent_transforms_move_the_surface(scene, oblique_grid, kind):
    parent = linear_transform(scene, TURN) if kind == "linear" else bend(scene)
    centre = from_parent(parent, middle_of(oblique_grid)[None])[0]
    node = segmentation_of(scene, ball(centre, 8.0))
    node.SetAndObserveTransformNodeID(parent.GetID())
    labels = labels_of(node, oblique_grid).reshape(-1)
    distance = np.linalg.norm(from_parent(parent, centres_of(oblique_grid)) - centre, axis=1)
    assert (distance < 7.9).sum() > 50
    assert labels[distance < 7.9].all()
    assert not labels[distance > 8.01].any()


def test_what_lies_beyond_the_grid_is_cut_off(scene, oblique_grid):
    for corner in ((0, 0, 0), np.array(oblique_grid.shape) - 1):
        centre = oblique_grid.points_from_voxels(np.array(corner))
        labels = labels_of(segmentation_of(scene, ball(centre, 9.0)), oblique_grid).reshape(-1)
        distance = np.linalg.norm(centres_of(oblique_grid) - centre, axis=1)
        assert labels[distance < 8.9].all()
        assert not labels[distance > 9.01].any()
    assert not labels_of(segmentation_of(scene, ball(centre + 500.0, 9.0)), oblique_grid).any()


def test_a_later_segment_wins_and_an_empty_one_is_empty(scene, oblique_grid):
    import vtk

    node = segmentation_of(
        scene, ball(middle_of(oblique_grid), 9.0), vtk.vtkPolyData(), ball(middle_of(oblique_grid), 5.0)
    )
    labels = labels_of(node, oblique_grid).reshape(-1)
    distance = np.linalg.norm(centres_of(oblique_grid) - middle_of(oblique_grid), axis=1)
    assert set(labels[distance < 4.9]) == {3}
    assert set(labels[(distance > 5.01) & (distance < 8.9)]) == {1}


def test_it_goes_in_steps_of_a_slice(scene, oblique_grid):
    from RobustDIRLib import mrml

    node = segmentation_of(scene, ball(middle_of(oblique_grid), 9.0))
    volume, steps = mrml.begin_labels(node, oblique_grid, list(mrml.segments_of(node)))
    filled = [int(volume.array.any(axis=(1, 2)).sum()) for _ in steps]
    assert filled[-1] > 3
    assert max(np.diff(filled)) == 1


def test_what_holds_neither_voxels_nor_surfaces_is_a_sentence(scene, oblique_grid):
    node = segmentation_of(scene, ball(middle_of(oblique_grid), 9.0))
    node.GetSegmentation().RemoveRepresentation("Closed surface")
    with pytest.raises(InputError, match="surfaces holds neither voxels nor surfaces; show it in 3D"):
        labels_of(node, oblique_grid)
