"""From data to a fine-tuned model to its evaluation, by clicks on the real panels, with a stop and a resume in between.

Once on made-up organs, once on ten hippocampi of the Decathlon; ROBUSTDIR_HIPPOCAMPUS names their folder.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import panel_cases
from finetuning_cases import decathlon
from panel_cases import settle
from RobustDIRLib.runner.states import RunState
from SlicerHeadless.train_screenshots import some_cases

SECONDS = 1800.0  # at most, for what takes a minute on a machine that does nothing else


@dataclass
class Driver:
    """Clicks, and waits for what comes of it."""

    panel: Any
    desktop: Any

    @property
    def ui(self) -> Any:
        return self.panel.ui

    @property
    def tabs(self) -> Any:
        """What is behind the panel."""
        return self.panel.widget.panel

    def wait(self, condition: Any, seconds: float = SECONDS) -> None:
        try:
            self.desktop.wait_until(condition, seconds)
        except TimeoutError as error:
            notes = [
                self.ui.messageLabel.text,
                self.ui.dataNote.text,
                self.ui.runNote.text,
                self.ui.evaluationNote.text,
            ]
            raise AssertionError(f"still waiting; the panel says: {[note for note in notes if note]}") from error
        settle(self.desktop)

    def click(self, name: str) -> None:
        """A button, once it can be clicked."""
        self.wait(lambda: getattr(self.ui, name).enabled)
        getattr(self.ui, name).click()
        settle(self.desktop)

    def wait_for(self, *states: RunState) -> None:
        """Until the selected run is in one of these states."""
        self.wait(lambda: self.tabs.runs.entry is not None and self.tabs.runs.entry.state in states)

    def open(self, folder: Path, shares: tuple[int, int]) -> None:
        """A data set, its patients shared out so: per cent for training and validation."""
        data, p = self.tabs.data, self.tabs.parameters
        self.ui.datasetPathEdit.currentPath = str(folder)
        p.trainPercent, p.validationPercent = shares
        self.click("openDataButton")
        self.wait(lambda: not data.busy)
        assert data.opened is not None, self.ui.dataNote.text
        self.wait(lambda: not data.split._background.busy)
        assert data.split.shared is not None, self.ui.splitNote.text

    def look_at(self, row: int) -> None:
        """A case of the data set, in the views."""
        self.ui.casesTable.selectRow(row)
        self.click("showCaseButton")
        self.wait(lambda: not self.tabs.data._showing.busy)
        assert not self.ui.messageLabel.text, self.ui.messageLabel.text

    def choose_preset(self, title: str) -> None:
        """Of the tab Train, by its words."""
        combo = self.ui.runPresetSelector
        combo.setCurrentIndex([combo.itemText(k) for k in range(combo.count)].index(title))
        settle(self.desktop)
        assert combo.currentText == title, combo.currentText

    def preview(self) -> None:
        """A pair as the run would learn from."""
        self.click("syntheticButton")
        self.wait(lambda: not self.tabs.train.synthetic.busy)
        assert self.ui.messageLabel.text.startswith("In the views"), self.ui.messageLabel.text

    def stop_and_resume(self) -> None:
        """The run that has just been started: made to wait, ended, gone on with to its end."""
        self.click("pauseRunButton")
        self.wait_for(RunState.PAUSED)
        run = self.tabs.runs.board.watched[self.tabs.runs.selected]
        begun = time.monotonic()
        self.click("stopRunButton")
        self.wait_for(RunState.STOPPED, RunState.KILLED)
        assert time.monotonic() - begun < 30  # 5 s on a machine that does nothing else
        assert self.tabs.runs.entry.state is RunState.STOPPED
        assert not run._job._tree.living()
        self.click("resumeRunButton")
        self.wait_for(RunState.ENDED, RunState.FAILED, RunState.KILLED)
        assert self.tabs.runs.entry.state is RunState.ENDED, self.ui.runNote.text

    def publish(self, name: str) -> None:
        for field, text in (("Name", name), ("Anatomy", "hippocampus"), ("Modality", "MR"), ("Licence", "CC BY 4.0")):
            getattr(self.ui, f"publish{field}Edit").setText(text)
        self.click("publishButton")
        self.wait(lambda: not self.tabs.runs.models.busy)
        assert f"“{name}”" in self.ui.messageLabel.text, self.ui.messageLabel.text

    def evaluate(self, methods: tuple[str, ...], limit: int) -> None:
        """On the run's test patients."""
        self.tabs.show_tab("evaluateTab")
        self.ui.evaluationLimitSpinBox.value = limit
        self.tabs.update()
        self.tabs.evaluate.form.tick(*methods)
        self.ui.evaluationSubjectsSelector.setCurrentIndex(1)
        settle(self.desktop)
        self.click("evaluateButton")
        self.wait(lambda: self.tabs.evaluate.found is not None)


