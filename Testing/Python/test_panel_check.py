"""The Check section on the module's real file: landmarks, structures, tolerances, curve, export and report."""

import csv
import sys

import numpy as np
import pytest

import panel_cases as cases
from RobustDIRLib.geometry import swap_lps_ras
from RobustDIRLib.values import Image, Landmarks


@pytest.fixture
def a_panel(open_panel, desktop, monkeypatch):
    """The panel with a registered pair and landmarks: five are met exactly, the last is 4 mm off."""
    cases.play_here(monkeypatch)
    panel = open_panel("RobustDIR")
    p = panel.widget.panel.parameters
    p.fixedVolume, p.movingVolume = cases.volume_nodes()
    p.fixedLandmarks, p.movingLandmarks = cases.landmark_nodes()
    cases.settle(desktop)
    panel.ui.registerButton.click()
    desktop.wait_until(lambda: panel.widget.panel.run.run is None)
    cases.settle(desktop)
    return panel


def cells(table) -> list[list[str]]:
    return [[table.item(r, c).text() for c in range(table.columnCount)] for r in range(table.rowCount)]


def judgement(panel, title: str) -> list[str]:
    return next(row for row in cells(panel.ui.judgementTable) if row[0] == title)


def test_landmarks_stand_worst_first(a_panel):
    rows = cells(a_panel.ui.landmarkTable)
    assert rows[0] == ["point 5", "7.35", "4.00", "3.35"]  # |(7, -2, 1)| and |(4, 0, 0)|
    assert all(row[1:3] == ["3.74", "0.00"] for row in rows[1:])  # |(3, -2, 1)|


def test_figures_of_the_landmarks_before_and_after(a_panel, sections):
    titles = ("TRE, mean", "TRE, median", "TRE, 95 %", "TRE, worst")
    errors = np.array([[row.before, row.after] for row in sections.check.landmarks])
    assert sorted(errors[:, 1]) == pytest.approx([0, 0, 0, 0, 0, 4], abs=1e-3)
    expected = errors.mean(0), np.median(errors, 0), np.percentile(errors, 95, axis=0), errors.max(0)
    shown = [judgement(a_panel, title)[1:3] for title in titles]
    assert [[float(cell.removesuffix(" mm")) for cell in row] for row in shown] == [
        pytest.approx(row.tolist(), rel=2e-3, abs=1e-3) for row in expected
    ]
    assert judgement(a_panel, "TRE < 2 mm")[2:] == ["83.3 %", "off", "– not judged"]


def test_a_moved_landmark_is_measured_anew(a_panel, sections, desktop):
    node = sections.parameters.movingLandmarks
    node.SetNthControlPointPositionWorld(0, *(np.array(node.GetNthControlPointPositionWorld(0)) + [0, 0, 9]))
    cases.settle(desktop)
    assert cells(a_panel.ui.landmarkTable)[0][0::2] == ["point 0", "9.00"]


@pytest.mark.parametrize(
    ("which", "change", "words"),
    [
        ("moving", swap_lps_ras, "(RAS instead of LPS)"),
        ("fixed", lambda p: p * [1, 1, -1], "with z changed in sign"),
        ("moving", lambda p: p[:, [0, 2, 1]], "with y and z exchanged"),
        ("fixed", "voxels", "as voxels x, y, z instead of mm"),
    ],
)
def test_landmarks_with_other_axes_get_the_hint_of_the_command_line(a_panel, sections, desktop, which, change, words):
    """Whether their points lie outside the volume then, and are not measured, or inside."""
    grid = {"fixed": cases.FIXED_GRID, "moving": cases.MOVING_GRID}[which]
    if change == "voxels":

        def change(points):
            return grid.voxels_from_points(points)[:, ::-1]

    from RobustDIRLib import mrml

    node = getattr(sections.parameters, f"{which}Landmarks")
    points = mrml.points_from_markups(node)
    mrml.markups_from_points(Landmarks(change(points.points), points.names), "", node=node)
    cases.settle(desktop)
    said = a_panel.ui.landmarksLabel.text
    assert words in said, said
    measured = int(grid.contains(change(points.points)).sum())
    assert len(sections.check.landmarks) == measured
    assert measured == 6 or f"{6 - measured} of 6 {which} landmarks lie outside the {which} volume" in said


def test_a_drawing_of_the_transform_measures_nothing_anew(a_panel, sections, desktop, monkeypatch):
    measured, fill = [], sections.check._fill
    monkeypatch.setattr(sections.check, "_fill", lambda: (measured.append(1), fill()))
    sections.look.choose_deformation("grid")
    sections.parameters.deformationSpacing = 17
    cases.settle(desktop)
    assert measured == []


