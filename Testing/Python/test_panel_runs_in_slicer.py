"""Register on the module's real file, in a real scene: results, and what reaches the process."""

import sys
from pathlib import Path

import numpy as np
import pytest

import panel_cases as cases
from panel_process import SHIFT


class TestResults:
    def test_nodes_are_made_named_and_chosen(self, a_panel, sections, desktop, monkeypatch):
        cases.play(monkeypatch, "well")
        assert cases.register(a_panel, desktop) == "Registered. Look at it, then check the figures."
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
        cases.register(a_panel, desktop)
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
        cases.register(a_panel, desktop)
        p = sections.parameters
        assert (p.warpedNode, p.inverseNode, p.jacobianNode) == (None, None, None)
        assert p.transformNode is not None

    def test_a_second_run_fills_the_same_nodes(self, a_panel, sections, desktop, scene, monkeypatch):
        cases.play(monkeypatch, "well")
        cases.register(a_panel, desktop)
        nodes = sections.parameters.transformNode, sections.parameters.warpedNode
        count = scene.GetNumberOfNodes()
        cases.register(a_panel, desktop)
        assert (sections.parameters.transformNode, sections.parameters.warpedNode) == nodes
        assert scene.GetNumberOfNodes() == count

    def test_warnings_are_shown(self, a_panel, desktop, monkeypatch):
        cases.play(monkeypatch, "warn")
        assert cases.register(a_panel, desktop) == "Registered, with warnings: The images hardly overlap."

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
        cases.register(a_panel, desktop)
        assert sections.method.rates != before


def test_a_click_resamples_nothing_yet(a_panel, sections, desktop, monkeypatch):
    """Masks and bent volumes take seconds: they are read while the run goes on."""
    from mrml_cases import bend
    from RobustDIRLib.mrml.resampling import Resampler

    cases.play(monkeypatch, "hang")
    p, read = sections.parameters, []
    p.fixedMask = cases.segmentation_nodes()[0]
    p.movingVolume.SetAndObserveTransformNodeID(bend(p.movingVolume.GetScene()).GetID())
    cases.settle(desktop)
    at = Resampler.at
    monkeypatch.setattr(Resampler, "at", lambda self, box: read.append(box) or at(self, box))
    a_panel.ui.registerButton.click()
    assert sections.run.run is not None, a_panel.ui.messageLabel.text
    assert read == []
    cases.start(a_panel, desktop)
    assert len(read) >= 2


def test_progress_is_shown_while_it_runs(a_panel, sections, desktop, monkeypatch):
    cases.play(monkeypatch, "hang")
    cases.start(a_panel, desktop)
    desktop.wait_until(lambda: sections.run.run.stage == "network")
    cases.settle(desktop)
    assert a_panel.ui.statusLabel.text.startswith("Registering, about ")
    assert 0 < a_panel.ui.progressBar.value < 1000


def test_a_mask_reaches_the_process(a_panel, sections, desktop, monkeypatch):
    from RobustDIRLib.panelparts import exchange

    cases.play(monkeypatch, "hang")
    sections.parameters.fixedMask = cases.segmentation_nodes()[0]
    cases.settle(desktop)
    a_panel.ui.fixedMaskSegment.setCurrentIndex(1)
    cases.start(a_panel, desktop)
    folder = sections.run.run.folder
    mask, grid = exchange.read(folder / "fixed_mask.mha")
    assert grid.close_to(cases.FIXED_GRID)
    expected = np.zeros(grid.shape, bool)
    expected[14:18, 10:15, 6:10] = True
    np.testing.assert_array_equal(mask > 0, expected)


def test_everything_reaches_the_process_under_its_own_name(a_panel, sections, desktop, monkeypatch):
    """Each file lies on the grid of the side whose option names it."""
    from RobustDIRLib.panel import runs
    from RobustDIRLib.panelparts import exchange

    given = []
    monkeypatch.setattr(
        runs, "library_command", lambda *words: given.append(words) or [sys.executable, str(cases.PROCESS), "hang"]
    )
    p = sections.parameters
    p.fixedMask, p.movingMask = cases.segmentation_nodes()
    p.preset, p.alignment, p.device = "brain-mri", "rigid", "cpu"
    cases.settle(desktop)
    cases.start(a_panel, desktop)
    command, *files = given[0][:3]
    options = dict(zip(given[0][3::2], given[0][4::2], strict=True))
    assert command == "register"
    sides = {
        cases.FIXED_GRID: [files[0], options["--fixed-mask"]],
        cases.MOVING_GRID: [files[1], options["--moving-mask"]],
    }
    for grid, paths in sides.items():
        assert [exchange.read(Path(path))[1].close_to(grid) for path in paths] == [True] * 2
    assert [options[f"--{name}"] for name in ("preset", "alignment", "device")] == ["brain-mri", "rigid", "cpu"]
    assert "--blank-outside" not in given[0]


@pytest.mark.parametrize("masked", [True, False])
def test_the_network_sees_nothing_outside_the_masks_where_that_is_chosen(
    a_panel, sections, desktop, monkeypatch, masked
):
    from RobustDIRLib.panel import runs

    given = []
    monkeypatch.setattr(
        runs, "library_command", lambda *words: given.append(words) or [sys.executable, str(cases.PROCESS), "hang"]
    )
    if masked:
        sections.parameters.fixedMask = cases.segmentation_nodes()[0]
    a_panel.ui.blankOutsideCheckBox.checked = True
    cases.settle(desktop)
    assert ("there is none" in a_panel.ui.maskLabel.text) is not masked
    cases.start(a_panel, desktop)
    assert ("--blank-outside" in given[0]) is masked


def test_a_mask_that_does_nothing_is_told(a_panel, sections, desktop, monkeypatch):
    cases.play(monkeypatch, "well")
    p = sections.parameters
    p.movingMask, p.alignment, p.quality = cases.segmentation_nodes()[1], "none", "fast"
    cases.settle(desktop)
    assert a_panel.ui.maskLabel.text.startswith("The moving mask does nothing")
    assert "moving mask does nothing" in cases.register(a_panel, desktop)
    for name, value in (("blankOutside", True), ("alignment", "rigid"), ("quality", "best"), ("movingMask", None)):
        before = getattr(p, name)
        setattr(p, name, value)
        cases.settle(desktop)
        assert not a_panel.ui.maskLabel.text
        setattr(p, name, before)
