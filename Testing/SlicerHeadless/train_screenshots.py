"""The pictures of RobustDIRTrain: ten cases opened, a network fine-tuned on them, stopped, resumed and judged.

What is clicked is what the README tells a user to click; the runs are real and short. The data set is the one that
`ROBUSTDIR_DATA` holds as `hippocampus`: a folder with the `dataset.json` of the Medical Segmentation Decathlon.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from SlicerHeadless import availability

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "Resources" / "Screenshots"
CASES = 10
SETTINGS = {
    "epochs": 4,
    "pairsPerEpoch": 4,
    "trainPercent": 60,
    "validationPercent": 20,
    "stopWhenConverged": False,
}
WIDTH, VIEW = 560, 430
SECONDS = 1800.0
NAME = "hippocampus"


def some_cases(source: Path, folder: Path) -> Path:
    """A data set of the first cases of another, copied."""
    content = json.loads((source / "dataset.json").read_text(encoding="utf-8"))
    content["training"] = content["training"][:CASES]
    content["numTraining"], content["numTest"], content["test"] = CASES, 0, []
    for case in content["training"]:
        for name in (case["image"], case["label"]):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, folder / name)
    (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


class Session:
    """A user at the panel.

    Args:
        dataset: Folder of the data set.
        runs: Folder for runs.
    """

    def __init__(self, dataset: Path, runs: Path) -> None:
        from SlicerHeadless import desktop

        desktop.load_module(ROOT / "RobustDIR" / "RobustDIR.py")
        self.opened = desktop.open_panel(ROOT / "RobustDIRTrain" / "RobustDIRTrain.py")
        self.panel, self.ui = self.opened.widget.panel, self.opened.ui
        self.wait = desktop.wait_until
        self.ui.runsFolderButton.directory = str(runs)
        self.ui.datasetPathEdit.currentPath = str(dataset)

    def settle(self, seconds: float = 0.5) -> None:
        """Lets the panel catch up."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end, 5 + seconds)

    def picture(self, tab: str, height: int | None = None) -> Any:
        """The panel with a tab in front."""
        from SlicerHeadless import pictures

        self.panel.show_tab(tab)
        self.settle()
        return pictures.panel_picture(self.opened.parent, WIDTH, height)

    def views(self, height: int) -> Any:
        """Two slice views below each other."""
        import slicer

        from SlicerHeadless import pictures

        drawn = []
        for name in ("Red", "Green"):
            widget = slicer.app.layoutManager().sliceWidget(name)
            view, size = widget.sliceView().offscreen, (VIEW, (height - pictures.GAP) // 2)
            view.window.SetSize(*size)
            widget.sliceLogic().ResizeSliceNode(*size)
            widget.sliceLogic().FitSliceToBackground()
            drawn.append(pictures.view_picture(view))
        return pictures.below(*drawn)

    def charts(self, height: int) -> Any:
        """The charts that the scene holds below each other."""
        import slicer

        from SlicerHeadless import pictures

        nodes = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
        nodes = [node for node in nodes if node.GetNumberOfPlotSeriesNodes()][-3:]
        tall = (height - pictures.GAP * (len(nodes) - 1)) // max(1, len(nodes))
        return pictures.below(*(pictures.chart_picture(node, (VIEW + 90, tall)) for node in nodes))

    def open_data(self) -> None:
        """Opens the data set, waits until its patients are shared out, and shows its first case."""
        self.ui.openDataButton.click()
        self.wait(lambda: not self.panel.data.busy, SECONDS)
        if self.panel.data.opened is None:
            raise RuntimeError(self.ui.dataNote.text)
        self.settle()
        self.wait(lambda: not self.panel.data.split._background.busy, SECONDS)
        self.ui.casesTable.selectRow(0)
        self.settle()
        self.ui.showCaseButton.click()
        self.wait(lambda: not self.panel.data._showing.busy, SECONDS)

    @property
    def run(self) -> Any:
        """The selected run."""
        return self.panel.runs.entry

    def start(self) -> None:
        """Starts the run of the tab Train.

        Raises:
            RuntimeError: If it cannot be started, with what the panel says.
        """
        self.ui.startRunButton.click()
        self.settle()
        if self.run is None:
            raise RuntimeError(self.ui.messageLabel.text)

    def wait_for_epochs(self, count: int) -> None:
        """Waits until a run has come so far, or has ended."""
        self.wait(lambda: self.run is not None and (self.run.epoch >= count or not self.run.alive), SECONDS)

    def stop_and_resume(self) -> None:
        """Stops the run, and lets it go on."""
        self.ui.stopRunButton.click()
        self.wait(lambda: self.run is not None and not self.run.alive and self.ui.resumeRunButton.enabled, 60)
        self.ui.resumeRunButton.click()
        self.settle(2)

    def evaluate(self) -> None:
        """Compares the model of the run with linear alignment, on the patients left for testing."""
        self.panel.show_tab("evaluateTab")
        self.settle(2)
        form = self.panel.evaluate.form
        form.subjects.combo.setCurrentIndex(1)
        form.tick("none", "linear", *(name for name in form._methods if name.endswith(".pt")))
        self.settle()
        self.ui.evaluateButton.click()
        self.settle(2)
        self.wait(self._summed, SECONDS)
        self.settle(2)

    def _summed(self) -> bool:
        return self.panel.evaluate.found is not None

    def close(self) -> None:
        """Leaves the panel."""
        self.opened.close()


def drawn(session: Session) -> Iterator[tuple[str, Any]]:
    """Every picture, one after the other, as they come about."""
    from SlicerHeadless import pictures

    for name, value in SETTINGS.items():
        setattr(session.panel.parameters, name, value)
    session.open_data()
    data = session.picture("dataTab")
    yield "train_data.png", pictures.beside(data, session.views(data.height()))
    yield "train_settings.png", session.picture("trainTab")
    session.start()
    session.wait_for_epochs(2)
    session.stop_and_resume()
    session.wait(lambda: session.run is not None and not session.run.alive, SECONDS)
    session.settle(2)
    session.ui.curvesButton.setChecked(True)
    session.settle(2)
    runs = session.picture("runsTab")
    yield "train_runs.png", pictures.beside(runs, session.charts(runs.height()))
    session.ui.curvesButton.setChecked(False)
    session.evaluate()
    session.ui.boxesButton.setChecked(True)
    session.settle(2)
    judged = session.picture("evaluateTab")
    yield "train_evaluate.png", pictures.beside(judged, session.charts(judged.height()))


def main(folder: Path = FOLDER) -> int:
    """Draws all pictures.

    Returns:
        0; 1 if this machine cannot draw them, or has no data.
    """
    reason = availability.why_no_desktop() or availability.why_no_rendering()
    source = Path(os.environ.get("ROBUSTDIR_DATA", "")) / NAME
    if not (source / "dataset.json").is_file():
        reason = reason or "set ROBUSTDIR_DATA to a folder that holds hippocampus/dataset.json"
    if reason:
        print(f"train_screenshots: {reason}", file=sys.stderr)
        return 1
    from SlicerHeadless import pictures

    with tempfile.TemporaryDirectory(prefix="robustdir-pictures-") as scratch:
        (Path(scratch) / NAME).mkdir()
        os.environ["ROBUSTDIR_MODELS"] = str(Path(scratch) / "models")
        session = Session(some_cases(source, Path(scratch) / NAME), Path(scratch) / "runs")
        try:
            for name, picture in drawn(session):
                print(pictures.save(picture, folder / name), flush=True)
        finally:
            session.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
