"""The Look section on the module's real file: what the views show, the deformation drawn, and the one click back."""

import time

import numpy as np
import pytest

import panel_cases as cases

MODES = ("blend", "checkerboard", "flicker", "red-cyan", "difference", "jacobian")


@pytest.fixture
def a_panel(open_panel, desktop, monkeypatch):
    """The panel with a registered pair."""
    cases.play_here(monkeypatch)
    panel = open_panel("RobustDIR")
    sections = panel.widget.panel
    sections.parameters.fixedVolume, sections.parameters.movingVolume = cases.volume_nodes()
    cases.settle(desktop)
    cases.show(sections.parameters.movingVolume)
    panel.ui.registerButton.click()
    desktop.wait_until(lambda: sections.run.run is None)
    cases.settle(desktop)
    assert sections.parameters.warpedNode is not None, panel.ui.messageLabel.text
    return panel


def choose(choice, key: str) -> None:
    """As the user does: by the entry of the combo box."""
    choice.combo.setCurrentIndex(choice.keys.index(key))


def red():
    import slicer

    return slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()


def shown():
    """Names of background and foreground of the red slice view."""
    import slicer

    ids = red().GetBackgroundVolumeID(), red().GetForegroundVolumeID()
    return tuple(slicer.mrmlScene.GetNodeByID(i).GetName() if i else None for i in ids)


def test_a_registration_is_shown_blended(a_panel, sections):
    assert sections.parameters.compare == "blend"
    assert shown() == ("planning", "control on planning")
    assert not a_panel.ui.lookCollapsibleButton.collapsed


def test_a_slider_is_followed_while_it_is_dragged(a_panel, desktop):
    """Its values come faster than the panel gathers them, and do not put it off until the mouse rests."""
    seen, begun, value = set(), time.monotonic(), 20.0
    while time.monotonic() - begun < 0.5:
        value += 0.5
        a_panel.ui.blendSlider.value = value
        desktop.process_events(1)
        seen.add(red().GetForegroundOpacity())
        time.sleep(0.005)
    assert len(seen) > 3


def test_blend_follows_its_slider(a_panel, sections, desktop):
    a_panel.ui.blendSlider.value = 80
    cases.settle(desktop)
    assert red().GetForegroundOpacity() == pytest.approx(0.8)


def test_checkerboard_takes_fields_from_both_volumes(a_panel, sections):
    import slicer

    from RobustDIRLib import mrml
    from RobustDIRLib.panel import boards, comparisons

    warped = slicer.util.arrayFromVolume(sections.parameters.warpedNode)
    warped[:] = warped.max()
    choose(sections.look.compare, "checkerboard")
    assert shown() == ("RobustDIR checkerboard", None)
    board = slicer.util.arrayFromVolume(slicer.util.getNode("RobustDIR checkerboard"))
    fields = boards.fields(board.shape, sections.parameters.warpedNode.GetSpacing(), 0.5)
    fixed, other = (comparisons._shade(n) for n in (sections.parameters.fixedVolume, sections.parameters.warpedNode))
    np.testing.assert_array_equal(board[fields], fixed[fields])
    np.testing.assert_array_equal(board[~fields], other[~fields])
    assert mrml.grid_of_volume(slicer.util.getNode("RobustDIR checkerboard")).close_to(cases.FIXED_GRID)


def test_fields_of_a_checkerboard_are_cubes_in_millimetres():
    boards = pytest.importorskip("RobustDIRLib.panel.boards") if slicer_is_there() else None
    if boards is None:
        pytest.skip("slicer-core is not installed")
    fields = boards.fields((30, 60, 90), (1.0, 2.0, 4.0), 1.0)
    changes = [
        int((np.diff(fields.astype(int), axis=axis) != 0).any(axis=tuple({0, 1, 2} - {axis})).sum())
        for axis in range(3)
    ]
    assert changes == [2, 2, 2]
    assert boards.fields((30, 60, 90), (1.0, 2.0, 4.0), 0.0).mean() == pytest.approx(0.5, abs=0.05)


def slicer_is_there() -> bool:
    from SlicerHeadless import availability

    return not availability.why_no_scene()