@pytest.fixture
def driver(train_panel, desktop, tmp_path, monkeypatch):
    """On an empty scene, with models of one's own in a folder of the test."""
    monkeypatch.setenv("ROBUSTDIR_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    driver = Driver(train_panel, desktop)
    yield driver
    driver.tabs.runs.board.kill_all()


def teach(driver: Driver, epochs: int, pairs: int) -> Path:
    """Fine-tune the shipped model on what is open, with a stop in between; the folder of the run."""
    driver.tabs.show_tab("trainTab")
    p = driver.tabs.parameters
    p.epochs, p.pairsPerEpoch, p.threads, p.device = epochs, pairs, 1, "cpu"
    driver.click("startRunButton")
    folder = driver.tabs.runs.selected
    assert folder is not None, driver.ui.messageLabel.text
    driver.stop_and_resume()
    return folder


def check_table(driver: Driver, *methods: str) -> None:
    """Every test case has a Dice before, and by each method; lying still changes nothing."""
    found = driver.tabs.evaluate.found
    assert list(found.methods) == list(methods) and found.cases and not found.reasons
    for case in found.cases:
        values = {name: found.values[case, name, "dice"] for name in ("before", *methods)}
        assert all(0 < value <= 1 for value in values.values())
        assert values.get("none", values["before"]) == pytest.approx(values["before"], abs=1e-6)
    table = driver.ui.caseTable
    assert table.rowCount == len(found.cases) + 1
    driver.ui.boxesButton.click()
    driver.ui.boxesButton.click()


def register_by(model: str, nodes: Sequence[Any], opened: Any, desktop: Any, dialogs: Any, folder: Path) -> Any:
    """A pair of volumes in RobustDIR by a model; the report's JSON."""
    fixed, moving = nodes
    opened.ui.fixedSelector.setCurrentNode(fixed)
    opened.ui.movingSelector.setCurrentNode(moving)
    names = [opened.ui.modelSelector.itemText(k) for k in range(opened.ui.modelSelector.count)]
    opened.ui.modelSelector.setCurrentIndex(names.index(f"{model} (yours)"))
    parameters = opened.widget.panel.parameters
    parameters.quality, parameters.alignment = "fast", "none"
    settle(desktop)
    said = panel_cases.register(opened, desktop, SECONDS)
    assert said.startswith("Registered"), said
    dialogs.answer(str(folder / "report.json"))
    opened.ui.reportButton.click()
    desktop.wait_until(lambda: (folder / "report.json").exists(), SECONDS)
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


@pytest.mark.long  # its steps, and what one hands to the next, are held by the quick tests of each tab and of the panel
def test_from_data_to_a_model_that_registers(driver, desktop, dialogs, open_panel, tmp_path):
    driver.open(decathlon(tmp_path / "organs"), (34, 33))
    other = open_panel("RobustDIR")
    folder = teach(driver, epochs=1, pairs=2)
    assert driver.tabs.runs.entry.best["dice"] > 0
    driver.publish("mine")
    driver.evaluate(("mine",), limit=1)
    check_table(driver, "mine")
    report = register_by("mine", panel_cases.volume_nodes(), other, desktop, dialogs, tmp_path)
    assert Path(report["run"]["model"]["path"]).parent.name == "mine"
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["pairs"]


@pytest.mark.long
@pytest.mark.skipif("ROBUSTDIR_HIPPOCAMPUS" not in os.environ, reason="ROBUSTDIR_HIPPOCAMPUS names no folder")
def test_ten_hippocampi_in_under_five_minutes(driver, desktop, dialogs, open_panel, tmp_path):
    """The ten lines of the README, one after the other, as a user does them."""
    import slicer

    told = _Clock()
    (tmp_path / "ten").mkdir()
    ten = some_cases(Path(os.environ["ROBUSTDIR_HIPPOCAMPUS"]), tmp_path / "ten")
    driver.open(ten, (60, 20))
    driver.look_at(0)
    told("the data set opened, shared out and looked at")
    driver.tabs.show_tab("trainTab")
    driver.choose_preset("Try it in ten minutes")
    driver.preview()
    told("a pair to learn from previewed")
    folder = teach(driver, epochs=2, pairs=4)
    driver.click("curvesButton")
    driver.wait(lambda: bool(slicer.util.getNodesByClass("vtkMRMLPlotChartNode")))
    driver.click("curvesButton")
    told("the network fine-tuned, with a stop and a resume")
    model = str(folder / "weights.pt")
    driver.evaluate(("none", model), limit=0)
    check_table(driver, "none", model)
    driver.ui.caseTable.cellClicked.emit(0, 3)
    driver.wait(lambda: driver.tabs.evaluate.look.shown or not driver.tabs.evaluate.look.busy)
    assert driver.tabs.evaluate.look.shown, driver.ui.lookedAtNote.text
    told("judged on patients that it has not seen, and one of them looked at")
    other = open_panel("RobustDIR")
    driver.publish("hippocampus")
    images = sorted((ten / "imagesTr").iterdir())[:2]
    nodes = [slicer.util.loadVolume(str(image)) for image in images]
    report = register_by("hippocampus", nodes, other, desktop, dialogs, tmp_path)
    assert Path(report["run"]["model"]["path"]).parent.name == "hippocampus"
    told("published, and a pair registered and reported by it")


class _Clock:
    """Says how long each stretch took, by the clock and of processors; nothing is asserted of it."""

    def __init__(self) -> None:
        self._begun = self._last = self._now()

    @staticmethod
    def _now() -> tuple[float, float]:
        """Seconds by the clock, and of processors: of this process and of those that it has seen end."""
        used = os.times()
        return time.monotonic(), used.user + used.system + used.children_user + used.children_system

    def __call__(self, what: str) -> None:
        now = self._now()
        (clock, used), (all_clock, all_used) = (
            [a - b for a, b in zip(now, since, strict=True)] for since in (self._last, self._begun)
        )
        print(f"{clock:4.0f} s ({used:3.0f} s of a processor), {all_clock:4.0f} s ({all_used:3.0f} s) in all: {what}")
        self._last = now
