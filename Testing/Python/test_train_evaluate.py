"""The tab Evaluate on the panel's real files: the form, tables, tests, plots, and a case in the views."""

import json
from pathlib import Path

import numpy as np
import pytest

import cohort_cases as cases
from panel_cases import settle
from RobustDIRLib.cohort import run as running
from RobustDIRLib.datasets.opening import open_dataset
from train_panel_cases import play_here


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three cases by methods of the command line and by two stand-ins, one of which refuses all."""
    home = tmp_path_factory.mktemp("made")
    cases.write_dataset(home / "data", 3)
    with pytest.MonkeyPatch.context() as monkeypatch:
        cases.stand_in(monkeypatch)
        monkeypatch.setattr(running, "open_dataset", open_dataset)
        known = {**cases.METHODS, "none": cases.Still("none")}
        monkeypatch.setattr(running, "find_method", lambda name, device="auto": known[name])
        request = running.Request(home / "data", ("none", "fair", "refusing"), worst=0, command="robustdir evaluate x")
        running.evaluate(request, home / "runs" / "first", cases.Ear())
    return home


@pytest.fixture
def tab(made, train_panel, desktop):
    """The tab, in front, on a runs folder with that evaluation."""
    panel = train_panel.widget.panel
    train_panel.ui.runsFolderButton.directory = str(made / "runs")
    panel.show_tab("evaluateTab")
    return panel.evaluate


def texts(table):
    return [[table.item(r, c).text() for c in range(table.columnCount)] for r in range(table.rowCount)]


def headers(table):
    return [table.horizontalHeaderItem(c).text() for c in range(table.columnCount)]


def shown(tab, desktop):
    desktop.wait_until(lambda: tab.found is not None, 15)
    settle(desktop)
    return tab.ui


def charts():
    import slicer

    return {node.GetTitle(): node for node in slicer.util.getNodesByClass("vtkMRMLPlotChartNode")}


def series(chart):
    return [chart.GetNthPlotSeriesNode(k) for k in range(chart.GetNumberOfPlotSeriesNodes())]


def test_an_evaluation_in_the_runs_folder_is_shown(tab, desktop):
    ui = shown(tab, desktop)
    assert headers(ui.caseTable) == ["Case", "before", "none", "fair", "refusing"]
    start = [np.linalg.norm(cases.shift_of(k)) for k in range(3)]
    expected = [[f"case{k}", f"{d:.2f}", f"{d:.2f}", "2.00", "failed"] for k, d in enumerate(start)]
    median = f"{np.median(start):.2f}"
    assert texts(ui.caseTable) == [*expected, ["median", median, median, "2.00", ""]]
    assert ui.caseTable.item(0, 4).toolTip() == "the pair is too hard; give another."
    assert "3 registrations failed" in ui.evaluationNote.text
    compared = {row[0]: row[1:] for row in texts(ui.testsTable)}
    assert compared["fair − before"][0] == "3" and compared["fair − before"][1].startswith("-")
    assert compared["fair − before"][2] == "0.250"
    assert compared["none − before"][2:] == ["", ""]


def test_another_measure(tab, desktop):
    ui = shown(tab, desktop)
    names = [ui.measureSelector.itemText(k) for k in range(ui.measureSelector.count)]
    assert "TRE, mean, mm" in names and "Dice" in names
    ui.measureSelector.setCurrentIndex(names.index("Dice"))
    settle(desktop)
    assert all(0 < float(row[3]) <= 1 for row in texts(ui.caseTable))
    ui.measureSelector.setCurrentIndex(names.index("Time, s"))
    settle(desktop)
    assert headers(ui.caseTable) == ["Case", "none", "fair", "refusing"]
    assert ui.testsTable.rowCount == 0 and "not tested" in ui.testsNote.text


def test_plots_of_errors_and_boxes(tab, desktop):
    from RobustDIRLib.panelparts import views

    ui, layout = shown(tab, desktop), views.layout_node().GetViewArrangement()
    ui.cumulativeButton.click()
    ui.boxesButton.click()
    desktop.wait_until(lambda: len(charts()) == 2)
    curves = {node.GetName(): node.GetTableNode().GetTable() for node in series(charts()["Landmark errors"])}
    assert list(curves) == ["1 before", "2 none", "3 fair"]
    x = [curves["3 fair"].GetValue(k, 0).ToDouble() for k in range(curves["3 fair"].GetNumberOfRows())]
    assert x[0] == 0 and np.allclose(x[1:], 2.0, atol=1e-3)
    boxes = {node.GetName(): node.GetTableNode() for node in series(charts()["TRE, mean"])}
    assert list(boxes) == ["1 before", "2 none", "3 fair"] and charts()["TRE, mean"].GetLegendVisibility()
    values = boxes["3 fair"].GetTable()
    assert np.allclose([values.GetValue(k, 1).ToDouble() for k in range(values.GetNumberOfRows())], 2.0, atol=1e-3)
    assert views.shows_charts()
    ui.curvesButton.setChecked(True)  # those of runs take their place
    settle(desktop)
    assert not ui.cumulativeButton.checked and charts() == {}
    ui.curvesButton.setChecked(False)
    assert views.layout_node().GetViewArrangement() == layout


def test_the_report_is_written_and_opened(tab, desktop, monkeypatch):
    import qt

    play_here(monkeypatch)
    ui, opened = shown(tab, desktop), []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", staticmethod(lambda url: opened.append(url.toLocalFile())))
    ui.reportEvaluationButton.click()
    desktop.wait_until(lambda: not tab._report.busy, 60)
    settle(desktop)
    assert [Path(each) for each in opened] == [tab.folder / "report.html"], ui.messageLabel.text
    assert "fair" in (tab.folder / "report.html").read_text(encoding="utf-8")


def test_the_form_starts_an_evaluation(tab, desktop, monkeypatch, tmp_path, made):
    from RobustDIRLib.trainpanel.home import runs_home

    ui, started = shown(tab, desktop), []
    (runs_home() / "tuned").mkdir(exist_ok=True)
    for name, content in (("split.json", {"test": ["a"]}), ("run.json", {"dataset": "d", "judge": "auto"})):
        (runs_home() / "tuned" / name).write_text(json.dumps(content))
    for name in ("weights.pt", "records.jsonl"):
        (runs_home() / "tuned" / name).touch()
    monkeypatch.setattr(tab.panel.runs, "begin", lambda *of, watch: started.append((*of, watch)))
    assert not ui.evaluateButton.enabled and "data set" in ui.evaluateNote.text
    ui.evaluationDataEdit.currentPath = str(made / "data")
    methods = ui.evaluationMethodsList
    desktop.wait_until(lambda: any("“tuned”" in methods.item(k).text() for k in range(methods.count)))
    tab.form.tick("none", "demons", str(runs_home() / "tuned" / "weights.pt"))
    combo = ui.evaluationSubjectsSelector
    combo.setCurrentIndex([combo.itemText(k) for k in range(combo.count)].index("test patients of “tuned”"))
    ui.evaluationLimitSpinBox.value = 2
    settle(desktop)
    assert ui.evaluateButton.enabled
    ui.evaluateButton.click()
    ((folder, words, watch),) = started
    assert not watch  # the run whose model is judged stays selected, and can be published
    assert folder.parent == runs_home() and folder.is_dir()
    tuned = runs_home() / "tuned"
    assert words == [
        "evaluate", str(made / "data"), "--output", str(folder), f"--methods=none,{tuned / 'weights.pt'},demons",
        "--subjects", str(tuned / "split.json"), "--limit", "2", "--progress", "json",
    ]  # fmt: skip
    ui.evaluationDataEdit.currentPath = str(tmp_path / "moved")
    settle(desktop)
    ui.evaluateButton.click()
    assert "moved is not there" in ui.messageLabel.text
    tab.form.tick()
    settle(desktop)
    assert not ui.evaluateButton.enabled and "one method" in ui.evaluateNote.text


def test_a_case_in_the_views_with_its_errors_and_back(tab, desktop, scene):
    """By a process of its own; of the images as they lie, so that the error is the shift."""
    import slicer

    from RobustDIRLib.mrml.vectors import LENGTH
    from RobustDIRLib.panelparts import views

    ui = shown(tab, desktop)
    layers = views.Snapshot.take().layers
    before = scene.GetNumberOfNodes()
    ui.caseTable.cellClicked.emit(1, 2)
    desktop.wait_until(lambda: tab.look._background._job is not None, 180)  # started as tests start commands
    with desktop.LongestPause() as pause:
        desktop.wait_until(lambda: tab.look.shown or (ui.lookedAtNote.text and not tab.look.busy), 180)
    settle(desktop)
    shift = cases.shift_of(1)
    error = np.linalg.norm(shift)
    assert f"mean landmark error {error:.2f} mm, {error:.2f} mm before" in ui.lookedAtNote.text
    nodes = tab.look.nodes
    fixed, moving = nodes.volumes["fixed"], nodes.volumes["moving"]
    composite = views.composites()[0]
    assert composite.GetBackgroundVolumeID() == fixed.GetID()
    assert composite.GetForegroundVolumeID() == moving.GetID()
    assert moving.GetTransformNodeID() == nodes.transform.GetID()
    assert nodes.transform.GetDisplayNode().GetVisibility2D()
    (model,) = [n for n in slicer.util.getNodesByClass("vtkMRMLModelNode") if n.GetName().endswith("errors")]
    data = model.GetPolyData()
    lengths = data.GetCellData().GetArray(LENGTH)
    assert [lengths.GetValue(k) for k in range(data.GetNumberOfCells())] == pytest.approx([error] * len(cases.POINTS))
    points = slicer.util.arrayFromModelPoints(model)
    np.testing.assert_allclose(points[0::2], cases.POINTS * [-1, -1, 1], atol=1e-3)
    np.testing.assert_allclose(points[1::2], (cases.POINTS + shift) * [-1, -1, 1], atol=1e-3)
    assert not any(node.GetSaveWithScene() for node in (*nodes.all, model))
    assert pause.seconds < 5  # measured closely in Testing/Benchmarks
    ui.closeCaseButton.click()
    settle(desktop)
    assert scene.GetNumberOfNodes() <= before + 1  # a colour table may have been made
    assert views.Snapshot.take().layers == layers
    assert not ui.closeCaseButton.visible


def test_what_cannot_be_shown_is_said(tab, desktop):
    ui = shown(tab, desktop)
    ui.caseTable.cellClicked.emit(3, 1)  # the medians
    assert not tab.look.busy
    (tab.folder.parents[1] / "data").rename(tab.folder.parents[1] / "away")
    try:
        ui.caseTable.cellClicked.emit(0, 2)
        desktop.wait_until(lambda: not tab.look.busy, 180)
        assert str(tab.folder.parents[1] / "data") in ui.lookedAtNote.text
        assert not tab.look.shown
    finally:
        (tab.folder.parents[1] / "away").rename(tab.folder.parents[1] / "data")
