"""The tab Runs on the panel's real files: listed, watched, stopped, compared, deleted; plots; models published."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

import runner_cases as cases
from panel_cases import settle
from RobustDIRLib.runner import watching
from RobustDIRLib.runner.states import RunState

SHIPPED = ["generic", "brain-mri", "hippocampus-mri", "lung-ct"]  # models


@pytest.fixture
def tab(train_panel, monkeypatch):
    """The tab, in front; what it starts is the stand-in."""
    begin = watching.start
    monkeypatch.setattr(watching, "start", lambda folder, words: begin(folder, words, program=cases.PROGRAM))
    panel = train_panel.widget.panel
    panel.show_tab("runsTab")
    yield panel.runs
    panel.runs.board.kill_all()


def rows(ui):
    table = ui.runsTable
    return [[table.item(r, c).text() for c in range(table.columnCount)] for r in range(table.rowCount)]


def begin(tab, runs_folder, name="first", *words):
    folder = runs_folder / name
    tab.begin(folder, ["finetune", "--output", str(folder), *words])
    return folder


def wait(tab, desktop, condition, seconds=30):
    desktop.wait_until(lambda: tab.entry is not None and condition(tab.entry), seconds)
    settle(desktop)


def test_an_empty_folder_says_what_to_do(tab, train_panel, desktop):
    desktop.wait_until(lambda: "no runs" in train_panel.ui.runNote.text)
    for name in ("stopRun", "pauseRun", "resumeRun", "deleteRun", "openRunFolder", "publish"):
        assert not getattr(train_panel.ui, f"{name}Button").enabled


def test_a_run_is_watched_paused_stopped_and_resumed(tab, train_panel, desktop, runs_folder):
    ui = train_panel.ui
    begin(tab, runs_folder)
    wait(tab, desktop, lambda e: e.state is RunState.RUNNING and e.best.get("tre_mm", 9) < 9)
    (row,) = rows(ui)
    assert row[:2] == ["first", "running"] and "Fine-tuning, begun 20" in ui.runNote.text
    assert row[2].endswith(" / 2000") and row[3].startswith("0.5") and float(row[4]) < 9 and row[5]
    assert ui.runsTable.currentRow() == 0
    assert not ui.deleteRunButton.enabled and not ui.resumeRunButton.enabled
    ui.pauseRunButton.click()
    wait(tab, desktop, lambda e: e.state is RunState.PAUSED)
    assert ui.pauseRunButton.checked and rows(ui)[0][1] == "paused"
    ui.pauseRunButton.click()
    wait(tab, desktop, lambda e: e.state is RunState.RUNNING)
    assert not ui.pauseRunButton.checked
    ui.stopRunButton.click()
    wait(tab, desktop, lambda e: e.state is RunState.STOPPED)
    assert "can be resumed" in ui.runNote.text
    step = tab.entry.step
    ui.resumeRunButton.click()
    wait(tab, desktop, lambda e: e.state is RunState.RUNNING and e.step > step)


def test_runs_outlive_the_scene_and_the_panel(tab, train_panel, desktop, runs_folder, scene, open_panel):
    folder = begin(tab, runs_folder)
    wait(tab, desktop, lambda e: e.state is RunState.RUNNING)
    pid = tab.board.watched[folder].process_id
    scene.Clear(0)
    settle(desktop)
    wait(tab, desktop, lambda e: e.state is RunState.RUNNING)
    train_panel.close()
    again = open_panel("RobustDIRTrain")
    runs = again.widget.panel.runs
    desktop.wait_until(lambda: folder in runs.board.watched)
    assert runs.board.watched[folder].process_id == pid
    runs.select(folder)
    again.ui.stopRunButton.click()
    wait(runs, desktop, lambda e: e.state is RunState.STOPPED)
    again.close()
    tab.board.poll(1.0)  # it was this very process that started it
    assert cases.gone(pid)


class TestCurves:
    def charts(self):
        import slicer

        nodes = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
        return {node.GetTitle(): node for node in nodes}

    def shown(self):
        import slicer

        views = slicer.util.getNodesByClass("vtkMRMLPlotViewNode")
        ids = {node.GetPlotChartNodeID() for node in views if node.GetLayoutName().startswith("RobustDIRPlot")}
        return {title for title, node in self.charts().items() if node.GetID() in ids}

    def points(self, title):
        chart = self.charts()[title]
        found = {}
        for k in range(chart.GetNumberOfPlotSeriesNodes()):
            series = chart.GetNthPlotSeriesNode(k)
            table = series.GetTableNode().GetTable()
            x, y = (table.GetColumnByName(name) for name in ("x", "y"))
            found[series.GetName()] = [(x.GetValue(i), y.GetValue(i)) for i in range(x.GetNumberOfTuples())]
        return found

    def last(self, title):
        """Of the first curve, the x of its last point, as `points` would take long to say again and again."""
        x = self.charts()[title].GetNthPlotSeriesNode(0).GetTableNode().GetTable().GetColumnByName("x")
        return x.GetValue(x.GetNumberOfTuples() - 1) if x.GetNumberOfTuples() else None

    def test_they_follow_the_records_and_go_without_a_trace(self, tab, train_panel, desktop, runs_folder, scene):
        from RobustDIRLib.panelparts import views

        layout, before = views.layout_node().GetViewArrangement(), scene.GetNumberOfNodes()
        folder = cases.a_finished_run(runs_folder / "old", records=40, final="")
        tab.select(folder)
        train_panel.ui.curvesButton.click()
        desktop.wait_until(lambda: "Loss" in self.charts())
        settle(desktop)
        assert self.shown() == {"Loss", "Dice"}
        records = [json.loads(line) for line in (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()]
        expected = [(r["step"], r["loss"]) for r in records if r["kind"] == "step"]
        np.testing.assert_allclose(self.points("Loss")["learning"], expected)
        expected = [(r["step"], r["dice"]) for r in records if r["kind"] == "epoch"]
        np.testing.assert_allclose(self.points("Dice")["validation"], expected)
        with (folder / "records.jsonl").open("a") as file:
            file.write(json.dumps({"kind": "epoch", "step": 45, "epoch": 9, "dice": 0.25, "tre_mm": 3.5}) + "\n")
        desktop.wait_until(lambda: len(self.charts()) == 3)
        assert self.points("Dice")["validation"][-1] == (45, 0.25)
        assert self.points("Landmark error (TRE)") == {"validation": [(45, 3.5)]}
        for node in self.charts().values():
            assert not node.GetSaveWithScene() and node.GetHideFromEditors()
        train_panel.ui.curvesButton.click()
        settle(desktop)
        assert self.charts() == {}
        assert views.layout_node().GetViewArrangement() == layout
        plot_views = 3  # which stay, as the views of any layout do
        assert scene.GetNumberOfNodes() <= before + plot_views

    def test_two_runs_are_compared(self, tab, train_panel, desktop, runs_folder):
        first = cases.a_finished_run(runs_folder / "one", records=40)
        cases.a_finished_run(runs_folder / "two", records=60)
        desktop.wait_until(lambda: train_panel.ui.runsTable.rowCount == 2)
        tab.select(first)
        combo = train_panel.ui.compareSelector
        assert [combo.itemText(k) for k in range(combo.count)] == ["none", "two"]
        combo.setCurrentIndex(1)
        train_panel.ui.curvesButton.click()
        desktop.wait_until(lambda: "Dice" in self.charts() and len(self.points("Dice")) == 2)
        assert set(self.points("Dice")) == {"one: validation", "two: validation"}
        desktop.wait_until(lambda: "Dice at step 40: 0.78 in one, 0.78 in two" in train_panel.ui.compareNote.text)
        combo.setCurrentIndex(0)
        desktop.wait_until(lambda: len(self.points("Dice")) == 1)
        assert train_panel.ui.compareNote.text == ""

    def test_a_closed_scene_takes_them_along(self, tab, train_panel, desktop, runs_folder, scene):
        tab.select(cases.a_finished_run(runs_folder / "one", records=40))
        train_panel.ui.curvesButton.click()
        desktop.wait_until(lambda: "Loss" in self.charts())
        scene.Clear(0)
        settle(desktop)
        assert self.charts() == {}
        train_panel.ui.curvesButton.click()
        desktop.wait_until(lambda: "Loss" in self.charts())
        assert len(self.points("Loss")["learning"]) == 40

    def test_ten_thousand_records_are_drawn_to_the_last_in_a_thousand_points(
        self, tab, train_panel, desktop, runs_folder
    ):
        tab.select(cases.a_finished_run(runs_folder / "long", records=10_000))
        train_panel.ui.curvesButton.click()
        desktop.wait_until(lambda: "Loss" in self.charts() and self.last("Loss") == 10_000)
        assert len(self.points("Loss")["learning"]) <= 1000


def test_deleting_asks(tab, train_panel, desktop, dialogs, runs_folder):
    folder = cases.a_finished_run(runs_folder / "old")
    (folder / "mine.txt").touch()
    desktop.wait_until(lambda: train_panel.ui.runsTable.rowCount == 1)
    train_panel.ui.runsTable.selectRow(0)
    settle(desktop)
    dialogs.answer("No", "Yes")
    train_panel.ui.deleteRunButton.click()
    assert (folder / "run.json").exists()
    assert "“old”" in dialogs.texts[0]
    train_panel.ui.deleteRunButton.click()
    settle(desktop)
    assert os.listdir(folder) == ["mine.txt"]
    assert "mine.txt" in train_panel.ui.messageLabel.text
    assert train_panel.ui.runsTable.rowCount == 0


def test_a_refusal_is_one_sentence(tab, train_panel, desktop, runs_folder):
    folder = begin(tab, runs_folder)
    wait(tab, desktop, lambda e: e.state is RunState.RUNNING)
    tab._asking(tab.board.resume)()
    assert "at work in this folder" in train_panel.ui.messageLabel.text
    assert tab.board.watched[folder].state is RunState.RUNNING


def test_the_log_is_for_people(tab, train_panel, desktop, runs_folder):
    train_panel.ui.runLogCollapsibleButton.collapsed = False
    begin(tab, runs_folder, "first", "--fail", "robustdir: the disk is made of cheese; use another.")
    wait(tab, desktop, lambda e: e.state is RunState.FAILED)
    desktop.wait_until(lambda: "cheese" in train_panel.ui.runLogText.plainText)
    assert "made of cheese" in train_panel.ui.runNote.text
    (runs_folder / "first" / "process.json").unlink()
    lines = '{"kind": "note", "message": "a word"}\n{"kind": "pair"}\nplain\n'
    (runs_folder / "first" / "output.txt").write_text(lines)
    desktop.wait_until(lambda: train_panel.ui.runLogText.plainText == "a word\nplain")


def test_opening_its_folder(tab, train_panel, desktop, runs_folder, monkeypatch):
    import qt

    opened = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", staticmethod(lambda url: opened.append(url.toLocalFile())))
    tab.select(cases.a_finished_run(runs_folder / "old"))
    desktop.wait_until(lambda: train_panel.ui.openRunFolderButton.enabled)
    train_panel.ui.openRunFolderButton.click()
    assert [Path(each) for each in opened] == [runs_folder / "old"]


def test_a_new_run_leaves_the_chosen_one_chosen(tab, train_panel, desktop, runs_folder):
    for number in range(5):
        cases.a_finished_run(runs_folder / f"run{number}", records=20)
        os.utime(runs_folder / f"run{number}" / "run.json", (1e9 + number,) * 2)
    table = train_panel.ui.runsTable
    desktop.wait_until(lambda: table.rowCount == 5)
    assert [row[0] for row in rows(train_panel.ui)] == ["run4", "run3", "run2", "run1", "run0"]
    table.selectRow(3)
    cases.a_finished_run(runs_folder / "newest")
    desktop.wait_until(lambda: table.rowCount == 6)
    assert table.currentRow() == 4
    assert tab.selected == runs_folder / "run1"


@pytest.mark.parametrize(
    ("chosen", "watch", "expected"), [("old", True, "new"), ("old", False, "old"), ("", False, "new")]
)
def test_a_run_that_is_begun_is_watched_unless_another_is_to_stay(
    tab, runs_folder, monkeypatch, desktop, chosen, watch, expected
):
    old = cases.a_finished_run(runs_folder / "old")
    desktop.wait_until(lambda: tab.board.entry(old) is not None)
    monkeypatch.setattr(tab.board, "start", lambda folder, words: folder.mkdir())
    tab.select(old if chosen else None)
    tab.begin(runs_folder / "new", ["evaluate"], watch)
    assert tab.selected == runs_folder / expected


def test_a_hundred_runs_are_all_listed_the_last_begun_first(tab, train_panel, desktop, runs_folder):
    for number in range(100):
        folder = cases.a_finished_run(runs_folder / f"run{number:02}", records=5)
        os.utime(folder / "run.json", (1e9 + number,) * 2)
    desktop.wait_until(lambda: train_panel.ui.runsTable.rowCount == 100)
    assert [row[0] for row in rows(train_panel.ui)] == [f"run{number:02}" for number in reversed(range(100))]
    assert all(row[2] == "1 / 1" for row in rows(train_panel.ui))


class TestModels:
    @pytest.fixture(autouse=True)
    def own(self, tmp_path, monkeypatch):
        monkeypatch.setenv("ROBUSTDIR_MODELS", str(tmp_path / "models"))
        return tmp_path / "models"

    @pytest.fixture
    def taught(self, runs_folder):
        """A run with a model of a small network."""
        import torch

        from RobustDIRLib.model_file import save_model
        from RobustDIRLib.networks.build import build_network

        torch.manual_seed(0)
        network = {"kind": "pyramid", "encoder": [4, 4], "decoder": [4, 4], "depth": [1, 1], "radius": [1, 1]}
        folder = cases.a_finished_run(runs_folder / "taught")
        save_model(folder / "weights.pt", build_network(network), {"name": "taught", "epoch": 3})
        return folder

    def names(self, ui):
        return [ui.modelsTable.item(row, 0).text() for row in range(ui.modelsTable.rowCount)]

    def finish(self, tab, desktop):
        desktop.wait_until(lambda: not tab.models.busy, 120)
        settle(desktop)

    def test_published_exported_removed_and_brought_in(
        self, tab, train_panel, desktop, dialogs, taught, own, open_panel, tmp_path
    ):
        ui, other = train_panel.ui, open_panel("RobustDIR")
        tab.select(taught)
        for name, text in (("Name", "mine"), ("Anatomy", "hippocampus"), ("Licence", "CC BY 4.0"), ("Notes", "-x=1")):
            getattr(ui, f"publish{name}Edit").setText(text)
        desktop.wait_until(lambda: ui.publishButton.enabled)
        ui.publishButton.click()
        assert not ui.publishButton.enabled
        self.finish(tab, desktop)
        assert ui.messageLabel.text == "“mine” is one of your models now."
        assert self.names(ui) == [*SHIPPED, "mine"]
        card = (own / "mine" / "card.md").read_text(encoding="utf-8")
        assert "- anatomy: hippocampus\n" in card and "- licence: CC BY 4.0\n" in card and "- notes: -x=1\n" in card
        offered = other.ui.modelSelector
        assert "mine (yours)" in [offered.itemText(k) for k in range(offered.count)]
        ui.publishButton.click()  # the name is taken now
        self.finish(tab, desktop)
        assert "is there already" in ui.messageLabel.text

        ui.modelsTable.selectRow(0)
        assert not ui.removeModelButton.enabled and ui.exportModelButton.enabled
        ui.modelsTable.selectRow(len(SHIPPED))
        dialogs.answer(str(tmp_path / "given.pt"))
        ui.exportModelButton.click()
        self.finish(tab, desktop)
        dialogs.answer("Yes")
        ui.modelsTable.selectRow(len(SHIPPED))
        ui.removeModelButton.click()
        settle(desktop)
        assert self.names(ui) == SHIPPED and not (own / "mine").exists()
        dialogs.answer(str(tmp_path / "given.pt"))
        ui.importModelButton.click()
        self.finish(tab, desktop)
        assert self.names(ui) == [*SHIPPED, "mine"]
        assert "- anatomy: hippocampus" in (own / "mine" / "card.md").read_text(encoding="utf-8")

        for name, said in (("", "is there already"), ("a b", "cannot name a model"), ("other", "given.pt is one of")):
            dialogs.answer(str(tmp_path / "given.pt"), name)  # its own name is taken: another is asked for
            ui.importModelButton.click()
            self.finish(tab, desktop)
            assert said in ui.messageLabel.text and not dialogs.unused_answers
        assert self.names(ui) == [*SHIPPED, "mine", "other"]
        (tmp_path / "given.pt").write_text("a file of before")
        ui.modelsTable.selectRow(len(SHIPPED) + 1)
        dialogs.answer(str(tmp_path / "given.pt"))
        ui.exportModelButton.click()  # the dialog asks whether it may be replaced
        self.finish(tab, desktop)
        assert (tmp_path / "given.pt").read_bytes() == (own / "other" / "weights.pt").read_bytes()

    def test_a_file_that_is_no_model_is_refused(self, tab, train_panel, desktop, dialogs, tmp_path):
        (tmp_path / "fake.pt").write_text("not a model")
        dialogs.answer(str(tmp_path / "fake.pt"))
        train_panel.ui.importModelButton.click()
        self.finish(tab, desktop)
        assert "fake.pt" in train_panel.ui.messageLabel.text and "Traceback" not in train_panel.ui.messageLabel.text
        assert self.names(train_panel.ui) == SHIPPED


def test_closing_leaves_no_timer_running(train_panel, desktop):
    runs = train_panel.widget.panel.runs
    train_panel.close()
    ticks = runs._ticks
    time.sleep(0.3)
    desktop.process_events(3)
    assert runs._ticks == ticks