def test_difference_is_zero_where_both_are_alike(a_panel, sections):
    import slicer

    choose(sections.look.compare, "difference")
    assert not slicer.util.arrayFromVolume(slicer.util.getNode("RobustDIR difference")).any()
    slicer.util.arrayFromVolume(sections.parameters.warpedNode)[3:6, 4:9, 5:8] += 0.5
    choose(sections.look.compare, "blend")
    choose(sections.look.compare, "difference")
    difference = slicer.util.arrayFromVolume(slicer.util.getNode("RobustDIR difference"))
    assert (difference[3:6, 4:9, 5:8] < 0).all()


def test_red_and_cyan_are_added_and_recolour_nothing(a_panel, sections):
    import slicer

    p = sections.parameters
    displays = [node.GetDisplayNode() for node in (p.fixedVolume, p.warpedNode)]
    before = [(d.GetColorNodeID(), d.GetWindow(), d.GetLevel(), d.GetAutoWindowLevel()) for d in displays]
    choose(sections.look.compare, "red-cyan")
    shown = [
        slicer.mrmlScene.GetNodeByID(each) for each in (red().GetBackgroundVolumeID(), red().GetForegroundVolumeID())
    ]
    tables = [node.GetDisplayNode().GetColorNodeID() for node in shown]
    assert tables == ["vtkMRMLColorTableNodeRed", "vtkMRMLColorTableNodeCyan"]
    assert [node.GetImageData() for node in shown] == [p.fixedVolume.GetImageData(), p.warpedNode.GetImageData()]
    assert not any(node.GetSaveWithScene() for node in shown)
    assert red().GetCompositing() == red().Add
    assert [(d.GetColorNodeID(), d.GetWindow(), d.GetLevel(), d.GetAutoWindowLevel()) for d in displays] == before
    choose(sections.look.compare, "off")
    assert not [node for node in shown if node.GetScene() is not None]


def test_planes_that_are_seen_are_laid_at_once_and_all_others_after_them(desktop):
    from RobustDIRLib.panel import boards

    shape, spacing, seen = (12, 21, 33), (1.0, 2.0, 4.0), ({3, 4, 5, 9}, {0}, {31, 32})
    first, second = (np.full(shape, value, np.uint8) for value in (10, 20))
    board = np.zeros(shape, np.uint8)
    steps = boards.Checkerboard(first, second, spacing, board).lay(0.3, seen)
    next(steps)
    expected = np.where(boards.fields(shape, spacing, 0.3), first, second)
    laid = np.zeros(shape, bool)
    for axis, places in enumerate(seen):
        np.moveaxis(laid, axis, 0)[sorted(places)] = True
    assert np.array_equal(board, np.where(laid, expected, 0))
    for _ in steps:
        pass
    assert np.array_equal(board, expected)


def test_the_slider_lays_other_fields(a_panel, sections, desktop):
    import slicer

    from RobustDIRLib.panel import boards, comparisons

    warped = slicer.util.arrayFromVolume(sections.parameters.warpedNode)
    warped[:] = warped.max()
    choose(sections.look.compare, "checkerboard")
    for blend in (0.0, 100.0):
        sections.parameters.blend = blend
        desktop.wait_until(lambda: sections.look._shown[-1] == sections.parameters.blend / 100, 5)
        desktop.wait_until(lambda: not sections.look._lay.isActive(), 5)
        board = slicer.util.arrayFromVolume(slicer.util.getNode("RobustDIR checkerboard"))
        fields = boards.fields(board.shape, sections.parameters.warpedNode.GetSpacing(), blend / 100)
        p = sections.parameters
        fixed, other = (comparisons._shade(node) for node in (p.fixedVolume, p.warpedNode))
        np.testing.assert_array_equal(board, np.where(fields, fixed, other))


def test_jacobian_has_colours_for_shrinking_growing_and_folding(a_panel, sections):
    from RobustDIRLib.panel.comparisons import jacobian_colour

    choose(sections.look.compare, "jacobian")
    assert shown() == ("planning", "Jacobian of control on planning")
    table = sections.parameters.jacobianNode.GetDisplayNode().GetColorNode()
    assert table.GetName() == "Jacobian determinant"
    shrinks, keeps, grows, folds = (jacobian_colour(value) for value in (0.3, 1.0, 1.7, -0.1))
    assert shrinks[2] > shrinks[0]
    assert grows[0] > grows[2]
    assert max(keeps) == min(keeps)
    assert folds not in (shrinks, keeps, grows)


