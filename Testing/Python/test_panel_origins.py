"""Results and what they were made from: as soon as that is not what is selected, nothing is judged any more."""

import json

import numpy as np
import pytest

import panel_cases as cases


@pytest.fixture
def registered(a_panel, sections, desktop, monkeypatch):
    """A pair with masks and landmarks, registered by a stand-in; five landmarks are met exactly."""
    cases.play_here(monkeypatch)
    p = sections.parameters
    p.fixedLandmarks, p.movingLandmarks = cases.landmark_nodes()
    p.fixedMask, p.movingMask = cases.segmentation_nodes()
    cases.settle(desktop)
    cases.register(a_panel, desktop)
    assert not sections.standing.stale, sections.standing.reasons
    assert sections.check.judgements
    return sections


def clone(node, name):
    import slicer

    return slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, node, name)


def shifted(node, scene):
    """Put under a transform."""
    import mrml_cases

    matrix = np.eye(4)
    matrix[2, 3] = 1.5
    node.SetAndObserveTransformNodeID(mrml_cases.linear_transform(scene, matrix).GetID())


def edit_voxels(node):
    import slicer

    slicer.util.arrayFromVolume(node)[4, 5, 6] += 1
    slicer.util.arrayFromVolumeModified(node)


def erase(node):
    """One voxel less in the first segment."""
    import slicer

    segment = node.GetSegmentation().GetNthSegmentID(0)
    array = slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, segment)
    array[tuple(np.argwhere(array)[0])] = 0
    node.GetSegmentation().GetSegment(segment).GetRepresentation("Binary labelmap").Modified()
    node.GetSegmentation().GetSegment(segment).Modified()


