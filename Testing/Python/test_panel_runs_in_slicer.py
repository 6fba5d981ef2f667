"""Register and Cancel on the module's real file, in a real scene: results, or a sentence and an untouched scene."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import panel_cases as cases
from panel_process import SHIFT


@pytest.fixture
def a_panel(open_panel, desktop):
    """The panel with a pair of volumes chosen."""
    panel = open_panel("RobustDIR")
    fixed, moving = cases.volume_nodes()
    panel.ui.fixedSelector.setCurrentNode(fixed)
    panel.ui.movingSelector.setCurrentNode(moving)
    cases.settle(desktop)
    return panel


@pytest.fixture
def sections(a_panel):
    return a_panel.widget.panel


def register(panel, desktop, seconds: float = 90) -> str:
    """Clicks Register and waits; the panel's sentence."""
    panel.ui.registerButton.click()
    desktop.wait_until(lambda: panel.widget.panel.run.run is None, seconds)
    cases.settle(desktop)
    return panel.ui.messageLabel.text


def start(panel, desktop) -> None:
    """Clicks Register and waits for the process."""
    panel.ui.registerButton.click()
    run = panel.widget.panel.run
    desktop.wait_until(lambda: run.run is None or run.run.process_id is not None)
    assert run.run is not None, panel.ui.messageLabel.text


class TestResults:
    def test_nodes_are_made_named_and_chosen(self, a_panel, sections, desktop, monkeypatch):
        cases.play(monkeypatch, "well")
        assert register(a_panel, desktop) == "Registered. Look at it, then check the figures."
        p = sections.parameters
        nodes = p.transformNode, p.warpedNode, p.inverseNode, p.jacobianNode
        assert [node.GetName() for node in nodes] == [
            "control to planning", "control on planning", "planning to control", "Jacobian of control on planning"
        ]  # fmt: skip
        assert a_panel.ui.transformSelector.currentNode() is p.transformNode
        assert p.warpedNode.GetDisplayNode().GetWindow() == 1.5

    def test_directions_are_right(self, a_panel, sections, desktop, monkeypatch):
        from RobustDIRLib import mrml

        cases.play(monkeypatch, "well")
        register(a_panel, desktop)
        points = cases.FIXED_GRID.points_from_voxels(np.array([[9.3, 11.1, 12.7], [5.2, 6.8, 7.4]]))
        moved = mrml.transform_points(sections.parameters.transformNode, points)
        np.testing.assert_allclose(moved, points + SHIFT, atol=1e-3)
        back = mrml.transform_points(sections.parameters.inverseNode, moved)
        np.testing.assert_allclose(back, points, atol=1e-3)
        warped = mrml.volume_from_node(sections.parameters.warpedNode)
        assert warped.grid.close_to(cases.FIXED_GRID)
        np.testing.assert_array_equal(
            warped.array, mrml.volume_from_node(sections.parameters.fixedVolume).array.astype("f4")
        )

    def test_only_what_is_ticked_is_made(self, a_panel, sections, desktop, scene, monkeypatch):
        cases.play(monkeypatch, "well")
        for name in ("warped", "inverse", "jacobian"):
            getattr(a_panel.ui, f"{name}CheckBox").checked = False
        register(a_panel, desktop)
        p = sections.parameters
        assert (p.warpedNode, p.inverseNode, p.jacobianNode) == (None, None, None)
        assert p.transformNode is not None

    def test_a_second_run_fills_the_same_nodes(self, a_panel, sections, desktop, scene, monkeypatch):
        cases.play(monkeypatch, "well")
        register(a_panel, desktop)
        nodes = sections.parameters.transformNode, sections.parameters.warpedNode
        count = scene.GetNumberOfNodes()
        register(a_panel, desktop)
        assert (sections.parameters.transformNode, sections.parameters.warpedNode) == nodes
        assert scene.GetNumberOfNodes() == count

    def test_warnings_are_shown(self, a_panel, desktop, monkeypatch):
        cases.play(monkeypatch, "warn")
        assert register(a_panel, desktop) == "Registered, with warnings: The images hardly overlap."

    def test_results_go_to_the_set_that_was_registered(self, a_panel, sections, desktop, monkeypatch):
        cases.play(monkeypatch, "well")
        first = sections.parameters.parameterNode
        a_panel.ui.registerButton.click()
        a_panel.ui.newSetButton.click()
        assert sections.parameters.parameterNode is not first
        desktop.wait_until(lambda: sections.run.run is None)
        assert sections.parameters.transformNode is None
        assert sections.parameters_of(first.GetID()).transformNode is not None

    def test_the_application_learns_its_speed(self, a_panel, sections, desktop, monkeypatch):
        cases.play(monkeypatch, "well")
        before = sections.method.rates
        register(a_panel, desktop)
        assert sections.method.rates != before


