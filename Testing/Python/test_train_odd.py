"""RobustDIRTrain used in odd orders: nothing breaks, nothing hangs, and what is said is one sentence that helps."""

import shutil

import pytest

import runner_cases
from dataset_cases import write_label_map, write_scan
from panel_cases import settle
from RobustDIRLib.model_store import SHIPPED
from train_panel_cases import play_here


class Endless:
    """A process that never ends by itself."""

    process_id, log = 0, ()

    def __init__(self, command, stop_file=None, environment=None, output=None) -> None: ...

    def poll(self):
        from RobustDIRLib.runner.job import Polled

        return Polled()

    def stop(self) -> None: ...

    kill = stop


def one_sentence(panel) -> str:
    said = panel.ui.messageLabel.text
    assert said.endswith((".", "…")) and "\n" not in said and "Traceback" not in said and "mistake" not in said, said
    return said


def wait(desktop, condition) -> None:
    desktop.wait_until(condition, 60)
    settle(desktop)


@pytest.fixture
def opened(train_panel, desktop, monkeypatch, tmp_path):
    """The panel with a small data set open and shared out; commands are done in this process."""
    play_here(monkeypatch)
    for seed, who in enumerate("abcd"):
        for k, role in enumerate(("fixed", "moving")):
            write_scan(tmp_path / "set" / who / f"{role}.nii.gz", 2 * seed + k)
            write_label_map(tmp_path / "set" / who / f"{role}_labels.nii.gz", 2 * seed + k)
    train_panel.ui.datasetPathEdit.currentPath = str(tmp_path / "set")
    train_panel.ui.openDataButton.click()
    wait(desktop, lambda: train_panel.widget.panel.data.split.shared is not None)
    return train_panel


def test_every_button_of_an_empty_panel_is_harmless(train_panel, desktop, dialogs, scene, monkeypatch):
    """Each that can be clicked, in each tab; dialogs are left by Escape."""
    import qt

    play_here(monkeypatch)
    monkeypatch.setattr(train_panel.widget.panel.environment, "install", lambda: None)
    nodes = scene.GetNumberOfNodes()
    for name in ("dataTab", "trainTab", "runsTab", "evaluateTab"):
        train_panel.widget.panel.show_tab(name)
        for button in getattr(train_panel.ui, name).findChildren(qt.QPushButton):
            if button.enabled and button.isVisibleTo(getattr(train_panel.ui, name)) and not button.checkable:
                dialogs.answer("")
                button.click()
                settle(desktop)
                dialogs.reset()
                if train_panel.ui.messageLabel.text:
                    one_sentence(train_panel)
    assert scene.GetNumberOfNodes() == nodes


def test_a_data_set_that_went_away_is_told_wherever_it_is_needed(opened, desktop, tmp_path):
    panel, ui = opened.widget.panel, opened.ui
    shutil.move(tmp_path / "set", tmp_path / "away")
    ui.casesTable.selectRow(0)
    settle(desktop)
    for click, over in (
        (ui.showCaseButton, lambda: not panel.data._showing.busy),
        (ui.syntheticButton, lambda: not panel.train.synthetic.busy),
        (ui.startRunButton, lambda: True),
        (ui.openDataButton, lambda: not panel.data.busy),
    ):
        panel.say("")
        click.click()
        wait(desktop, over)
        assert str(tmp_path / "set") in one_sentence(opened)
    shutil.move(tmp_path / "away", tmp_path / "set")
    ui.openDataButton.click()
    wait(desktop, lambda: panel.data.split.shared is not None)
    assert ui.messageLabel.text == ""


