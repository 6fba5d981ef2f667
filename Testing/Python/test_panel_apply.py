"""Apply to: each kind of data goes the right way, wherever its parents put it, and can be taken back."""

import functools

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

import mrml_cases
import panel_cases as cases
from registration_cases import grid_about, picture, points_of
from RobustDIRLib.values import DisplacementField, Image

# Mild and unlike along every axis, mm, LPS; bends enough to tell a direction from its opposite.
BEND = ((7.0, 31.0, 1), (-5.0, 27.0, 2), (6.0, 36.0, 0))


def bent(points):
    """Where the transform takes fixed points `(..., 3)`: to moving points."""
    out = np.array(points, dtype=float)
    for axis, (height, length, along) in enumerate(BEND):
        out[..., axis] += height * np.sin(np.asarray(points)[..., along] / length)
    return out


def unbent(points):
    """The inverse of `bent`, by fixed-point iteration."""
    found = np.array(points, dtype=float)
    for _ in range(25):
        found -= bent(found) - points
    return found


@functools.cache
def fields():
    """Displacements of `bent` and `unbent`, float32, and their grid of 3.6 mm around both volumes."""
    grid = grid_about(cases.CENTRE, (50, 50, 50), (3.6, 3.6, 3.6), (4, -5, 6))
    points = points_of(grid)
    return [(way(points) - points).astype(np.float32) for way in (bent, unbent)], grid


@pytest.fixture
def transforms(scene):
    """Transform and inverse as a registration leaves them."""
    from RobustDIRLib import mrml

    arrays, grid = fields()
    named = zip(arrays, ("there", "back"), strict=True)
    return [mrml.transform_from_parts([DisplacementField(array, grid)], name) for array, name in named]


@pytest.fixture
def apply(transforms):
    """Applies to a node; `both` says whether the inverse is there, too."""
    from RobustDIRLib.panel.applying import Applied, RegistrationNodes

    applied = Applied()

    def apply_(node, side, reference=None, both=True):
        inverse = transforms[1] if both else None
        return applied.apply(node, side, RegistrationNodes(transforms[0], inverse, reference))

    apply_.applied = applied
    return apply_


@pytest.fixture
def a_turned_parent(scene):
    """A linear transform node that turns and shifts."""
    import slicer
    import vtk

    transform = vtk.vtkTransform()
    transform.Translate(5, -3, 4)
    transform.RotateZ(12)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "couch")
    node.SetMatrixTransformToParent(transform.GetMatrix())
    return node


WAYS = {"moving": unbent, "fixed": bent}  # where points of each volume belong in the other


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("side", WAYS)
def test_markups(apply, a_turned_parent, side, both):
    from RobustDIRLib import mrml

    node = cases.landmark_nodes()[0]
    node.SetAndObserveTransformNodeID(a_turned_parent.GetID())
    before = mrml.points_from_markups(node)
    copy = apply(node, side, both=both)
    np.testing.assert_allclose(mrml.points_from_markups(copy).points, WAYS[side](before.points), atol=0.3)
    assert copy.GetParentTransformNode() is None
    assert mrml.points_from_markups(copy).names == before.names
    np.testing.assert_array_equal(mrml.points_from_markups(node).points, before.points)


def test_each_kind_takes_the_node_whose_direction_is_stored(scene, transforms):
    """Of what belongs to the fixed volume points go by the transform, images by the inverse: none by iteration."""
    from RobustDIRLib import mrml
    from RobustDIRLib.panel.applying import Applied, RegistrationNodes

    fixed, moving = cases.volume_nodes()
    _, grid = fields()
    shift = np.broadcast_to(np.float32([9, 0, 0]), (*grid.shape, 3))
    elsewhere = mrml.transform_from_parts([DisplacementField(shift, grid)], "to tell them apart")
    node, applied = cases.landmark_nodes()[0], Applied()
    points = mrml.points_from_markups(node).points
    copy = applied.apply(node, "fixed", RegistrationNodes(transforms[0], elsewhere))
    expected = mrml.transform_points(transforms[0], points)
    np.testing.assert_allclose(mrml.points_from_markups(copy).points, expected, atol=1e-4)
    image = applied.apply(fixed, "fixed", RegistrationNodes(transforms[0], elsewhere, fixed))
    found = mrml.volume_from_node(image).array
    wanted = picture(cases.FIXED_GRID, lambda p: p + [9, 0, 0] - cases.CENTRE).array
    assert np.abs(found - wanted)[5:-5, 5:-5, 5:-5].mean() < 0.02