CHANGES = {
    "another moving volume": (
        lambda p, s: setattr(p, "movingVolume", clone(p.movingVolume, "phase 30")), "The moving volume is another one."
    ),
    "no fixed volume": (lambda p, s: setattr(p, "fixedVolume", None), "The fixed volume is no longer selected."),
    "a voxel of the moving volume": (lambda p, s: edit_voxels(p.movingVolume), "The moving volume was edited."),
    "the fixed volume moved": (lambda p, s: shifted(p.fixedVolume, s), "The fixed volume was moved."),
    "its spacing": (lambda p, s: p.movingVolume.SetSpacing(3, 3, 3), "The moving volume was moved."),
    "its origin": (lambda p, s: p.fixedVolume.SetOrigin(1, 2, 3), "The fixed volume was moved."),
    "the moving volume deleted": (lambda p, s: s.RemoveNode(p.movingVolume), "The moving volume was deleted."),
    "a mask edited": (lambda p, s: erase(p.fixedMask), "The fixed mask was edited."),
    "a mask moved": (lambda p, s: shifted(p.movingMask, s), "The moving mask was moved."),
    "no mask": (lambda p, s: setattr(p, "movingMask", None), "The moving mask is no longer selected."),
    "another segment": (
        lambda p, s: setattr(p, "fixedMaskSegment", p.fixedMask.GetSegmentation().GetNthSegmentID(1)),
        "The fixed mask is another segment.",
    ),
    "the transform moved": (lambda p, s: shifted(p.transformNode, s), "The transform “control to planning” was moved."),
    "the warped volume edited": (lambda p, s: edit_voxels(p.warpedNode), "is not what the registration left."),
    "another warped volume": (
        lambda p, s: setattr(p, "warpedNode", clone(p.movingVolume, "else")), "“else” is not what the"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_makes_the_results_stale(registered, a_panel, scene, desktop, what):
    change, reason = CHANGES[what]
    change(registered.parameters, scene)
    cases.settle(desktop)
    assert any(reason in each for each in registered.standing.reasons), registered.standing.reasons
    for label in (a_panel.ui.verdictLabel, a_panel.ui.lookLabel):
        assert label.text.startswith("Stale: these are results of control")
        assert reason in label.text
    assert not registered.check.landmarks
    assert not a_panel.ui.judgementTable.rowCount
    assert not a_panel.ui.reportButton.enabled
    assert not a_panel.ui.exportButton.enabled


def test_what_is_undone_is_right_again(registered, a_panel, desktop):
    before = a_panel.ui.verdictLabel.text
    p = registered.parameters
    a_panel.ui.swapButton.click()
    cases.settle(desktop)
    assert "Fixed and moving volume were swapped." in a_panel.ui.verdictLabel.text
    a_panel.ui.swapButton.click()
    p.fixedVolume.SetName("plan A")
    cases.settle(desktop)
    assert a_panel.ui.verdictLabel.text == before.replace("planning", "plan A")
    assert len(registered.check.landmarks) == 6


def test_the_same_pair_again_goes_into_the_same_nodes(registered, a_panel, desktop):
    p = registered.parameters
    before = [p.transformNode, p.warpedNode, p.inverseNode, p.jacobianNode]
    p.preset = "brain-mri"
    cases.settle(desktop)
    cases.register(a_panel, desktop)
    assert [p.transformNode, p.warpedNode, p.inverseNode, p.jacobianNode] == before


def test_another_pair_goes_to_new_nodes_with_its_own_names(registered, a_panel, desktop):
    p = registered.parameters
    before = p.transformNode
    p.movingVolume = clone(p.movingVolume, "phase 30")
    cases.settle(desktop)
    cases.register(a_panel, desktop)
    assert p.transformNode is not before
    assert before.GetName() == "control to planning"
    assert p.transformNode.GetName() == "phase 30 to planning"
    assert not registered.standing.stale
    assert a_panel.ui.verdictLabel.text.startswith("phase 30 on planning: ")


def test_a_node_that_the_user_chose_is_filled_and_bears_a_true_name(registered, a_panel, desktop, scene):
    p = registered.parameters
    old = p.transformNode
    own = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "mine")
    p.movingVolume = clone(p.movingVolume, "phase 30")
    a_panel.ui.transformSelector.setCurrentNode(None)
    cases.settle(desktop)
    a_panel.ui.transformSelector.setCurrentNode(old)  # chosen anew
    a_panel.ui.warpedSelector.setCurrentNode(own)
    cases.settle(desktop)
    cases.register(a_panel, desktop)
    assert (p.transformNode, p.warpedNode) == (old, own)
    assert (old.GetName(), own.GetName()) == ("phase 30 to planning", "mine")


def test_a_transform_above_an_input_is_never_filled(registered, a_panel, desktop):
    p = registered.parameters
    p.movingVolume.SetAndObserveTransformNodeID(p.transformNode.GetID())
    p.chosenOutputs = json.dumps(["transformNode"])
    above = p.transformNode
    cases.settle(desktop)
    cases.register(a_panel, desktop)
    assert p.transformNode is not above
    assert p.movingVolume.GetParentTransformNode() is above


def test_results_that_were_not_asked_for_again_are_let_go(registered, a_panel, desktop, scene):
    p = registered.parameters
    p.makeJacobian = False
    cases.settle(desktop)
    cases.register(a_panel, desktop)
    assert p.jacobianNode is None
    assert scene.GetFirstNodeByName("Jacobian of control on planning") is not None


def test_inputs_changed_during_the_run_make_its_results_stale_at_once(a_panel, sections, desktop, monkeypatch):
    cases.play(monkeypatch, "well")
    a_panel.ui.registerButton.click()
    edit_voxels(sections.parameters.movingVolume)
    sections.parameters.fixedVolume = clone(sections.parameters.fixedVolume, "another")
    desktop.wait_until(lambda: sections.run.run is None, 60)
    cases.settle(desktop)
    assert "The fixed volume is another one." in a_panel.ui.messageLabel.text
    assert a_panel.ui.verdictLabel.text.startswith("Stale: these are results of control on planning.")


def test_a_record_of_unknown_origin_is_stale(a_panel, sections, desktop):
    sections.parameters.record = json.dumps({"measures": {"folding_percent": 0.0}})
    cases.settle(desktop)
    assert "What they were made from is not known." in a_panel.ui.verdictLabel.text


def test_figures_of_structures_go_with_what_they_are_of(registered, a_panel, desktop):
    p = registered.parameters
    p.fixedSegmentation, p.movingSegmentation = cases.segmentation_nodes()
    cases.settle(desktop)
    a_panel.ui.measureButton.click()
    desktop.wait_until(lambda: not registered.check._background.busy, 90)
    cases.settle(desktop)
    rows = registered.check.structures
    assert rows[0]["fixed_ml"] > 0 and rows[0]["folding_percent"] == 0
    segment = p.fixedSegmentation.GetSegmentation().GetNthSegment(0)
    segment.SetName("renamed")
    cases.settle(desktop)
    assert registered.check.structures == []
    segment.SetName("bright")
    cases.settle(desktop)
    assert registered.check.structures == rows
    erase(p.movingSegmentation)
    cases.settle(desktop)
    assert registered.check.structures == []
    assert not a_panel.ui.structureTable.rowCount


def test_without_landmarks_and_structures_accuracy_was_not_measured(a_panel, sections, desktop, monkeypatch):
    cases.play_here(monkeypatch)
    cases.register(a_panel, desktop)
    assert "Accuracy was not measured" in a_panel.ui.verdictLabel.text
    assert "All" not in a_panel.ui.verdictLabel.text


def test_warnings_of_the_run_stay_with_its_results(a_panel, sections, desktop, monkeypatch):
    import panel_process

    monkeypatch.setitem(panel_process.RECORD, "warnings", ["the images hardly overlap."])
    cases.play_here(monkeypatch)
    cases.register(a_panel, desktop)
    assert a_panel.ui.warningsLabel.text == "Warnings of the run: the images hardly overlap."


def test_apply_names_the_volumes_and_tells_that_the_transform_is_of_another_pair(registered, a_panel, desktop):
    """Swapped, the moving volume is still the one of the run, and the direction with it."""
    from RobustDIRLib import mrml

    node = cases.landmark_nodes()[1]
    before = mrml.points_from_markups(node).points
    a_panel.ui.applySelector.setCurrentNode(node)
    a_panel.ui.swapButton.click()
    cases.settle(desktop)
    assert a_panel.ui.applySideSelector.itemText(0) == "Moving volume “control” (bring onto “planning”)"
    a_panel.ui.applySideSelector.setCurrentIndex(0)
    a_panel.ui.applyButton.click()
    assert "Stale: these are results of control on planning." in a_panel.ui.applyLabel.text
    copy = node.GetScene().GetFirstNodeByName(f"{node.GetName()} registered")
    np.testing.assert_allclose(mrml.points_from_markups(copy).points, before - [3, -2, 1], atol=0.01)


def test_a_loaded_scene_registered_again_fills_its_own_nodes(registered, a_panel, desktop, scene, tmp_path):
    import slicer

    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    scene.Clear(0)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    cases.settle(desktop)
    p = registered.parameters
    assert not registered.standing.stale, registered.standing.reasons
    before = p.transformNode
    cases.register(a_panel, desktop)
    assert p.transformNode is before


def test_a_registration_by_script_leaves_no_report_of_the_one_before(registered, a_panel, desktop):
    a_panel.widget.logic.register(registered.parameters)
    cases.settle(desktop)
    assert not registered.standing.stale
    assert not a_panel.ui.reportButton.enabled


def test_what_structures_rest_on_is_looked_through_segment_by_segment(registered, monkeypatch):
    """Ten of a large volume at once would be felt; the box around a segment is that of its voxels."""
    from RobustDIRLib.mrml import contents

    p, boxes, find = registered.parameters, [], contents._box_of
    p.fixedSegmentation, p.movingSegmentation = cases.segmentation_nodes()
    monkeypatch.setattr(contents, "_box_of", lambda inside: boxes.append(find(inside)) or boxes[-1])
    found, steps = registered.origins.structures.begin(p)
    seen = [len(boxes) for _step in steps]
    assert max(np.diff([0, *seen, len(boxes)])) == 1 and len(boxes) == 4
    assert found == registered.origins.structures.now(p) and len(boxes) == 4  # known by now
    voxels = np.random.default_rng(0).uniform(size=(7, 9, 8)) > 0.99
    z, y, x = (slice(axis.min(), axis.max() + 1) for axis in np.nonzero(voxels))
    assert find(voxels) == (z, y, x) and find(voxels & False) is None


def test_structures_measured_meanwhile_go_to_their_own_set(registered, a_panel, desktop):
    p = registered.parameters
    p.fixedSegmentation, p.movingSegmentation = cases.segmentation_nodes()
    cases.settle(desktop)
    a_panel.ui.measureButton.click()
    a_panel.ui.newSetButton.click()
    desktop.wait_until(lambda: not registered.check._background.busy, 90)
    assert not registered.parameters.structures
    a_panel.ui.parameterSetSelector.setCurrentNode(p.parameterNode)
    cases.settle(desktop)
    assert registered.check.structures


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"origin": 3}', '{"pair": 3, "origin": {"contents": {"a": 1}}}'])
def test_damaged_parameters_are_no_results(a_panel, sections, desktop, text):
    sections.parameters.record = sections.parameters.structures = sections.parameters.chosenOutputs = text
    cases.settle(desktop)
    assert not a_panel.ui.judgementTable.rowCount
    assert not a_panel.ui.reportButton.enabled


