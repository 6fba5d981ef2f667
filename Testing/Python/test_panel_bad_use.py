"""Bad use of the module's real panel: one sentence, never a traceback alone, and the scene as it was."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

import panel_cases as cases
from mrml_cases import linear_transform
from RobustDIRLib.values import Image


class TestUntouchedScene:
    """Whatever ends a run early, the scene is afterwards what it was."""

    def test_cancelling(self, a_panel, sections, desktop, scene, monkeypatch):
        cases.play(monkeypatch, "hang")
        before = cases.contents(scene)
        cases.start(a_panel, desktop)
        assert a_panel.ui.cancelButton.enabled
        a_panel.ui.cancelButton.click()
        desktop.wait_until(lambda: sections.run.run is None)
        assert a_panel.ui.messageLabel.text == "Cancelled; the scene is as it was."
        assert cases.contents(scene) == before

    @pytest.mark.parametrize(
        ("mode", "sentence"),
        [
            ("refuse", "the images share no space."),
            ("crash", "ended unexpectedly (code 1: KeyError: 'no more')"),
            ("full", "The disk of the run folder is full; free some space and register again."),
        ],
    )
    def test_failing(self, a_panel, desktop, scene, monkeypatch, mode, sentence):
        cases.play(monkeypatch, mode)
        before = cases.contents(scene)
        assert sentence in cases.register(a_panel, desktop)
        assert cases.contents(scene) == before
        assert a_panel.ui.registerButton.enabled

    def test_the_log_of_a_failure_is_shown(self, a_panel, desktop, monkeypatch):
        cases.play(monkeypatch, "crash")
        cases.register(a_panel, desktop)
        assert "KeyError: 'no more'" in a_panel.ui.logText.plainText
        assert not a_panel.ui.logCollapsibleButton.collapsed

    @pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
    def test_being_killed_from_outside(self, a_panel, sections, desktop, scene, monkeypatch):
        cases.play(monkeypatch, "hang")
        before = cases.contents(scene)
        cases.start(a_panel, desktop)
        os.kill(sections.run.run.process_id, signal.SIGKILL)
        desktop.wait_until(lambda: sections.run.run is None)
        assert "ended from outside" in a_panel.ui.messageLabel.text
        assert cases.contents(scene) == before

    def test_results_that_cannot_be_put_into_nodes(self, a_panel, sections, desktop, scene, monkeypatch):
        from RobustDIRLib.errors import InputError
        from RobustDIRLib.panel import outputs

        def fails(*_):
            raise InputError("there is no room for it.")

        cases.play(monkeypatch, "well")
        monkeypatch.setattr(outputs, "_set_window", fails)
        before = cases.contents(scene)
        assert cases.register(a_panel, desktop) == "there is no room for it."
        assert cases.contents(scene) == before

    def test_results_that_cannot_replace_those_of_the_run_before(self, a_panel, sections, desktop, scene, monkeypatch):
        from RobustDIRLib import mrml
        from RobustDIRLib.panel import outputs

        cases.play(monkeypatch, "well")
        cases.register(a_panel, desktop)
        p = sections.parameters
        shifted = Image(np.full(cases.MOVING_GRID.shape, 7, np.float32), cases.MOVING_GRID)
        mrml.volume_to_node(shifted, "ignored", node=p.warpedNode)
        p.warpedNode.GetDisplayNode().SetWindowLevel(9, 5)
        vectors = p.transformNode.GetTransformFromParent().GetDisplacementGrid()
        before = cases.contents(scene)
        fills, fill = [], outputs._fill

        def fails_at_last(*words):
            fill(*words)
            fills.append(words)
            if len(fills) == len(outputs.OUTPUTS):
                raise RuntimeError("VTK is in a bad mood")

        monkeypatch.setattr(outputs, "_fill", fails_at_last)
        assert "by a mistake in RobustDIR (RuntimeError: VTK is in a bad mood)" in cases.register(a_panel, desktop)
        assert cases.contents(scene) == before
        assert p.transformNode.GetTransformFromParent().GetDisplacementGrid() is vectors
        assert p.warpedNode.GetDisplayNode().GetWindow() == 9
        assert mrml.grid_of_volume(p.warpedNode).close_to(cases.MOVING_GRID)
        assert a_panel.ui.registerButton.enabled

    def test_a_mistake_of_ours_is_a_sentence_and_a_log(self, a_panel, sections, desktop, scene, monkeypatch):
        from RobustDIRLib.panelparts import exchange

        def fails(*_):
            raise ZeroDivisionError("no")
            yield

        monkeypatch.setattr(exchange, "write_in_steps", fails)
        before = cases.contents(scene)
        assert "by a mistake in RobustDIR (ZeroDivisionError: no)" in cases.register(a_panel, desktop)
        assert "Traceback" in a_panel.ui.logText.plainText
        assert cases.contents(scene) == before

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
    def test_a_disk_that_fills_while_the_volumes_are_handed_over(self, a_panel, desktop, scene, monkeypatch):
        from RobustDIRLib.panel import run_section

        made = []

        def new_folder(*words):
            made.append(runs_folder(*words))
            (made[0] / "moving.mha").symlink_to("/dev/full")
            return made[0]

        runs_folder = run_section.new_folder
        monkeypatch.setattr(run_section, "new_folder", new_folder)
        before = cases.contents(scene)
        assert "cannot be written to (No space left on device); free some space" in cases.register(a_panel, desktop)
        assert cases.contents(scene) == before
        assert not made[0].exists()

    @pytest.mark.parametrize(
        ("which", "words"),
        [
            ("fixedVolume", "The fixed volume"),
            ("movingVolume", "The moving volume"),
            ("parameterNode", "The parameter set"),
        ],
    )
    def test_a_node_deleted_during_the_run(self, a_panel, sections, desktop, scene, monkeypatch, which, words):
        cases.play(monkeypatch, "hang")
        cases.start(a_panel, desktop)
        process, folder, before = sections.run.run.process_id, sections.run.run.folder, cases.names_in(scene)
        node = getattr(sections.parameters, which)
        name = node.GetName()
        scene.RemoveNode(node)
        assert sections.run.run is None
        assert a_panel.ui.messageLabel.text == (
            f"{words} was deleted during the registration, which was stopped; nothing was changed."
        )
        assert cases.ended(process)
        assert not folder.exists()
        cases.settle(desktop)
        new = [each for each in cases.names_in(scene) if each not in before]
        assert new == (["RobustDIR_1"] if which == "parameterNode" else [])  # the panel goes on with a set of its own
        assert name not in cases.names_in(scene)

    def test_landmarks_deleted_during_the_run_are_not_missed(self, a_panel, sections, desktop, scene, monkeypatch):
        cases.play(monkeypatch, "well")
        p = sections.parameters
        p.fixedLandmarks, p.movingLandmarks = cases.landmark_nodes()
        cases.settle(desktop)
        a_panel.ui.registerButton.click()
        scene.RemoveNode(p.movingLandmarks)
        desktop.wait_until(lambda: sections.run.run is None)
        assert p.transformNode is not None

    def test_the_scene_closed_during_the_run(self, a_panel, sections, desktop, scene, monkeypatch):
        cases.play(monkeypatch, "hang")
        cases.start(a_panel, desktop)
        process, folder = sections.run.run.process_id, sections.run.run.folder
        scene.Clear(0)
        cases.settle(desktop)
        assert sections.run.run is None
        assert "scene was closed during the registration" in a_panel.ui.messageLabel.text
        assert cases.ended(process)
        assert not folder.exists()
        assert sections.parameters.fixedVolume is None
        assert not [node for node in cases.contents(scene).values() if "Volume" in node[0] or "Grid" in node[0]]

    @pytest.mark.parametrize("when", ["before the click", "after it"])
    def test_a_model_file_that_is_gone(self, a_panel, sections, desktop, scene, monkeypatch, tmp_path, when):
        monkeypatch.setenv("ROBUSTDIR_MODELS", str(tmp_path))
        weights = tmp_path / "ours" / "weights.pt"
        weights.parent.mkdir()
        weights.write_bytes(b"weights")
        sections.parameters.model = "ours"
        cases.settle(desktop)
        assert a_panel.ui.modelSelector.currentText == "ours (yours)"
        if when == "before the click":
            weights.unlink()
        before = cases.contents(scene)
        a_panel.ui.registerButton.click()
        weights.unlink(missing_ok=True)
        desktop.wait_until(lambda: sections.run.run is None, 90)
        cases.settle(desktop)
        assert a_panel.ui.messageLabel.text.startswith("no model is named 'ours'; known: generic")
        assert cases.contents(scene) == before

    def test_the_panel_closed_during_the_run(self, a_panel, sections, desktop, monkeypatch):
        cases.play(monkeypatch, "hang")
        cases.start(a_panel, desktop)
        process, folder = sections.run.run.process_id, sections.run.run.folder
        a_panel.widget.cleanup()
        assert cases.ended(process)
        assert not folder.exists()


class TestRefusals:
    """Before anything runs: one sentence, and nothing has changed."""

    def refuse(self, panel, desktop, scene) -> str:
        cases.settle(desktop)
        before = cases.contents(scene)
        section = panel.widget.panel.run
        section.start()
        desktop.wait_until(lambda: section.run is None or section.run.process_id is not None)
        assert section.run is None
        cases.settle(desktop)
        assert cases.contents(scene) == before
        return panel.ui.messageLabel.text

    def test_no_volumes(self, open_panel, desktop, scene):
        panel = open_panel("RobustDIR")
        assert not panel.ui.registerButton.enabled
        assert panel.ui.statusLabel.text == "Select a fixed and a moving volume under Inputs."
        assert self.refuse(panel, desktop, scene).startswith("No volumes are selected")

    def test_one_volume(self, a_panel, desktop, scene):
        a_panel.ui.movingSelector.setCurrentNode(None)
        assert self.refuse(a_panel, desktop, scene).startswith("No moving volume is selected")

    def test_a_label_map(self, a_panel, desktop, scene):
        import slicer

        labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "organs")
        a_panel.ui.fixedSelector.setCurrentNode(labels)
        assert self.refuse(a_panel, desktop, scene).startswith(
            "“organs” is a label map, and registration needs an image"
        )

    def test_a_volume_without_voxels(self, a_panel, desktop, scene):
        import slicer

        empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "hollow")
        a_panel.ui.movingSelector.setCurrentNode(empty)
        assert self.refuse(a_panel, desktop, scene).startswith("“hollow” holds no voxels")

    def test_a_flat_volume(self, a_panel, desktop, scene):
        import slicer

        flat = slicer.util.addVolumeFromArray(np.ones((1, 20, 20)), name="one slice")
        a_panel.ui.movingSelector.setCurrentNode(flat)
        assert "“one slice” is 20 x 20 x 1 voxels" in self.refuse(a_panel, desktop, scene)

    def test_a_volume_that_a_transform_flattens(self, a_panel, desktop, scene):
        moving = scene.GetFirstNodeByName("control")
        moving.SetAndObserveTransformNodeID(linear_transform(scene, np.diag([1.0, 0, 1, 1])).GetID())
        cases.settle(desktop)
        assert self.refuse(a_panel, desktop, scene).startswith("control is flattened")

    def test_an_empty_mask(self, a_panel, sections, desktop, scene):
        import slicer

        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "body")
        sections.parameters.fixedMask = node
        assert "“body” has no segments" in self.refuse(a_panel, desktop, scene)
        node.GetSegmentation().AddEmptySegment("skin", "skin")
        assert "“skin” covers no voxel of the fixed volume" in self.refuse(a_panel, desktop, scene)

    def test_a_model_that_is_gone(self, a_panel, sections, desktop, scene):
        sections.parameters.model = "lost"
        assert "no model is named 'lost'" in self.refuse(a_panel, desktop, scene)
        assert "“lost” of this scene is not installed here" in a_panel.ui.modelLabel.text

    def test_a_full_disk(self, a_panel, desktop, scene, monkeypatch):
        from RobustDIRLib.panel import runs

        monkeypatch.setattr(runs.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
        assert "is full: the registration needs" in self.refuse(a_panel, desktop, scene)


class TestLandmarksThatAreNotRight:
    """They guide nothing, and so they stop nothing: a sentence in Check, or with the registration."""

    def test_landmarks_that_do_not_pair(self, a_panel, sections, desktop, monkeypatch):
        cases.play(monkeypatch, "well")
        fixed, moving = cases.landmark_nodes()
        moving.RemoveNthControlPoint(0)
        sections.parameters.fixedLandmarks, sections.parameters.movingLandmarks = fixed, moving
        cases.settle(desktop)
        assert cases.register(a_panel, desktop).startswith("Registered")
        assert "There are 6 fixed landmarks and 5 moving ones" in a_panel.ui.landmarksLabel.text

    def test_landmarks_elsewhere(self, a_panel, sections, desktop, monkeypatch):
        cases.play(monkeypatch, "well")
        p = sections.parameters
        p.fixedLandmarks, p.movingLandmarks = cases.landmark_nodes(shift=(900, 0, 0))
        cases.settle(desktop)
        said = cases.register(a_panel, desktop)
        assert "6 of 6 moving landmarks lie outside the moving volume (point 0" in said


def test_the_same_volume_twice_is_warned_of(a_panel, sections, desktop, monkeypatch):
    cases.play(monkeypatch, "hang")
    sections.parameters.movingVolume = sections.parameters.fixedVolume
    cases.settle(desktop)
    cases.start(a_panel, desktop)
    assert a_panel.ui.messageLabel.text.startswith("Fixed and moving volume are the same, “planning”")
    assert sections.run.run is not None


def test_the_same_volume_twice_is_still_warned_of_at_the_end(a_panel, sections, desktop, monkeypatch):
    cases.play(monkeypatch, "well")
    sections.parameters.movingVolume = sections.parameters.fixedVolume
    cases.settle(desktop)
    assert cases.register(a_panel, desktop).startswith(
        "Registered, with warnings: Fixed and moving volume are the same"
    )


def test_two_clicks_start_one_run(a_panel, sections, desktop, monkeypatch):
    from RobustDIRLib.panel import runs

    jobs, job = [], runs.Job
    monkeypatch.setattr(runs, "Job", lambda *words, **named: jobs.append(job(*words, **named)) or jobs[-1])
    cases.play(monkeypatch, "hang")
    a_panel.ui.registerButton.click()
    a_panel.ui.registerButton.click()
    run = sections.run.run
    cases.start(a_panel, desktop)
    sections.run.start()
    assert sections.run.run is run
    assert len(jobs) == 1
    assert not a_panel.ui.registerButton.enabled
