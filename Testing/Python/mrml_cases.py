"""Nodes and oracles shared by the tests of `mrml`, made by Slicer's own calls and by the definitions alone."""

from __future__ import annotations

import numpy as np

from RobustDIRLib.geometry import swap_lps_ras

TOLERANCE_MM = 1e-3


def new_node(scene, kind, name="node"):
    return scene.AddNewNodeByClass(f"vtkMRML{kind}Node", name)


def matrix_of(grid):
    """IJK to RAS, worked out from the definition of a grid rather than by the code under test."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.asarray(grid.direction) * np.asarray(grid.spacing), grid.origin
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix


def ramps(grid):
    """Three arrays that hold each voxel centre's own x, y, z in mm, LPS: linear interpolation keeps them exactly."""
    voxels = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    return np.moveaxis(grid.points_from_voxels(voxels), -1, 0)


def to_parent(node, points):
    """Where a node's own transform takes points `(N, 3)` in LPS, by VTK alone."""
    moved = [node.GetTransformToParent().TransformPoint(point) for point in swap_lps_ras(points)]
    return swap_lps_ras(np.array(moved))


def from_parent(node, points):
    """Where the inverse of a node's own transform takes points `(N, 3)` in LPS, by VTK alone."""
    moved = [node.GetTransformFromParent().TransformPoint(point) for point in swap_lps_ras(points)]
    return swap_lps_ras(np.array(moved))


def linear_transform(scene, matrix):
    """A linear transform node, ToParent, RAS."""
    import slicer

    node = new_node(scene, "LinearTransform", "linear")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return node


def bend(scene):
    """A non-linear transform node: a thin-plate spline, ToParent, that moves points by up to about 6 mm."""
    import vtk

    rng = np.random.default_rng(11)
    before, after = vtk.vtkPoints(), vtk.vtkPoints()
    for point in rng.uniform(-70, 70, (12, 3)):
        before.InsertNextPoint(point)
        after.InsertNextPoint(point + rng.uniform(-4, 4, 3))
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    spline.SetSourceLandmarks(before)
    spline.SetTargetLandmarks(after)
    node = new_node(scene, "Transform", "bend")
    node.SetAndObserveTransformToParent(spline)
    return node


def inner_points(grid, count=40, margin=3.5):
    """Points well inside a grid, between voxel centres, `(N, 3)` in LPS."""
    voxels = np.random.default_rng(3).uniform(margin, np.array(grid.shape) - 1 - margin, (count, 3))
    return grid.points_from_voxels(voxels)


def scene_state(scene):
    """IDs and times of last change of all nodes of a scene."""
    nodes = [scene.GetNthNode(k) for k in range(scene.GetNumberOfNodes())]
    return {node.GetID(): node.GetMTime() for node in nodes}


def segmentation_from_labels(volume, names, name):
    """A new segmentation of a label map, a segment a label; a label without a name is called by its number."""
    import slicer

    unique = slicer.mrmlScene.GenerateUniqueName(name)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", unique)
    node.CreateDefaultDisplayNodes()
    for label in (int(n) for n in np.unique(volume.array) if n != 0):
        voxels = _oriented_image((volume.array == label).astype(np.uint8), volume.grid)
        node.AddSegmentFromBinaryLabelmapRepresentation(voxels, names.get(label, str(label)))
    return node


def _oriented_image(array, grid):
    import slicer
    from vtk.util.numpy_support import numpy_to_vtk

    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*grid.size)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(array).reshape(-1), deep=True))
    image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(matrix_of(grid)))
    return image


def field_from_transform(mrml, node, grid):
    """A transform node, with its parents, at the voxel centres of a grid: `T(x) - x`, float32, `(z, y, x, 3)`."""
    points = np.moveaxis(ramps(grid), 0, -1)
    moved = mrml.transform_points(node, points.reshape(-1, 3)).reshape(points.shape)
    return np.asarray(moved - points, np.float32)
