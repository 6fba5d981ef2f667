"""How long the panel of RobustDIRTrain keeps the application waiting: `python Testing/Benchmarks/train_panel.py`.

On the bench of Testing/SlicerHeadless. Processes are stand-ins that say or write what the real ones do, at once, so
that the panel has more to do at a time than it ever has: what is measured is the panel's own part. A timer of 5 ms in
the event loop tells of each pause; "computed" is the longest stretch that the panel's thread computed, since other
programs on the machine keep the event loop waiting, too.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "RobustDIR"), str(ROOT / "Testing" / "Python"), str(ROOT / "Testing")]

from RobustDIRLib.geometry import Grid  # noqa: E402
from RobustDIRLib.values import DisplacementField, Image, Landmarks  # noqa: E402
from SlicerHeadless import availability  # noqa: E402

CASES, METHODS, POINTS = 1000, 5, 60
LARGE = (200, 512, 512)
STRUCTURES = 3
SECONDS = 1800.0
_SAY = "import sys; print(open(sys.argv[1]).read(), end='')"
_COPY = "import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2])"


@contextmanager
def watched(what: str) -> Iterator[None]:
    """Tells of the longest pause."""
    from SlicerHeadless import desktop

    begun = time.monotonic()
    with desktop.LongestPause() as pause:
        yield
    seconds = time.monotonic() - begun
    print(f"| {what} | {seconds:.1f} | {1e3 * pause.seconds:.0f} | {1e3 * pause.computed:.0f} |", flush=True)


def wait(condition: Callable[[], bool]) -> None:
    """Lets the application go on until something is so, and a little longer."""
    from SlicerHeadless import desktop

    desktop.wait_until(condition, SECONDS)
    end = time.monotonic() + 0.2
    desktop.wait_until(lambda: time.monotonic() > end, 10)


def large_pair() -> tuple[list[Image], list[Image]]:
    """Two smooth volumes as of a CT, and their structures."""
    grid = Grid(LARGE, (0.7, 0.7, 1.5), (-180.0, -180.0, -150.0))
    axes = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in LARGE), indexing="ij", sparse=True)
    images = []
    for shift in (0.0, 0.05):
        radius = np.sqrt(sum((axis - shift) ** 2 for axis in axes))
        images.append(Image((1000 * np.cos(6 * radius)).astype(np.int16), grid))
    levels = np.linspace(-900, 900, STRUCTURES)
    return images, [Image(np.digitize(image.array, levels).astype(np.uint8), grid) for image in images]


def a_thousand_cases(panel: Any, home: Path) -> None:
    """A data set of a thousand pairs is opened."""
    from RobustDIRLib.trainpanel import cases_table, data_tab, split_box

    files = {"fixed_labels": "a.nii.gz", "moving_labels": "b.nii.gz"}
    told: list[dict[str, Any]] = [{"event": "dataset", "name": "many", "notes": []}]
    told += [
        {
            "event": "case", "name": f"patient_{k:04d}", "subjects": [f"p{k}", f"p{k}"], "preset": "lung-ct",
            "files": files, "landmarks": 300, "holds": [], "fixed": {"size": [512, 512, 200]}, "working_voxels": 4e6,
        }
        for k in range(CASES)
    ]  # fmt: skip
    people = [f"p{k}" for k in range(CASES)]
    parts = {"train": people[:700], "validation": people[700:800], "test": people[800:]}
    counts = {name: len(held) for name, held in parts.items()}
    for name, events in (("check", told), ("split", [{"event": "split", **parts, "cases": counts, "scans": counts}])):
        (home / f"{name}.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    for module in (cases_table, data_tab, split_box):
        module.library_command = lambda _dataset, name, *_: [sys.executable, "-c", _SAY, str(home / f"{name}.jsonl")]
    (home / "many").mkdir()
    panel.ui.datasetPathEdit.currentPath = str(home / "many")
    with watched(f"a data set of {CASES} pairs is opened and shared out"):
        panel.ui.openDataButton.click()
        wait(lambda: panel.data.split.shared is not None)
    panel.show_tab("trainTab")
    with watched("the form of a run, changed"):
        for epochs in (10, 20, 30):
            panel.parameters.epochs = epochs
            panel.update()
            wait(lambda: True)


def a_large_case(panel: Any, home: Path) -> None:
    """A pair of 512 x 512 x 200 with label maps and landmarks is shown."""
    from RobustDIRLib.datasets.cases import CaseData
    from RobustDIRLib.trainpanel import data_tab
    from RobustDIRLib.trainpanel.case_files import write_case

    images, labels = large_pair()
    points = Landmarks(np.random.default_rng(0).uniform(-100, 100, (300, 3)))
    data = CaseData(*images, fixed_landmarks=points, moving_landmarks=points, fixed_labels=labels[0],
                    moving_labels=labels[1])  # fmt: skip
    write_case(data, None, home / "case")
    data_tab.library_command = lambda *words: [sys.executable, "-c", _COPY, str(home / "case"), words[-1]]
    panel.show_tab("dataTab")
    panel.ui.casesTable.selectRow(3)
    wait(lambda: panel.ui.showCaseButton.enabled)
    with watched("a case of 512 x 512 x 200 is shown, with 300 landmarks"):
        panel.ui.showCaseButton.click()
        wait(lambda: not panel.data._showing.busy)
    if panel.ui.messageLabel.text:
        raise SystemExit(panel.ui.messageLabel.text)


def a_case_of_an_evaluation(panel: Any, home: Path) -> None:
    """The same pair as a method registered it, with landmark errors and the deformation's grid."""
    from RobustDIRLib.datasets.cases import CaseData
    from RobustDIRLib.io.displacements import to_sitk_transform
    from RobustDIRLib.trainpanel import case_look
    from RobustDIRLib.trainpanel.case_files import write_case

    images, labels = large_pair()
    points = Landmarks(np.random.default_rng(0).uniform(-100, 100, (300, 3)))
    data = CaseData(*images, fixed_landmarks=points, moving_landmarks=points, fixed_labels=labels[0],
                    moving_labels=labels[1])  # fmt: skip
    grid = Grid((100, 128, 128), (2.8, 2.8, 3.0), (-180.0, -180.0, -150.0))
    bumps = np.sin(np.indices(grid.shape).sum(axis=0) / 9.0)
    field = DisplacementField((5 * np.stack([bumps, -bumps, bumps], axis=-1)).astype(np.float32), grid)
    write_case(data, to_sitk_transform(field), home / "registered")
    case_look.library_command = lambda *words: [sys.executable, "-c", _COPY, str(home / "registered"), words[-1]]
    panel.show_tab("evaluateTab")
    look = panel.evaluate.look
    with watched("a case of 512 x 512 x 200 is registered, with errors and grid"):
        look.show(home, "case", "method", "case")
        wait(lambda: not look.busy)
    if not look.shown:
        raise SystemExit(panel.ui.lookedAtNote.text)
    with watched("and taken away again"):
        panel.evaluate.close_case()
        wait(lambda: True)