class TestReports:
    def test_they_are_of_their_set_and_scene(self, registered, a_panel, desktop, scene):
        first = registered.parameters.parameterNode
        assert a_panel.ui.reportButton.enabled
        folder = registered.run.last_folder
        a_panel.ui.newSetButton.click()
        cases.settle(desktop)
        assert not a_panel.ui.reportButton.enabled
        a_panel.ui.parameterSetSelector.setCurrentNode(first)
        cases.settle(desktop)
        assert a_panel.ui.reportButton.enabled
        scene.RemoveNode(first)
        assert not folder.exists()

    def test_they_name_patient_volumes_and_nodes(self, registered, scene):
        import slicer

        shown = registered.check.shown()
        assert shown["patients"] == ["", ""]
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Doe^Jane")
        hierarchy.SetItemAttribute(patient, "DICOM.PatientName", "Doe^Jane")
        hierarchy.SetItemAttribute(patient, "DICOM.PatientID", "77")
        hierarchy.CreateItem(hierarchy.CreateStudyItem(patient, "study"), registered.parameters.movingVolume)
        shown = registered.check.shown()
        assert shown["patients"] == ["", "Doe Jane (77)"]
        assert shown["volumes"] == ["planning", "control"]
        named = {role: name for role, name, _ in shown["nodes"]}
        assert named["Fixed mask"] == "structures"
        assert named["Transform"] == "control to planning"
        assert len(shown["landmarks"]) == 6