def test_flicker_shows_one_then_the_other(a_panel, sections, desktop):
    choose(sections.look.compare, "flicker")
    seen = set()
    desktop.wait_until(lambda: seen.add(red().GetForegroundOpacity()) or len(seen) == 2, 10)
    assert seen == {0.0, 1.0}
    choose(sections.look.compare, "blend")
    assert not sections.look._flicker.isActive()


@pytest.mark.parametrize("mode", MODES)
def test_one_click_back(a_panel, sections, desktop, mode):
    choose(sections.look.compare, mode)
    choose(sections.look.deformation, "grid")
    cases.settle(desktop)
    assert a_panel.ui.backButton.enabled
    a_panel.ui.backButton.click()
    cases.settle(desktop)
    assert shown() == ("control", None)
    display = sections.parameters.fixedVolume.GetDisplayNode()
    assert display.GetColorNodeID() == "vtkMRMLColorTableNodeGrey"
    assert not sections.parameters.transformNode.GetDisplayNode().GetVisibility()
    assert (sections.parameters.compare, sections.parameters.deformation) == ("off", "off")
    assert not a_panel.ui.backButton.enabled
    assert not [n for n in cases.contents(desktop_scene()).values() if n[1] == f"RobustDIR {mode}"]


def desktop_scene():
    import slicer

    return slicer.mrmlScene


def test_back_returns_to_the_layout(a_panel, sections, desktop):
    import slicer

    node = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
    before = node.GetViewArrangement()
    p = sections.parameters
    p.fixedLandmarks, p.movingLandmarks = cases.landmark_nodes()
    cases.settle(desktop)
    a_panel.ui.curveButton.click()
    assert node.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView
    cases.settle(desktop)
    a_panel.ui.backButton.click()
    assert node.GetViewArrangement() == before


@pytest.mark.parametrize("mode", ["grid", "glyph", "contour"])
def test_deformation_is_drawn(a_panel, sections, mode):
    choose(sections.look.deformation, mode)
    display = sections.parameters.transformNode.GetDisplayNode()
    kinds = {"grid": display.VIS_MODE_GRID, "glyph": display.VIS_MODE_GLYPH, "contour": display.VIS_MODE_CONTOUR}
    assert display.GetVisualizationMode() == kinds[mode]
    assert display.GetVisibility()
    assert display.GetVisibility2D()
    assert not display.GetVisibility3D()
    assert display.GetRegionNode() is sections.parameters.fixedVolume


def test_spacing_colour_and_views_of_the_drawing(a_panel, sections, desktop):
    choose(sections.look.deformation, "grid")
    display = sections.parameters.transformNode.GetDisplayNode()
    a_panel.ui.spacingSlider.value = 23
    a_panel.ui.deformation3DCheckBox.checked = True
    a_panel.ui.deformationSlicesCheckBox.checked = False
    cases.settle(desktop)
    assert display.GetGridSpacingMm() == 23
    assert display.GetVisibility3D()
    assert not display.GetVisibility2D()
    coloured = [tuple(display.GetColorMap().GetColor(value)) for value in (0.0, 3.7)]
    assert coloured[0] != coloured[1]
    a_panel.ui.deformationColourCheckBox.checked = False
    cases.settle(desktop)
    plain = [tuple(display.GetColorMap().GetColor(value)) for value in (0.0, 3.7)]
    assert plain[0] == pytest.approx(plain[1])


@pytest.mark.parametrize("spacing", [2.0, 7.0, 12.0, 50.0])
@pytest.mark.parametrize("area", [0.0, 3 * 90.0**2, 3 * 358.0**2, 3 * 900.0**2])
@pytest.mark.parametrize("in_3d", [False, True])
def test_a_drawing_is_as_fine_as_the_views_can_carry(desktop, spacing, area, in_3d):
    from RobustDIRLib.panelparts.deformations import resolution_for, spacing_for

    drawn = spacing_for(spacing, area)
    piece = resolution_for(drawn, area, in_3d)
    parts = drawn / piece
    assert drawn >= spacing
    assert parts == pytest.approx(round(parts))
    assert 1 <= parts <= (2 if in_3d else 4)
    assert area / piece**2 <= 28_000
    if drawn > spacing:
        assert area / (drawn - 1) ** 2 > 28_000  # no wider than it must be
    if area / (drawn / 2) ** 2 <= 10_000 and drawn >= 4:
        assert parts >= 2  # as round as it can be