def test_a_transform_of_elsewhere_that_is_moved_is_measured_anew(open_panel, desktop, scene):
    import slicer

    panel = open_panel("RobustDIR")
    p = panel.widget.panel.parameters
    p.fixedLandmarks, p.movingLandmarks = cases.landmark_nodes()
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    p.transformNode = scene.AddNewNodeByClass("vtkMRMLGridTransformNode")
    p.transformNode.SetAndObserveTransformNodeID(parent.GetID())
    cases.settle(desktop)
    assert [row[2] for row in cells(panel.ui.landmarkTable)] == ["7.35", *["3.74"] * 5]
    matrix = np.eye(4)
    matrix[2, 3] = 9
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))  # moves the moving volume up
    cases.settle(desktop)
    errors = [row[2] for row in cells(panel.ui.landmarkTable)]
    assert errors == ["12.37", *["10.63"] * 5]  # |(7, -2, 10)| and |(3, -2, 10)|


def test_a_click_moves_the_slices_there(a_panel, sections):
    import slicer

    a_panel.ui.landmarkTable.cellClicked.emit(0, 0)
    point = np.array(sections.check.landmarks[0].point) * [-1, -1, 1]
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        centre = [node.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
        np.testing.assert_allclose(centre, point, atol=1e-6)


def test_judgements_are_within_or_outside(a_panel):
    assert judgement(a_panel, "TRE, mean") == ["TRE, mean", "4.34 mm", "0.667 mm", "≤ 3.4 mm", "✓ within"]
    assert judgement(a_panel, "Folding")[2:] == ["0.25 %", "≤ 0 %", "✗ outside"]
    assert judgement(a_panel, "Inverse")[2:] == ["0.2 mm", "≤ 3.4 mm", "✓ within"]
    assert judgement(a_panel, "Dice")[4] == "? undefined"
    assert judgement(a_panel, "SDlogJ")[1:] == ["–", "0.125", "off", "– not judged"]
    assert "outside tolerance" in a_panel.ui.verdictLabel.text


def test_verdicts_have_their_colour(a_panel):
    from RobustDIRLib.panelparts import widgets

    table = a_panel.ui.judgementTable
    colours = {table.item(r, 4).text(): table.item(r, 4).foreground().color().name() for r in range(table.rowCount)}
    assert colours["✓ within"] == widgets.shade(widgets.GOOD, table)
    assert colours["✗ outside"] == widgets.shade(widgets.BAD, table)


@pytest.mark.parametrize(
    ("typed", "shown", "verdict"),
    [("0.5", "≤ 0.5 mm", "✗ outside"), ("1,5 mm", "≤ 1.5 mm", "✓ within"), ("off", "off", "– not judged")],
)
def test_tolerances_are_edited_in_the_table(a_panel, desktop, typed, shown, verdict):
    edit(a_panel, "TRE, mean", typed, desktop)
    assert judgement(a_panel, "TRE, mean")[3:] == [shown, verdict]
    edit(a_panel, "TRE, mean", "voxel", desktop)
    assert judgement(a_panel, "TRE, mean")[3] == "≤ 3.4 mm"


@pytest.mark.parametrize(
    ("title", "typed", "shown", "verdict"),
    [
        ("SDlogJ", "0.1", "≤ 0.1", "✗ outside"),
        ("SDlogJ", "0.3", "≤ 0.3", "✓ within"),
        ("TRE < 2 mm", "90 %", "≥ 90 %", "✗ outside"),
        ("HD95", "6", "≤ 6 mm", "? undefined"),
    ],
)
def test_what_is_not_judged_by_default_can_be_given_a_limit(a_panel, desktop, title, typed, shown, verdict):
    assert judgement(a_panel, title)[3:] == ["off", "– not judged"]
    edit(a_panel, title, typed, desktop)
    assert judgement(a_panel, title)[3:] == [shown, verdict]
    edit(a_panel, title, "off", desktop)
    assert judgement(a_panel, title)[3:] == ["off", "– not judged"]


def edit(panel, title: str, text: str, desktop) -> None:
    table = panel.ui.judgementTable
    row = next(r for r in range(table.rowCount) if table.item(r, 0).text() == title)
    table.item(row, 3).setText(text)
    cases.settle(desktop)


def test_a_tolerance_that_cannot_be_is_a_sentence(a_panel, desktop):
    edit(a_panel, "Dice", "2", desktop)
    assert "dice cannot be" in a_panel.ui.messageLabel.text
    assert judgement(a_panel, "Dice")[3] == "≥ 0.8"


def test_only_tolerances_can_be_edited(a_panel):
    import qt

    table = a_panel.ui.judgementTable
    editable = [[bool(table.item(r, c).flags() & qt.Qt.ItemIsEditable) for c in range(5)] for r in range(11)]
    assert editable == [[False, False, False, True, False]] * 11


def test_the_curve_counts_the_landmarks(a_panel, desktop):
    import slicer

    a_panel.ui.curveButton.click()
    cases.settle(desktop)
    a_panel.ui.curveButton.click()  # filled anew, not made again
    charts = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
    assert len(charts) == 1
    assert charts[0].GetNumberOfPlotSeriesNodes() == 2


def test_segments_of_one_name_are_measured(a_panel, sections, desktop):
    p = sections.parameters
    p.fixedSegmentation, p.movingSegmentation = cases.segmentation_nodes()
    cases.settle(desktop)
    a_panel.ui.measureButton.click()
    assert not a_panel.ui.measureButton.enabled
    desktop.wait_until(lambda: not sections.check._background.busy, 90)
    cases.settle(desktop)
    rows = {row["label"]: row for row in sections.check.structures}
    assert set(rows) == {"bright", "dark", "other"}
    assert 0 < rows["bright"]["after"] < 1
    assert rows["bright"]["hd95_mm"] > 0
    assert rows["dark"]["only_in"] == "fixed"
    assert cells(a_panel.ui.structureTable)[0][0] == "bright"
    assert judgement(a_panel, "Dice")[2] == f"{rows['bright']['after']:.3g}"


def test_segments_without_a_common_name_are_a_sentence(a_panel, sections, desktop):
    p = sections.parameters
    p.fixedSegmentation, p.movingSegmentation = cases.segmentation_nodes((("a", "b"), ("c", "d")))
    cases.settle(desktop)
    a_panel.ui.measureButton.click()
    assert a_panel.ui.messageLabel.text.startswith("The two segmentations share no name")


def test_structures_are_measured_as_the_library_does(tmp_path):
    from RobustDIRLib.panel import structures

    labels = np.zeros(cases.FIXED_GRID.shape, np.uint8)
    labels[6:12, 7:13, 8:15] = 1
    shift = np.array(cases.FIXED_GRID.array_to_mm @ [0, 0, 2.0])  # two voxels along x, mm, LPS
    field = np.broadcast_to((shift * [-1, -1, 1]).astype(np.float32), (*labels.shape, 3))
    moving = np.roll(labels, 2, axis=2)
    volumes = [Image(array, cases.FIXED_GRID) for array in (labels, moving)]
    for _ in structures.hand_over(tmp_path, *volumes, (field, cases.FIXED_GRID), {1: "block"}):
        pass
    (row,) = structures.measure(tmp_path)
    assert row["label"] == "block"
    assert row["before"] == pytest.approx(5 / 7)
    assert row["after"] == 1.0
    assert row["hd95_mm"] == pytest.approx(0, abs=1e-6)
    assert row["mda_before_mm"] > 0


def test_figures_are_exported(a_panel, sections, dialogs, tmp_path):
    dialogs.answer(str(tmp_path / "figures.csv"))
    a_panel.ui.exportButton.click()
    with open(tmp_path / "figures.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[4][:2] == ["TRE, largest", "mm"]
    assert float(rows[4][2]) == pytest.approx(4, abs=1e-3)
    start = rows.index(["landmark", "before_mm", "after_mm", "improvement_mm"])
    assert rows[start + 1][0] == "point 5"
    assert len(rows) - start - 1 == 6
    assert a_panel.ui.messageLabel.text.startswith("Written to ")


@pytest.mark.parametrize(("name", "words"), [("figures.txt", "go into .csv"), ("gone/figures.csv", "does not exist")])
def test_exports_that_cannot_be_written_are_a_sentence(a_panel, dialogs, tmp_path, name, words):
    dialogs.answer(str(tmp_path / name))
    a_panel.ui.exportButton.click()
    assert words in a_panel.ui.messageLabel.text


def test_the_report_is_of_the_run_and_its_tolerances(a_panel, sections, desktop, dialogs, tmp_path, monkeypatch):
    from RobustDIRLib.panel import reporting

    said = []
    monkeypatch.setattr(
        reporting,
        "library_command",
        lambda *words: said.extend(words) or [sys.executable, "-c", "print('report: done')"],
    )
    edit(a_panel, "TRE, worst", "7", desktop)
    dialogs.answer(str(tmp_path / "report.html"))
    a_panel.ui.reportButton.click()
    desktop.wait_until(lambda: not sections.check._background.busy)
    assert said[:4] == ["report", str(sections.run.last_folder / "result"), "-o", str(tmp_path / "report.html")]
    assert "--tolerance=tre_max_mm=7.0" in said
    assert "--shown" in said
    assert a_panel.ui.messageLabel.text == "The report was written."


def test_a_report_that_fails_is_a_sentence(a_panel, sections, desktop, dialogs, tmp_path, monkeypatch):
    from RobustDIRLib.panel import reporting

    code = "import sys; print('robustdir: reports need jinja2.', file=sys.stderr); sys.exit(2)"
    monkeypatch.setattr(reporting, "library_command", lambda *_: [sys.executable, "-c", code])
    dialogs.answer(str(tmp_path / "report.html"))
    a_panel.ui.reportButton.click()
    desktop.wait_until(lambda: not sections.check._background.busy)
    assert a_panel.ui.messageLabel.text == "reports need jinja2."


def test_the_section_fits_a_common_screen(a_panel, desktop):
    from test_panel_style import height_of

    for name in ("inputs", "method", "outputs", "look", "check", "apply"):
        getattr(a_panel.ui, f"{name}CollapsibleButton").collapsed = name != "check"
    cases.settle(desktop)
    assert a_panel.ui.landmarkTable.rowCount > 4
    assert 600 < height_of(a_panel) <= 1080