def test_a_scene_that_is_closed_meanwhile_gets_nothing_and_that_is_said(opened, desktop, scene, monkeypatch):
    from RobustDIRLib.panelparts import background

    panel, ui = opened.widget.panel, opened.ui
    monkeypatch.setattr(background, "Job", Endless)
    opened_path = panel.parameters.dataPath
    for button, busy in (
        (ui.syntheticButton, lambda: panel.train.synthetic.busy),
        (ui.showCaseButton, lambda: panel.data._showing.busy),
    ):
        if button is ui.showCaseButton:
            play_here(monkeypatch)
            panel.parameters.dataPath = ui.datasetPathEdit.currentPath = opened_path
            ui.openDataButton.click()
            wait(desktop, lambda: panel.data.split.shared is not None)
            ui.casesTable.selectRow(0)
            settle(desktop)
            monkeypatch.setattr(background, "Job", Endless)
        button.click()
        settle(desktop)
        assert busy()
        scene.Clear(0)
        settle(desktop)
        assert not busy() and "The scene was closed" in one_sentence(opened)
        assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
    assert panel.parameters is not None and panel.data.opened is None


def test_a_run_deleted_from_outside_while_it_is_shown(train_panel, desktop, runs_folder):
    panel, ui = train_panel.widget.panel, train_panel.ui
    folder = runner_cases.a_finished_run(runs_folder / "one", records=40)
    wait(desktop, lambda: ui.runsTable.rowCount == 1)
    ui.runsTable.selectRow(0)
    ui.curvesButton.click()
    ui.runLogCollapsibleButton.collapsed = False
    settle(desktop)
    shutil.rmtree(folder)
    wait(desktop, lambda: ui.runsTable.rowCount == 0)
    assert panel.runs.entry is None and "no runs" in ui.runNote.text
    for name in ("stopRun", "pauseRun", "resumeRun", "deleteRun", "openRunFolder", "publish"):
        assert not getattr(ui, f"{name}Button").enabled, name
    ui.curvesButton.click()  # the layout of before can still be had back
    settle(desktop)
    assert not panel.runs.curves.shown


def test_a_run_of_a_newer_version_is_shown_with_why_and_left_alone(train_panel, desktop, runs_folder):
    panel, ui = train_panel.widget.panel, train_panel.ui
    folder = runner_cases.a_finished_run(runs_folder / "newer", records=40, final="")
    (folder / "process.json").write_text('{"format": "robustdir-process-9", "pid": 1}')
    wait(desktop, lambda: ui.runsTable.rowCount == 1)
    ui.runsTable.selectRow(0)
    ui.curvesButton.click()
    ui.runLogCollapsibleButton.collapsed = False
    settle(desktop)
    assert "another version of RobustDIR" in ui.runNote.text and panel.runs.curves.shown
    assert not ui.stopRunButton.enabled and not ui.pauseRunButton.enabled and not ui.resumeRunButton.enabled
    ui.curvesButton.click()


def test_models_come_and_go_in_both_panels(train_panel, desktop, open_panel, dialogs, monkeypatch, tmp_path):
    """One that is chosen in the one panel and deleted by the other is told as gone, and nothing is taken instead."""
    monkeypatch.setenv("ROBUSTDIR_MODELS", str(tmp_path / "models"))
    from RobustDIRLib.model_store import add_model, remove_model

    other, ui = open_panel("RobustDIR"), train_panel.ui
    add_model(SHIPPED / "generic" / "weights.pt", "mine")
    ui.modelsCollapsibleButton.collapsed = False
    wait(desktop, lambda: ui.modelsTable.rowCount == len(list(SHIPPED.iterdir())) + 1)
    train_panel.widget.panel.parameters.startModel = "mine"
    other.widget.panel.parameters.model = "mine"
    settle(desktop)
    assert train_panel.widget.panel.train.model.key == "mine"
    remove_model("mine")
    wait(desktop, lambda: ui.modelsTable.rowCount == len(list(SHIPPED.iterdir())))
    for panel in (train_panel, other):
        panel.widget.panel.update()
    settle(desktop)
    assert "“mine” is not here" in ui.startModelNote.text
    assert train_panel.widget.panel.train.model.key == "" and other.ui.modelSelector.currentIndex == -1