@pytest.mark.parametrize("side", WAYS)
def test_models(apply, a_turned_parent, side):
    import slicer
    import vtk

    from RobustDIRLib.geometry import swap_lps_ras

    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(*swap_lps_ras(cases.CENTRE))
    sphere.SetRadius(15)
    sphere.Update()
    node = slicer.modules.models.logic().AddModel(sphere.GetOutput())
    points = swap_lps_ras(slicer.util.arrayFromModelPoints(node))
    node.SetAndObserveTransformNodeID(a_turned_parent.GetID())
    matrix = slicer.util.arrayFromTransformMatrix(a_turned_parent)
    world = swap_lps_ras(swap_lps_ras(points) @ matrix[:3, :3].T + matrix[:3, 3])
    copy = apply(node, side)
    np.testing.assert_allclose(swap_lps_ras(slicer.util.arrayFromModelPoints(copy)), WAYS[side](world), atol=0.3)
    np.testing.assert_allclose(swap_lps_ras(slicer.util.arrayFromModelPoints(node)), points, atol=1e-4)


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("side", WAYS)
def test_volumes(apply, side, both):
    """A scene drawn on one side, resampled, is the scene as the other side sees it."""
    from RobustDIRLib import mrml

    fixed, moving = cases.volume_nodes()
    there = WAYS["fixed" if side == "moving" else "moving"]  # where a point of the result lies in the original
    own, other = (cases.MOVING_GRID, cases.FIXED_GRID) if side == "moving" else (cases.FIXED_GRID, cases.MOVING_GRID)
    drawn = picture(own, lambda p: p - cases.CENTRE)
    node = mrml.volume_to_node(Image(drawn.array, own), "dose")
    copy = apply(node, side, reference=fixed if side == "moving" else moving, both=both)
    result = mrml.volume_from_node(copy)
    assert result.grid.close_to(other)
    wanted = picture(other, lambda p: there(p) - cases.CENTRE)
    inner = (slice(5, -5),) * 3
    off = np.abs(result.array[inner] - wanted.array[inner])
    wrong = np.abs(result.array[inner] - picture(other, lambda p: WAYS[side](p) - cases.CENTRE).array[inner])
    assert off.mean() < 0.02
    assert off.mean() < wrong.mean() / 3


def sampled(which: int, points):
    """Where the transform (0) or the inverse (1) takes points, by its samples and SciPy alone, linear between them."""
    arrays, grid = fields()
    voxels = grid.voxels_from_points(points).T
    moves = [map_coordinates(arrays[which][..., axis], voxels, order=1, mode="nearest") for axis in range(3)]
    return points + np.stack(moves, axis=-1)


def inverted(forward, points):
    """Where the inverse of a map that moves points a little takes them, by fixed-point iteration."""
    found = np.array(points, dtype=float)
    for _ in range(60):
        found -= forward(found) - points
    return found


@pytest.fixture
def parents(scene, a_turned_parent):
    """Transforms that can stand above a node, each with the map of points that it is."""
    bent = mrml_cases.bend(scene)
    nodes = {"linear": a_turned_parent, "bent": bent}
    return {name: (node, functools.partial(mrml_cases.to_parent, node)) for name, node in nodes.items()}


@pytest.mark.parametrize("both", [True, False], ids=["both", "one"])
@pytest.mark.parametrize("above", ["linear", "bent"])
@pytest.mark.parametrize("side", WAYS)
def test_images_come_from_where_they_belong_to_a_hundredth_of_a_millimetre(transforms, parents, side, above, both):
    """Volumes that hold their own coordinates tell where each voxel was taken from, through all parents."""
    from RobustDIRLib import mrml
    from RobustDIRLib.panel.applying import Applied, RegistrationNodes

    volumes = dict(zip(("fixed", "moving"), cases.volume_nodes(), strict=True))
    reference = volumes["fixed" if side == "moving" else "moving"]
    parent, forward = parents[above]
    other = parents["linear" if above == "bent" else "bent"][0]
    reference.SetAndObserveTransformNodeID(other.GetID())
    own = grid_about(cases.CENTRE, (40, 42, 44), (4.1, 3.9, 4.3), (5, 9, -7), (1, -1, 1))
    found, grid = [], mrml.grid_of_volume(reference)
    for ramp in mrml_cases.ramps(own):
        node = mrml.volume_to_node(Image(ramp, own), "coordinate")
        node.SetAndObserveTransformNodeID(parent.GetID())
        copy = Applied().apply(node, side, RegistrationNodes(transforms[0], transforms[1] if both else None, reference))
        volume = mrml.volume_from_node(copy)
        assert volume.grid.close_to(grid)
        found.append(volume.array)
    points = mrml_cases.inner_points(grid, 60, 2)
    voxels = np.rint(grid.voxels_from_points(points)).astype(int)
    world = grid.points_from_voxels(voxels)
    if side == "moving":
        there = sampled(0, world)
    else:
        there = sampled(1, world) if both else inverted(functools.partial(sampled, 0), world)
    expected = inverted(forward, there)
    taken = np.stack([array[tuple(voxels.T)] for array in found], axis=-1)
    inside = own.contains(expected)
    assert inside.sum() > 30
    np.testing.assert_allclose(taken[inside], expected[inside], atol=0.01)
    assert np.linalg.norm(expected - world, axis=1).max() > 3