class TestUntouchedScene:
    """Whatever ends a run early, the scene is afterwards what it was."""

    def test_cancelling(self, a_panel, sections, desktop, scene, monkeypatch):
        cases.play(monkeypatch, "hang")
        before = cases.contents(scene)
        start(a_panel, desktop)
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
        assert sentence in register(a_panel, desktop)
        assert cases.contents(scene) == before
        assert a_panel.ui.registerButton.enabled

    def test_the_log_of_a_failure_is_shown(self, a_panel, desktop, monkeypatch):
        cases.play(monkeypatch, "crash")
        register(a_panel, desktop)
        assert "KeyError: 'no more'" in a_panel.ui.logText.plainText
        assert not a_panel.ui.logCollapsibleButton.collapsed

    @pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
    def test_being_killed_from_outside(self, a_panel, sections, desktop, scene, monkeypatch):
        cases.play(monkeypatch, "hang")
        before = cases.contents(scene)
        start(a_panel, desktop)
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
        assert register(a_panel, desktop) == "there is no room for it."
        assert cases.contents(scene) == before

    def test_results_that_cannot_replace_those_of_the_run_before(self, a_panel, sections, desktop, scene, monkeypatch):
        from RobustDIRLib import mrml
        from RobustDIRLib.panel import outputs

        cases.play(monkeypatch, "well")
        register(a_panel, desktop)
        p = sections.parameters
        shifted = mrml.Volume(np.full(cases.MOVING_GRID.shape, 7, np.float32), cases.MOVING_GRID)
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
        assert "by a mistake in RobustDIR (RuntimeError: VTK is in a bad mood)" in register(a_panel, desktop)
        assert cases.contents(scene) == before
        assert p.transformNode.GetTransformFromParent().GetDisplacementGrid() is vectors
        assert p.warpedNode.GetDisplayNode().GetWindow() == 9
        assert mrml.grid_of_volume(p.warpedNode).close_to(cases.MOVING_GRID)
        assert a_panel.ui.registerButton.enabled

    def test_a_mistake_of_ours_is_a_sentence_and_a_log(self, a_panel, sections, desktop, scene, monkeypatch):
        from RobustDIRLib.panel import exchange

        def fails(*_):
            raise ZeroDivisionError("no")
            yield

        monkeypatch.setattr(exchange, "write_in_steps", fails)
        before = cases.contents(scene)
        assert "by a mistake in RobustDIR (ZeroDivisionError: no)" in register(a_panel, desktop)
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
        assert "cannot be written to (No space left on device); free some space" in register(a_panel, desktop)
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
        start(a_panel, desktop)
        process, folder, before = sections.run.run.process_id, sections.run.run.folder, names_in(scene)
        node = getattr(sections.parameters, which)
        name = node.GetName()
        scene.RemoveNode(node)
        assert sections.run.run is None
        assert a_panel.ui.messageLabel.text == (
            f"{words} was deleted during the registration, which was stopped; nothing was changed."
        )
        assert ended(process)
        assert not folder.exists()
        cases.settle(desktop)
        new = [each for each in names_in(scene) if each not in before]
        assert new == (["RobustDIR_1"] if which == "parameterNode" else [])  # the panel goes on with a set of its own
        assert name not in names_in(scene)

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
        start(a_panel, desktop)
        process, folder = sections.run.run.process_id, sections.run.run.folder
        scene.Clear(0)
        cases.settle(desktop)
        assert sections.run.run is None
        assert "scene was closed during the registration" in a_panel.ui.messageLabel.text
        assert ended(process)
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
        start(a_panel, desktop)
        process, folder = sections.run.run.process_id, sections.run.run.folder
        a_panel.widget.cleanup()
        assert ended(process)
        assert not folder.exists()


def names_in(scene) -> list[str]:
    return [node[1] for node in cases.contents(scene).values()]


def ended(process_id: int) -> bool:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


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

    def test_landmarks_that_do_not_pair(self, a_panel, sections, desktop, scene):
        fixed, moving = cases.landmark_nodes()
        moving.RemoveNthControlPoint(0)
        sections.parameters.fixedLandmarks, sections.parameters.movingLandmarks = fixed, moving
        assert "There are 6 fixed landmarks and 5 moving ones" in self.refuse(a_panel, desktop, scene)

    def test_landmarks_of_one_side(self, a_panel, sections, desktop, scene):
        sections.parameters.fixedLandmarks = cases.landmark_nodes()[0]
        assert self.refuse(a_panel, desktop, scene).startswith("Select moving landmarks as well")

    def test_landmarks_elsewhere(self, a_panel, sections, desktop, scene):
        p = sections.parameters
        p.fixedLandmarks, p.movingLandmarks = cases.landmark_nodes(shift=(900, 0, 0))
        assert "6 of 6 moving landmarks lie outside the moving volume (point 0" in self.refuse(a_panel, desktop, scene)

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


def test_the_same_volume_twice_is_warned_of(a_panel, sections, desktop, monkeypatch):
    cases.play(monkeypatch, "hang")
    sections.parameters.movingVolume = sections.parameters.fixedVolume
    cases.settle(desktop)
    start(a_panel, desktop)
    assert a_panel.ui.messageLabel.text.startswith("Fixed and moving volume are the same, “planning”")
    assert sections.run.run is not None


def test_the_same_volume_twice_is_still_warned_of_at_the_end(a_panel, sections, desktop, monkeypatch):
    cases.play(monkeypatch, "well")
    sections.parameters.movingVolume = sections.parameters.fixedVolume
    cases.settle(desktop)
    assert register(a_panel, desktop).startswith("Registered, with warnings: Fixed and moving volume are the same")