def pairs_of_the_scene(panel: Any, home: Path) -> None:
    """A pair of 512 x 512 x 200 with segmentations is written out as a data set."""
    import slicer

    from mrml_cases import segmentation_from_labels
    from RobustDIRLib import mrml
    from RobustDIRLib.trainpanel import data_tab

    slicer.mrmlScene.Clear(0)
    wait(lambda: panel.parameters is not None)
    names = {k: f"structure {k}" for k in range(1, STRUCTURES)}
    for side, image, labels in zip(("Fixed", "Moving"), *large_pair(), strict=True):
        setattr(panel.parameters, f"pair{side}Volume", mrml.volume_to_node(image, side))
        setattr(panel.parameters, f"pair{side}Segmentation", segmentation_from_labels(labels, names, side))
    data_tab.library_command = lambda *_: [sys.executable, "-c", ""]  # it is written, and not looked through
    panel.parameters.dataSource, panel.parameters.dataName = "scene", "mine"
    wait(lambda: panel.ui.sceneFrame.isVisibleTo(panel.ui.DataTab))
    with watched("a pair of 512 x 512 x 200 with structures is written out"):
        panel.ui.addPairButton.click()
        panel.ui.openDataButton.click()
        wait(lambda: not panel.data.busy)
    if not list((home / "runs" / "data_sets" / "mine").glob("labels/*.mha")):
        raise SystemExit(f"nothing was written: {panel.ui.messageLabel.text} {panel.ui.dataNote.text}")