def test_a_transform_above_the_parent_of_an_input_that_changes_afterwards(registered, a_panel, scene, desktop):
    """Moved, brought back, and hardened where it lies: stale only while it lies elsewhere."""
    import slicer

    import mrml_cases

    volume = registered.parameters.fixedVolume
    above, upper = (mrml_cases.linear_transform(scene, np.eye(4)) for _ in range(2))
    above.SetAndObserveTransformNodeID(upper.GetID())
    volume.SetAndObserveTransformNodeID(above.GetID())
    cases.settle(desktop)
    assert not registered.standing.stale, registered.standing.reasons
    for shift, stale in ((2.0, True), (0.0, False)):
        matrix = slicer.util.arrayFromTransformMatrix(upper)
        matrix[1, 3] = shift
        slicer.util.updateTransformMatrixFromArray(upper, matrix)
        cases.settle(desktop)
        assert registered.standing.stale == stale
        assert ("The fixed volume was moved." in a_panel.ui.verdictLabel.text) == stale
    volume.HardenTransform()
    cases.settle(desktop)
    assert not registered.standing.stale, registered.standing.reasons


def cloned_set(node, scene):
    """What Slicer's module Data makes of a parameter node by "Clone"."""
    copy = scene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
    copy.Copy(node)
    copy.SetSingletonTag(None)
    copy.UnRegister(None)
    return scene.AddNode(copy)