@pytest.mark.parametrize("above", ["linear", "bent"])
@pytest.mark.parametrize("side", WAYS)
def test_points_go_where_they_belong_to_a_hundredth_of_a_millimetre(transforms, parents, side, above):
    from RobustDIRLib import mrml
    from RobustDIRLib.panel.applying import Applied, RegistrationNodes

    parent, forward = parents[above]
    node = cases.landmark_nodes()[0]
    own = mrml.points_from_markups(node).points
    node.SetAndObserveTransformNodeID(parent.GetID())
    copy = Applied().apply(node, side, RegistrationNodes(*transforms))
    world = forward(own)
    expected = inverted(functools.partial(sampled, 0), world) if side == "moving" else sampled(0, world)
    np.testing.assert_allclose(mrml.points_from_markups(copy).points, expected, atol=0.01)


def test_beyond_a_volume_lies_its_background(apply, scene):
    """Air around a CT, nothing around a dose."""
    from RobustDIRLib import mrml

    fixed, _ = cases.volume_nodes()
    small = grid_about(cases.CENTRE, (6, 7, 8), (3, 3, 3), (0, 0, 0), (1, 1, 1))
    ct = np.full(small.shape, 40, np.int16)
    ct[0, 0, 0] = -1000
    scan, dose = (mrml.volume_to_node(Image(array, small), "v") for array in (ct, ct + 1060))
    dose.SetAttribute("DicomRtImport.DoseVolume", "1")
    corners = [mrml.volume_from_node(apply(node, "moving", reference=fixed)).array[0, 0, 0] for node in (scan, dose)]
    assert corners == [-1000, 0]


def test_a_dose_stays_a_dose_of_its_study(apply, scene):
    import slicer

    fixed, moving = cases.volume_nodes()
    quantity = slicer.vtkCodedEntry()
    quantity.SetValueSchemeMeaning("128401", "DCM", "Absorbed dose")
    moving.SetVoxelValueQuantity(quantity)
    moving.SetAttribute("DicomRtImport.DoseUnitName", "GY")
    moving.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "A")
    study = hierarchy.CreateStudyItem(patient, "plan")
    hierarchy.CreateItem(study, moving)
    copy = apply(moving, "moving", reference=fixed)
    assert copy.GetVoxelValueQuantity().GetCodeMeaning() == "Absorbed dose"
    assert copy.GetAttribute("DicomRtImport.DoseUnitName") == "GY"
    assert copy.GetAttribute("DICOM.instanceUIDs") is None
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(copy)) == study


