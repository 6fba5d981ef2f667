"""Uses what the worked examples add, in a process that imports the copy of the library they were applied to.

`python changing_process.py COPY FOLDER` prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from RobustDIRLib.baselines.method import Outcome, Pair
from RobustDIRLib.baselines.registry import find_method, list_methods
from RobustDIRLib.cohort.files import LABEL_COLUMNS, PAIR_COLUMNS
from RobustDIRLib.cohort.measuring import Gauge
from RobustDIRLib.datasets.cases import CaseData
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.evaluation.measures import BY_NAME, STRUCTURES
from RobustDIRLib.evaluation.run_figures import figures_of
from RobustDIRLib.evaluation.tolerances import DEFAULTS
from RobustDIRLib.finetuning.config import LossWeights
from RobustDIRLib.finetuning.losses import pair_loss
from RobustDIRLib.finetuning.pairs import TrainingPair
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image, write_image
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.registration.measures import label_overlap
from RobustDIRLib.report.pair.structures import values_of

GRID = Grid((13, 15, 14), (1.5, 2.0, 2.5), (3, -4, 5))


def loss() -> dict[str, Any]:
    g = torch.Generator().manual_seed(1)
    fixed, moving = torch.rand(2, 1, 1, 9, 8, 10, generator=g)
    nothing = torch.zeros(1, 3, 9, 8, 10)
    pair = TrainingPair("a pair", fixed, moving, None, None, None, None, torch.eye(3))
    weights = LossWeights(squares=2.0, gradient=0.0)
    value = pair_loss(Deformation(nothing, nothing), pair, weights, g, both=False)
    expected = (fixed - moving).square().mean()
    return {
        "loss": float(value),
        "expected loss": float(expected),
        "loss is a choice of ones own": not weights.automatic,
    }


def data_set(folder: Path) -> dict[str, Any]:
    for name in ("bert", "anna"):
        for breath in ("in", "out"):
            write_image(folder / f"{name}_{breath}.nii.gz", Image(np.zeros(GRID.shape, np.float32), GRID))
    found = open_dataset(folder)
    return {"data set": [found.kind, *(case.name for case in found.cases)]}


def rival() -> dict[str, Any]:
    image = Image(np.zeros(GRID.shape, np.float32), GRID)
    moved = Image(image.array, Grid(GRID.shape, GRID.spacing, (6, -8, 7)))
    transform = find_method("middles").register(Pair(image, moved), 1).transform
    return {"rival listed": "middles" in list_methods(), "rival": transform.TransformPoint((0.0, 0.0, 0.0))}


def measures() -> dict[str, Any]:
    """A cube that the transform brings to its place: everything is right after, and nothing before."""
    array = np.random.default_rng(2).normal(size=GRID.shape).astype(np.float32)
    labels = np.zeros(GRID.shape, np.uint8)
    labels[4:8, 5:9, 10:14] = 3
    cut = np.where(np.arange(14) < 12, labels, 0).astype(np.uint8)  # half of it lies outside as the images lie
    far = Grid(GRID.shape, GRID.spacing, (3 + 2 * GRID.spacing[0], -4, 5))
    fixed, moving = (Image(a, g) for a, g in ((array, GRID), (array, far)))
    data = CaseData(fixed, moving, fixed_labels=Image(labels, GRID), moving_labels=Image(labels, far))
    reading = Gauge(data, "generic").read(Outcome(sitk.TranslationTransform(3, (2 * GRID.spacing[0], 0, 0))))
    run = label_overlap(*(Image(one, GRID) for one in (labels, labels, cut))).summary()
    judged = DEFAULTS.judge_all(figures_of({"dice": [run]}), 2.5)
    return {
        "pair columns": PAIR_COLUMNS,
        "label columns": LABEL_COLUMNS,
        "values": reading.values,
        "label rows": [row.values for row in reading.labels],
        "title": {name: BY_NAME[name].title for name in ("difference", "volume_percent")},
        "run row": run["labels"][0],
        "judged": {one.criterion.name: [one.figure.value, one.verdict.value] for one in judged},
        "report": values_of(run["labels"][0]),
        "panel columns": [one.short_heading for one in STRUCTURES],
        "limits": DEFAULTS.to_json(),
    }


def panel(copy: Path) -> str | None:
    from SlicerHeadless import availability

    if availability.why_no_desktop():
        return None
    import panel_cases as cases
    from SlicerHeadless import application, desktop

    application.start()
    opened = desktop.open_panel(copy / "RobustDIR.py")
    opened.ui.fixedSelector.setCurrentNode(cases.volume_nodes()[0])
    cases.settle(desktop)
    text = str(opened.ui.countLabel.text)
    opened.close()
    return text


if __name__ == "__main__":
    copy, folder = map(Path, sys.argv[1:])
    found = {**loss(), **data_set(folder), **rival(), **measures(), "panel": panel(copy)}
    print(json.dumps(found))