def test_a_drawing_follows_the_zoom(a_panel, sections, desktop):
    import slicer

    choose(sections.look.deformation, "grid")
    display = sections.parameters.transformNode.GetDisplayNode()
    sections.parameters.deformationSpacing = 2
    cases.settle(desktop)
    label = a_panel.ui.drawingLabel
    assert (display.GetGridSpacingMm(), label.text) == (2, "")
    views = [slicer.app.layoutManager().sliceWidget(n).mrmlSliceNode() for n in ("Red", "Green", "Yellow")]
    before = [view.GetFieldOfView() for view in views]
    for view, (x, y, z) in zip(views, before, strict=True):
        view.SetFieldOfView(9 * x, 9 * y, z)
    desktop.wait_until(lambda: display.GetGridSpacingMm() > 2, 5)
    assert label.text == f"So far out the lines are {display.GetGridSpacingMm():.0f} mm apart; zoom in for closer ones."
    for view, field in zip(views, before, strict=True):
        view.SetFieldOfView(*field)
    desktop.wait_until(lambda: display.GetGridSpacingMm() == 2, 5)
    assert label.text == ""


def test_contours_are_few_and_reach_the_largest_displacement(desktop):
    from RobustDIRLib.panelparts.deformations import contour_levels

    for spacing, largest in ((10, 8.0), (2, 60.0), (50, 3.0), (10, 0.0)):
        levels = contour_levels(spacing, largest)
        assert 1 <= len(levels) <= 12
        assert levels == sorted(levels)
        assert levels[-1] <= max(largest, levels[0])


def test_slices_are_linked_and_unlinked(a_panel, desktop):
    a_panel.ui.linkSlicesCheckBox.checked = True
    cases.settle(desktop)
    assert red().GetLinkedControl()
    a_panel.ui.linkSlicesCheckBox.checked = False
    cases.settle(desktop)
    assert not red().GetLinkedControl()


@pytest.mark.parametrize(
    ("node", "mode", "sentence"),
    [
        ("warpedNode", "blend", "There is no warped volume to compare with"),
        ("jacobianNode", "jacobian", "There is no Jacobian map"),
    ],
)
def test_what_is_not_there_cannot_be_shown(a_panel, sections, desktop, scene, node, mode, sentence):
    a_panel.ui.backButton.click()
    scene.RemoveNode(getattr(sections.parameters, node))
    choose(sections.look.compare, mode)
    assert a_panel.ui.messageLabel.text.startswith(sentence)
    assert a_panel.ui.compareSelector.currentText == "Off"


def test_a_deformation_that_is_not_there_cannot_be_drawn(open_panel, desktop):
    panel = open_panel("RobustDIR")
    choose(panel.widget.panel.look.deformation, "grid")
    assert panel.ui.messageLabel.text.startswith("There is no deformation to draw")


def test_views_show_it_in_pictures(a_panel, sections, desktop, rendering, tmp_path):
    """Every toggle changes what the red slice view draws."""
    import slicer

    p = sections.parameters
    slicer.util.arrayFromVolume(p.warpedNode)[...] *= 0.5
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView().offscreen
    pictures = []
    for mode in ("blend", "checkerboard", "red-cyan", "difference", "jacobian"):
        choose(sections.look.compare, mode)
        pictures.append(cases.picture_of(view, tmp_path))
    choose(sections.look.compare, "blend")
    for mode in ("grid", "glyph", "contour"):
        choose(sections.look.deformation, mode)
        if mode == "contour":  # an even shift has none
            continue
        pictures.append(cases.picture_of(view, tmp_path))
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)
    red_cyan = pictures[2].astype(int)
    assert np.abs(red_cyan[..., 0] - red_cyan[..., 1]).max() > 20