def write_evaluation(folder: Path) -> None:
    """The files of an evaluation that the panel reads, with some landmarks a result."""
    from RobustDIRLib.cohort.files import LANDMARK_COLUMNS, LANDMARKS, PAIR_COLUMNS, PAIRS, SUMMARY_FORMAT
    from RobustDIRLib.io.checksums import sealed
    from RobustDIRLib.run_files import SUMMARY

    folder.mkdir(parents=True)
    methods, measure = [f"method{k}" for k in range(METHODS)], {"name": "tre_mean_mm"}
    fixed = {"perturbation": "none", "status": "done"}
    results = [(f"patient_{k:04d}", method) for k in range(CASES) for method in methods]
    for name, columns, count in ((PAIRS, PAIR_COLUMNS, 1), (LANDMARKS, LANDMARK_COLUMNS, POINTS)):
        with (folder / name).open("w", newline="") as file:
            rows = csv.DictWriter(file, columns)
            rows.writeheader()
            for number, (case, method) in enumerate(results * count):
                figures = {column: f"{number % 97 / 10}" for column in columns if "_mm" in column or column == "dice"}
                held = {"case": case, "method": method, **fixed, **figures}
                rows.writerow({column: held.get(column, "") for column in columns})
    summary = {
        "format": SUMMARY_FORMAT, "dataset": {"name": "many"}, "methods": [{"name": m, "title": m} for m in methods],
        "measures": [measure, {"name": "dice"}], "primary": "tre_mean_mm", "start_tests": [], "tests": None,
        "notes": [],
    }  # fmt: skip
    (folder / "evaluation.json").write_text("{}")
    (folder / SUMMARY).write_text(json.dumps(sealed(summary)))


def an_evaluation(panel: Any, home: Path) -> None:
    """The figures of a thousand cases by five methods are read and shown."""
    import slicer

    slicer.mrmlScene.Clear(0)
    write_evaluation(home / "runs" / "evaluation")
    panel.show_tab("evaluateTab")
    with watched(f"an evaluation of {CASES} cases by {METHODS} methods is read"):
        wait(lambda: panel.evaluate.found is not None and panel.evaluate._errors is not None)
    with watched("its boxes and cumulative curves"):
        panel.ui.boxesButton.click()
        wait(lambda: True)
        panel.ui.cumulativeButton.click()
        wait(lambda: True)


def main() -> int:
    """Measures and prints.

    Returns:
        0; 1 if this machine lacks what the bench needs.
    """
    if reason := availability.why_no_desktop():
        print(reason, file=sys.stderr)
        return 1
    from SlicerHeadless import desktop

    desktop.start()
    import slicer

    from RobustDIRLib.trainpanel.home import SETTING, set_runs_home

    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        set_runs_home(home / "runs")
        opened = desktop.open_panel(ROOT / "RobustDIRTrain" / "RobustDIRTrain.py")
        print("| what | seconds | longest pause, ms | of it computed, ms |\n|---|---|---|---|", flush=True)
        try:
            for measure in (a_thousand_cases, a_large_case, a_case_of_an_evaluation, pairs_of_the_scene, an_evaluation):
                measure(opened.widget.panel, home)
        finally:
            opened.close()
            slicer.app.settings().remove(SETTING)
    return 0


if __name__ == "__main__":
    sys.exit(main())
