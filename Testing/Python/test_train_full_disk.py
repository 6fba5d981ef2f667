"""RobustDIRTrain on a full disk: one sentence, nothing lost or half-written, and on it goes once there is room."""

import json

import numpy as np
import pytest

import runner_cases
from full_disk import Disk
from panel_cases import contents, landmark_nodes, segmentation_nodes, settle, volume_nodes
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.runner import watching
from RobustDIRLib.runner.states import RunState
from test_train_data import choose, write_set
from test_train_tab import a_tab  # noqa: F401 - a fixture
from train_panel_cases import play_here

SMALL = {"kind": "pyramid", "encoder": [4, 4], "decoder": [4, 4], "depth": [1, 1], "radius": [1, 1]}


@pytest.fixture(params=["disk", "limit"])
def disk(request, desktop, monkeypatch, tmp_path):
    """All that the panel writes lies on a disk of its own; files may not grow, where none can be mounted."""
    import qt
    import slicer

    disk = Disk(tmp_path / "disk", own=request.param == "disk")
    if request.param == "disk" and not disk.mounted:
        pytest.skip("no disk can be mounted here")
    for name in ("temporary", "models"):
        (disk.folder / name).mkdir()
    monkeypatch.setattr(slicer.app, "temporaryPath", str(disk.folder / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", str(disk.folder / "temporary"))
    monkeypatch.setenv("ROBUSTDIR_MODELS", str(disk.folder / "models"))
    settings = qt.QSettings(str(disk.folder / "Slicer.ini"), qt.QSettings.IniFormat)
    monkeypatch.setattr(slicer.app, "_settings", settings)
    yield disk
    disk.close()


@pytest.fixture
def runs_folder(disk):
    from RobustDIRLib.trainpanel.home import set_runs_home

    set_runs_home(disk.folder / "runs")
    return disk.folder / "runs"


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(text, *words):
    """One sentence that tells what to do."""
    assert "free some space" in text and text.endswith(".") and "\n" not in text, text
    assert "mistake" not in text and "Traceback" not in text and "register again" not in text, text
    assert all(word in text for word in words), text


@pytest.mark.parametrize("room", [0, 12_000])
def test_pairs_of_the_scene(disk, runs_folder, train_panel, desktop, scene, room, monkeypatch):
    """The disk is full from the beginning, or within the first volume."""
    play_here(monkeypatch)
    panel, ui = train_panel.widget.panel, train_panel.ui
    nodes = [*volume_nodes(), *segmentation_nodes(), *landmark_nodes()]
    names = ("Volume", "Segmentation", "Landmarks")
    for name, both in zip(names, (nodes[:2], nodes[2:4], nodes[4:]), strict=True):
        for side, node in zip(("Fixed", "Moving"), both, strict=True):
            setattr(panel.parameters, f"pair{side}{name}", node)
    choose(panel.data.source, "scene")
    ui.dataNameEdit.text = "mine"
    settle(desktop)
    ui.addPairButton.click()
    settle(desktop)
    before = contents(scene)
    with disk.full(room):
        ui.openDataButton.click()
        desktop.wait_until(lambda: not panel.data.busy)
        settle(desktop)
        refused(ui.dataNote.text, str(runs_folder))
        assert list((runs_folder / "data_sets").iterdir()) == []
        assert contents(scene).keys() == before.keys() and ui.pairsTable.rowCount == 1
    ui.openDataButton.click()
    desktop.wait_until(lambda: not panel.data.busy)
    [case] = open_dataset(runs_folder / "data_sets" / "mine").cases
    assert np.ptp(case.load().moving.array) > 0


def test_presets_of_ones_own(disk, runs_folder, a_tab, desktop):  # noqa: F811
    import qt
    import slicer

    from RobustDIRLib.trainpanel import presets

    ui, panel = a_tab.ui, a_tab.widget.panel
    ui.epochsBox.value = 7
    ui.presetNameEdit.text = "first"
    ui.savePresetButton.click()
    ui.epochsBox.value = 9
    ui.presetNameEdit.text = "second"
    settle(desktop)
    with disk.full():
        ui.savePresetButton.click()
        settle(desktop)
        refused(ui.messageLabel.text, "Slicer.ini")
        assert list(presets.own_presets()) == ["first"] and panel.parameters.epochs == 9
        choose(panel.train.preset, "own:first")
        settle(desktop)
        ui.removePresetButton.click()
        settle(desktop)
        refused(ui.messageLabel.text, "Slicer.ini")
        ui.runsFolderButton.directory = str(disk.folder / "elsewhere")
        settle(desktop)
        refused(ui.messageLabel.text, "Slicer.ini")
        assert ui.runsFolderButton.directory == str(runs_folder)
    read_anew = qt.QSettings(slicer.app.settings().fileName(), qt.QSettings.IniFormat)
    assert list(json.loads(read_anew.value(presets.SETTING))) == ["first"]
    ui.savePresetButton.click()
    settle(desktop)
    assert ui.messageLabel.text == "" and list(presets.own_presets()) == ["first", "second"]


@pytest.mark.parametrize("room", [0, 4096])
def test_a_run_is_started(disk, runs_folder, a_tab, desktop, monkeypatch, room):  # noqa: F811
    """No room for its settings, or none to say who was started."""
    if room and not disk.mounted:
        pytest.skip("files that may not grow are alike small")
    begin, processes = watching.start, []

    def start(folder, words):
        processes.append(begin(folder, words, program=runner_cases.PROGRAM))
        return processes[-1]

    monkeypatch.setattr(watching, "start", start)
    ui = a_tab.ui
    with disk.full(room):
        ui.startRunButton.click()
        settle(desktop)
        refused(ui.messageLabel.text, str(runs_folder))
        assert list(runs_folder.iterdir()) == [] and not processes
    ui.startRunButton.click()
    settle(desktop)
    assert "Started in" in ui.messageLabel.text and processes
    a_tab.widget.panel.runs.board.kill_all()


def test_a_run_fills_the_disk_while_it_is_watched_and_is_resumed(disk, runs_folder, train_panel, desktop, monkeypatch):
    begin = watching.start
    monkeypatch.setattr(watching, "start", lambda folder, words: begin(folder, words, program=runner_cases.PROGRAM))
    panel, ui, folder = train_panel.widget.panel, train_panel.ui, runs_folder / "mine"
    panel.show_tab("runsTab")
    runs_folder.mkdir()
    with disk.full(20_000):
        panel.runs.begin(folder, ["finetune", "--output", str(folder)])
        ui.curvesButton.click()
        desktop.wait_until(lambda: panel.runs.entry is not None and panel.runs.entry.state is RunState.FAILED)
        settle(desktop)
        refused(ui.runNote.text, "resume the run")
        assert ui.resumeRunButton.enabled and panel.runs.curves.shown
        ui.resumeRunButton.click()  # there is no room yet
        desktop.wait_until(lambda: folder not in panel.runs.board.watched)
        settle(desktop)
        refused(ui.messageLabel.text or ui.runNote.text)
    step = int((folder / "checkpoint.pt").read_text(encoding="utf-8"))
    ui.resumeRunButton.click()
    desktop.wait_until(lambda: panel.runs.entry.state is RunState.RUNNING and panel.runs.entry.step > step)
    ui.stopRunButton.click()
    desktop.wait_until(lambda: panel.runs.entry.state is RunState.STOPPED)
    ui.curvesButton.click()


class TestModels:
    @pytest.fixture
    def models(self, runs_folder, train_panel, desktop, monkeypatch):
        """The panel, on a run with a model of a small network, and a model of the user's own."""
        import torch

        from RobustDIRLib.model_file import save_model
        from RobustDIRLib.model_store import add_model
        from RobustDIRLib.networks.build import build_network

        play_here(monkeypatch)
        torch.manual_seed(0)
        folder = runner_cases.a_finished_run(runs_folder / "taught")
        save_model(folder / "weights.pt", build_network(SMALL), {"name": "taught", "epoch": 3})
        add_model(folder / "weights.pt", "earlier")
        train_panel.widget.panel.runs.select(folder)
        train_panel.widget.panel.runs.models.refresh()
        train_panel.ui.publishNameEdit.setText("mine")
        train_panel.ui.publishAnatomyEdit.setText("hippocampus")
        desktop.wait_until(lambda: train_panel.ui.publishButton.enabled)
        return train_panel

    def click(self, panel, desktop, button):
        button.click()
        desktop.wait_until(lambda: not panel.widget.panel.runs.models.busy)
        settle(desktop)

    def test_published(self, disk, models, desktop):
        before = files(disk.folder / "models")
        with disk.full():
            self.click(models, desktop, models.ui.publishButton)
            refused(models.ui.messageLabel.text, "mine")
            assert files(disk.folder / "models") == before
        self.click(models, desktop, models.ui.publishButton)
        assert models.ui.messageLabel.text == "“mine” is one of your models now."

    def test_exported_and_brought_in(self, disk, models, desktop, dialogs, tmp_path):
        ui, given = models.ui, disk.folder / "given.pt"
        ui.modelsTable.selectRow(ui.modelsTable.rowCount - 1)
        dialogs.answer(str(given), str(given))
        with disk.full():
            self.click(models, desktop, ui.exportModelButton)
            refused(ui.messageLabel.text, str(given))
            assert not given.exists()
        ui.modelsTable.selectRow(ui.modelsTable.rowCount - 1)
        self.click(models, desktop, ui.exportModelButton)
        assert given.exists(), ui.messageLabel.text
        (disk.folder / "other.pt").write_bytes(given.read_bytes())
        given.unlink()
        from RobustDIRLib.model_store import remove_model

        remove_model("earlier")
        before = files(disk.folder / "models")
        dialogs.answer(str(disk.folder / "other.pt"), str(disk.folder / "other.pt"))
        with disk.full():
            self.click(models, desktop, ui.importModelButton)
            refused(ui.messageLabel.text, "earlier")
            assert files(disk.folder / "models") == before
        self.click(models, desktop, ui.importModelButton)
        assert ui.messageLabel.text == "The model of other.pt is one of yours now."


def test_what_the_panel_asks_processes_for(disk, runs_folder, train_panel, desktop, monkeypatch, tmp_path):
    """A data set is looked through, shared out as the user says, described by patterns, and one of its cases shown."""
    play_here(monkeypatch)
    panel, ui = train_panel.widget.panel, train_panel.ui
    data = panel.data
    ui.datasetPathEdit.currentPath = str(write_set(tmp_path / "set"))
    ui.openDataButton.click()
    desktop.wait_until(lambda: data.split.shared is not None)
    ui.casesTable.selectRow(1)
    settle(desktop)
    with disk.full():
        ui.showCaseButton.click()
        desktop.wait_until(lambda: not data._showing.busy)
        settle(desktop)
        refused(ui.messageLabel.text)
        choose(data.split.part, "test")
        settle(desktop)
        refused(ui.messageLabel.text)
        choose(data.source, "pattern-pairs")
        ui.patternFixedEdit.text, ui.patternMovingEdit.text = "{subject}/fixed.nii.gz", "{subject}/moving.nii.gz"
        settle(desktop)
        ui.openDataButton.click()
        settle(desktop)
        refused(ui.messageLabel.text, str(runs_folder))
    ui.openDataButton.click()
    desktop.wait_until(lambda: data.split.shared is not None)
    ui.casesTable.selectRow(1)
    settle(desktop)
    ui.showCaseButton.click()
    desktop.wait_until(lambda: not data._showing.busy)
    settle(desktop)
    assert ui.messageLabel.text == ""