def test_two_clicks_start_one_run(a_panel, sections, desktop, monkeypatch):
    from RobustDIRLib.panel import runs

    jobs, job = [], runs.Job
    monkeypatch.setattr(runs, "Job", lambda *words, **named: jobs.append(job(*words, **named)) or jobs[-1])
    cases.play(monkeypatch, "hang")
    a_panel.ui.registerButton.click()
    a_panel.ui.registerButton.click()
    run = sections.run.run
    start(a_panel, desktop)
    sections.run.start()
    assert sections.run.run is run
    assert len(jobs) == 1
    assert not a_panel.ui.registerButton.enabled


def test_a_click_resamples_nothing_yet(a_panel, sections, desktop, monkeypatch):
    """Masks, structures and bent volumes take seconds: they are read while the run goes on."""
    from mrml_cases import bend
    from RobustDIRLib.mrml.resampling import Resampler

    cases.play(monkeypatch, "hang")
    p, read = sections.parameters, []
    p.fixedMask = cases.segmentation_nodes()[0]
    p.fixedSegmentation, p.movingSegmentation = cases.segmentation_nodes()
    p.movingVolume.SetAndObserveTransformNodeID(bend(p.movingVolume.GetScene()).GetID())
    cases.settle(desktop)
    at = Resampler.at
    monkeypatch.setattr(Resampler, "at", lambda self, box: read.append(box) or at(self, box))
    a_panel.ui.registerButton.click()
    assert sections.run.run is not None, a_panel.ui.messageLabel.text
    assert read == []
    start(a_panel, desktop)
    assert len(read) >= 4


def test_progress_is_shown_while_it_runs(a_panel, sections, desktop, monkeypatch):
    cases.play(monkeypatch, "hang")
    start(a_panel, desktop)
    desktop.wait_until(lambda: sections.run.run.stage == "network")
    cases.settle(desktop)
    assert a_panel.ui.statusLabel.text.startswith("Registering, about ")
    assert 0 < a_panel.ui.progressBar.value < 1000


def test_a_mask_and_landmarks_reach_the_process(a_panel, sections, desktop, monkeypatch):
    from RobustDIRLib.io.landmarks import read_landmarks
    from RobustDIRLib.panel import exchange

    cases.play(monkeypatch, "hang")
    p = sections.parameters
    p.fixedMask = cases.segmentation_nodes()[0]
    p.fixedLandmarks, p.movingLandmarks = cases.landmark_nodes()
    cases.settle(desktop)
    a_panel.ui.fixedMaskSegment.setCurrentIndex(1)
    start(a_panel, desktop)
    folder = sections.run.run.folder
    mask, grid = exchange.read(folder / "fixed_mask.mha")
    assert grid.close_to(cases.FIXED_GRID)
    expected = np.zeros(grid.shape, bool)
    expected[14:18, 10:15, 6:10] = True
    np.testing.assert_array_equal(mask > 0, expected)
    points = read_landmarks(folder / "moving_landmarks.csv")
    assert points.names[0] == "point 0"
    assert len(points) == 6


def test_everything_reaches_the_process_under_its_own_name(a_panel, sections, desktop, monkeypatch):
    """Each file lies on the grid of the side whose option names it."""
    from RobustDIRLib.io.landmarks import read_landmarks
    from RobustDIRLib.panel import exchange, runs

    given = []
    monkeypatch.setattr(
        runs, "library_command", lambda *words: given.append(words) or [sys.executable, str(cases.PROCESS), "hang"]
    )
    p = sections.parameters
    p.fixedMask, p.movingMask = p.fixedSegmentation, p.movingSegmentation = cases.segmentation_nodes()
    p.fixedLandmarks, p.movingLandmarks = cases.landmark_nodes()
    p.preset, p.alignment, p.device = "brain-mri", "rigid", "cpu"
    cases.settle(desktop)
    start(a_panel, desktop)
    command, *files = given[0][:3]
    options = dict(zip(given[0][3::2], given[0][4::2], strict=True))
    assert command == "register"
    sides = {
        cases.FIXED_GRID: [files[0], options["--fixed-mask"], options["--fixed-labels"]],
        cases.MOVING_GRID: [files[1], options["--moving-mask"], options["--labels"]],
    }
    for grid, paths in sides.items():
        assert [exchange.read(Path(path))[1].close_to(grid) for path in paths] == [True] * 3
    fixed, moving = (read_landmarks(Path(options[f"--{side}-landmarks"])).points for side in ("fixed", "moving"))
    np.testing.assert_allclose((moving - fixed)[0], SHIFT, atol=1e-3)
    assert [options[f"--{name}"] for name in ("preset", "alignment", "device")] == ["brain-mri", "rigid", "cpu"]
    labels = [exchange.read(Path(options[name]))[0] for name in ("--fixed-labels", "--labels")]
    assert [sorted(np.unique(array)) for array in labels] == [[0, 1, 2], [0, 1, 3]]  # bright, dark; bright, other