def test_a_cloned_set_speaks_for_the_pair_of_its_own_results(registered, a_panel, scene, desktop):
    """It shows the same figures, has no files for a report, and what is registered in it makes neither set lie."""
    own, p = a_panel.ui.parameterSetSelector, registered.parameters
    first, transform, told = p.parameterNode, p.transformNode, a_panel.ui.verdictLabel.text
    other = cloned_set(first, scene)
    own.setCurrentNode(other)
    cases.settle(desktop)
    assert registered.parameters.parameterNode is other
    assert a_panel.ui.verdictLabel.text == told
    assert not a_panel.ui.reportButton.enabled
    registered.parameters.movingVolume = clone(registered.parameters.movingVolume, "phase 30")
    cases.settle(desktop)
    assert registered.standing.stale
    cases.register(a_panel, desktop)
    assert a_panel.ui.verdictLabel.text.startswith("phase 30 on planning: ")
    assert registered.parameters.transformNode is not transform
    own.setCurrentNode(first)
    cases.settle(desktop)
    assert registered.parameters.transformNode is transform
    assert a_panel.ui.verdictLabel.text == told


def test_a_result_changed_in_a_cloned_set_is_stale_in_the_first_too(registered, a_panel, scene, desktop):
    """Both sets name the same nodes, and what one fills anew is no longer what the other's record tells of."""
    import slicer

    own, first = a_panel.ui.parameterSetSelector, registered.parameters.parameterNode
    own.setCurrentNode(cloned_set(first, scene))
    cases.settle(desktop)
    slicer.util.arrayFromVolume(registered.parameters.warpedNode)[:] += 1  # as if another preset had been taken
    slicer.util.arrayFromVolumeModified(registered.parameters.warpedNode)
    cases.settle(desktop)
    assert registered.standing.stale
    own.setCurrentNode(first)
    cases.settle(desktop)
    assert registered.standing.stale
    assert not a_panel.ui.reportButton.enabled


@pytest.mark.parametrize("what", ["the moving volume deleted", "a voxel of the moving volume", "another moving volume"])
def test_undo_and_redo_in_the_scene_take_the_verdict_along(registered, a_panel, scene, desktop, what):
    p = registered.parameters
    scene.SetUndoOn()
    for node in (p.parameterNode, p.movingVolume, p.fixedVolume, p.transformNode):
        node.SetUndoEnabled(True)
    told = a_panel.ui.verdictLabel.text
    scene.SaveStateForUndo()
    CHANGES[what][0](p, scene)
    cases.settle(desktop)
    stale = a_panel.ui.verdictLabel.text
    assert stale.startswith("Stale: ")
    scene.Undo()
    cases.settle(desktop)
    undone = a_panel.ui.verdictLabel.text
    assert undone == told or undone.startswith("Stale: ")
    assert (undone == told) == (not registered.standing.stale)
    scene.Redo()
    cases.settle(desktop)
    assert a_panel.ui.verdictLabel.text.startswith("Stale: ")


def test_how_an_input_is_called_or_shown_is_nothing_to_its_results(registered, scene, desktop):
    volume = registered.parameters.movingVolume
    volume.CreateDefaultDisplayNodes()
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevel(3, 1)
    volume.SetAttribute("note", "seen")
    volume.SetName("renamed")
    cases.settle(desktop)
    assert not registered.standing.stale, registered.standing.reasons
    assert registered.standing.title.startswith("renamed on ")


def test_landmarks_edited_after_the_run_are_measured_anew(registered, a_panel, desktop):
    moving = registered.parameters.movingLandmarks
    before = {row.name: row.after for row in registered.check.landmarks}
    place = np.array(moving.GetNthControlPointPositionWorld(1))
    moving.SetNthControlPointPositionWorld(1, *(place + [0, 25.0, 0]))
    cases.settle(desktop)
    now = {row.name: row.after for row in registered.check.landmarks}
    changed = [name for name in now if now[name] != before.get(name)]
    assert len(changed) == 1, (before, now)
    moving.UnsetNthControlPointPosition(1)
    cases.settle(desktop)
    assert changed[0] not in {row.name for row in registered.check.landmarks}


def test_an_output_deleted_while_the_next_run_goes_on_is_made_anew(registered, a_panel, scene, desktop):
    p = registered.parameters
    a_panel.ui.registerButton.click()
    scene.RemoveNode(p.warpedNode)
    scene.RemoveNode(p.transformNode)
    desktop.wait_until(lambda: registered.run.run is None, 60)
    cases.settle(desktop)
    assert p.transformNode is not None and p.transformNode.GetScene() is not None
    assert p.warpedNode is not None and p.warpedNode.GetScene() is not None
    assert not registered.standing.stale, registered.standing.reasons