def test_colours_are_resampled_too(apply, scene):
    import slicer

    from RobustDIRLib import mrml

    fixed, _ = cases.volume_nodes()
    drawn = picture(cases.MOVING_GRID, lambda p: p - cases.CENTRE).array
    grey = mrml.volume_to_node(Image((100 * drawn).astype(np.uint8), cases.MOVING_GRID), "grey")
    colour = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "colour")
    colour.CopyOrientation(grey)
    voxels = slicer.util.arrayFromVolume(grey)
    slicer.util.updateVolumeFromArray(colour, np.stack([voxels, voxels // 2, voxels], axis=-1))
    copy = slicer.util.arrayFromVolume(apply(colour, "moving", reference=fixed))
    alone = slicer.util.arrayFromVolume(apply(grey, "moving", reference=fixed))
    np.testing.assert_array_equal(copy[..., 0], alone)


def test_label_maps_keep_their_labels(apply):
    from RobustDIRLib import mrml

    fixed, _ = cases.volume_nodes()
    labels = np.zeros(cases.MOVING_GRID.shape, np.int16)
    labels[8:16, 8:18, 6:15] = 207
    labels[4:8] = 3
    node = mrml.volume_to_node(Image(labels, cases.MOVING_GRID), "organs", labels=True)
    copy = apply(node, "moving", reference=fixed)
    assert copy.IsA("vtkMRMLLabelMapVolumeNode")
    assert set(np.unique(mrml.volume_from_node(copy).array)) <= {0, 3, 207}
    assert 207 in mrml.volume_from_node(copy).array


@pytest.mark.parametrize("side", WAYS)
def test_segmentations(apply, side):
    from RobustDIRLib import mrml

    node = cases.segmentation_nodes()[0]
    grid = cases.FIXED_GRID
    points = grid.points_from_voxels(np.argwhere(mrml.labels_from_segmentation(node, grid).array == 1)).mean(axis=0)
    copy = apply(node, side)
    fine = grid.resized((44, 50, 54))
    labels = mrml.labels_from_segmentation(copy, fine).array
    found = fine.points_from_voxels(np.argwhere(labels == 1)).mean(axis=0)
    assert np.linalg.norm(found - WAYS[side](points)) < 1.0
    assert np.linalg.norm(points - WAYS[side](points)) > 3.0
    assert list(mrml.segments_of(copy).values()) == list(mrml.segments_of(node).values())


def test_copies_are_named_and_undone_one_by_one(apply, scene):
    before = scene.GetNumberOfNodes()
    nodes = cases.landmark_nodes()
    count = scene.GetNumberOfNodes()
    copies = [apply(node, "moving").GetName() for node in nodes]
    assert copies == ["fixed points registered", "moving points registered"]
    assert apply.applied.undo() == copies[1]
    assert apply.applied.undo() == copies[0]
    assert not apply.applied.can_undo
    assert apply.applied.undo() is None
    assert scene.GetNumberOfNodes() == count > before


def test_undo_passes_over_what_the_user_has_deleted(apply, scene):
    nodes = cases.landmark_nodes()
    copies = [apply(node, "moving") for node in nodes]
    scene.RemoveNode(copies[1])
    assert apply.applied.undo() == "fixed points registered"


def test_nothing_passing_stays_in_the_scene(apply, scene):
    node = cases.landmark_nodes()[0]
    apply(node, "moving")
    names = [scene.GetNthNode(k).GetName() for k in range(scene.GetNumberOfNodes())]
    assert "RobustDIR passing" not in names


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda slicer: None, "Select a volume, segmentation, model or markups"),
        (lambda slicer: slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "void"), "void holds no voxels"),
    ],
)
def test_refusals(apply, make, sentence):
    import slicer

    from RobustDIRLib.errors import InputError

    with pytest.raises(InputError, match=sentence):
        apply(make(slicer), "moving")


def test_the_panels_buttons(open_panel, desktop, transforms):
    panel = open_panel("RobustDIR")
    parameters = panel.widget.panel.parameters
    node = cases.landmark_nodes()[0]
    panel.ui.applySelector.setCurrentNode(node)
    cases.settle(desktop)
    assert not panel.ui.applyButton.enabled
    parameters.transformNode = transforms[0]
    cases.settle(desktop)
    panel.ui.applyButton.click()
    assert panel.ui.applyLabel.text == "Made “fixed points registered”."
    assert panel.ui.undoButton.enabled
    panel.ui.undoButton.click()
    assert panel.ui.applyLabel.text == "Removed “fixed points registered”."
    assert not panel.ui.undoButton.enabled


@pytest.mark.parametrize("side", WAYS)
def test_the_panel_gives_each_volume_the_other_ones_voxels(open_panel, desktop, scene, transforms, side):
    """By the buttons alone: the right transform, the right direction, the right voxels."""
    from RobustDIRLib import mrml

    panel = open_panel("RobustDIR")
    sections = panel.widget.panel
    p = sections.parameters
    p.fixedVolume, p.movingVolume = volumes = cases.volume_nodes()
    p.transformNode, p.inverseNode = transforms
    panel.ui.applySideSelector.setCurrentIndex(sections.apply.side.keys.index(side))
    panel.ui.applySelector.setCurrentNode(volumes[side == "moving"])
    cases.settle(desktop)
    panel.ui.applyButton.click()
    own, other = ("control", cases.FIXED_GRID) if side == "moving" else ("planning", cases.MOVING_GRID)
    desktop.wait_until(lambda: scene.GetFirstNodeByName(f"{own} registered") is not None)
    copy = scene.GetFirstNodeByName(f"{own} registered")
    assert mrml.grid_of_volume(copy).close_to(other)
    there = WAYS["fixed" if side == "moving" else "moving"]

    def drawn(points):
        return (points - cases.CENTRE) * 1.03 - [2, 1, 3] if side == "moving" else points - cases.CENTRE

    found, inner = mrml.volume_from_node(copy).array, (slice(6, -6),) * 3
    right, wrong = (picture(other, lambda q, way=way: drawn(way(q))).array for way in (there, WAYS[side]))
    assert np.abs(found - right)[inner].mean() < np.abs(found - wrong)[inner].mean() / 3
