"""Pairs of the scene that cannot be learnt from are refused when they are added, and again when they are written."""

import numpy as np
import pytest

from mrml_cases import linear_transform
from panel_cases import contents, settle
from test_train_data import a_pair_chosen, add_pair, here  # noqa: F401 - fixtures among them

FIXED, MOVING, FIXED_SEGMENTS, MOVING_SEGMENTS, FIXED_POINTS, MOVING_POINTS = range(6)


def rename(node, *names):
    segmentation = node.GetSegmentation()
    for number, name in enumerate(names):
        segmentation.GetNthSegment(number).SetName(name)


def put_under(node, scene, matrix):
    node.SetAndObserveTransformNodeID(linear_transform(scene, matrix).GetID())


def shrink(node):
    import slicer

    slicer.util.updateVolumeFromArray(node, np.zeros((9, 7, 9), np.float32))


def nowhere():
    matrix = np.eye(4)
    matrix[1, 3] = np.nan
    return matrix


BAD = {
    "no segments": (lambda n, s: n[FIXED_SEGMENTS].GetSegmentation().RemoveAllSegments(), "has no segments"),
    "other structures": (lambda n, s: rename(n[MOVING_SEGMENTS], "liver", "spleen"), "have no segment of one name"),
    "no name": (lambda n, s: rename(n[MOVING_SEGMENTS], " "), "has a segment without a name"),
    "twice": (lambda n, s: rename(n[MOVING_SEGMENTS], "lung", "lung"), "two segments called lung"),
    "not placed": (lambda n, s: n[FIXED_POINTS].UnsetNthControlPointPosition(1), "point 1 is not placed"),
    "one point less": (lambda n, s: n[FIXED_POINTS].RemoveNthControlPoint(1), "5 fixed landmarks and 6 moving"),
    "no voxels": (lambda n, s: n[MOVING].SetAndObserveImageData(None), "holds no voxels"),
    "too small": (lambda n, s: shrink(n[MOVING]), "9 x 7 x 9 voxels"),
    "flat volume": (lambda n, s: put_under(n[MOVING], s, np.diag([1.0, 1, 0, 1])), "control is flattened"),
    "volume nowhere": (lambda n, s: put_under(n[MOVING], s, nowhere()), "control is flattened"),
    "flat points": (lambda n, s: put_under(n[FIXED_POINTS], s, np.diag([0.0, 1, 1, 1])), "fixed points is flattened"),
}


@pytest.mark.parametrize("damage", BAD)
def test_what_cannot_be_learnt_from(train_panel, desktop, scene, a_pair_chosen, runs_folder, damage):  # noqa: F811
    """Before it is added, and of a pair that was added before the damage."""
    damaged, said = BAD[damage]
    ui = train_panel.ui
    add_pair(train_panel, desktop)
    assert ui.pairsTable.rowCount == 1, ui.messageLabel.text
    damaged(a_pair_chosen, scene)
    add_pair(train_panel, desktop, "bob")
    assert said in ui.messageLabel.text and ui.pairsTable.rowCount == 1
    before = contents(scene)
    ui.dataNameEdit.text = "mine"
    settle(desktop)
    ui.openDataButton.click()
    assert said in ui.messageLabel.text and not list(runs_folder.glob("data_sets/*"))
    assert contents(scene).keys() == before.keys()


@pytest.mark.parametrize("what", ["Segmentation", "Landmarks"])
def test_what_one_volume_has_alone(train_panel, desktop, a_pair_chosen, what):  # noqa: F811
    getattr(train_panel.ui, f"pairMoving{what}Selector").setCurrentNode(None)
    settle(desktop)
    add_pair(train_panel, desktop)
    assert "of both volumes, or of none" in train_panel.ui.messageLabel.text


@pytest.mark.parametrize(
    ("kind", "said"), [("vtkMRMLLabelMapVolumeNode", "is a label map"), ("vtkMRMLVectorVolumeNode", "3 values a voxel")]
)
def test_what_is_no_image(train_panel, desktop, scene, a_pair_chosen, kind, said):  # noqa: F811
    import slicer

    shape = (9, 10, 11, 3) if "Vector" in kind else (9, 10, 11)
    node = scene.AddNewNodeByClass(kind, "odd")
    slicer.util.updateVolumeFromArray(node, np.ones(shape, np.uint8))
    train_panel.widget.panel.parameters.pairMovingVolume = node
    settle(desktop)
    add_pair(train_panel, desktop)
    assert said in train_panel.ui.messageLabel.text and train_panel.ui.pairsTable.rowCount == 0
