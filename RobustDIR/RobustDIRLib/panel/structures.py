"""Dice, HD95 and mean distance of structures, before and after: measured in a process of its own.

`python -m RobustDIRLib.panel.structures FOLDER` reads what `hand_over` wrote to the folder and prints one JSON line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.measures import STRUCTURES
from RobustDIRLib.geometry import Grid, swap_lps_ras
from RobustDIRLib.panel.request import HANDOVER
from RobustDIRLib.panelparts import exchange
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.run_files import JACOBIAN_VOXELS
from RobustDIRLib.runner.launching import python_executable
from RobustDIRLib.values import Image

if TYPE_CHECKING:
    from RobustDIRLib.evaluation.label_scores import LabelScores

FIXED, MOVING, FIELD, NAMES = "fixed_labels.mha", "moving_labels.mha", "field.mha", "names.json"


def hand_over(
    folder: Path, fixed: Image, moving: Image, field: tuple[NDArray[np.generic], Grid], names: Mapping[int, str]
) -> Iterator[None]:
    """Write what the process needs, a few megabytes between two yields.

    Args:
        folder: Empty.
        fixed: Label map of the fixed volume's structures.
        moving: Label map of the moving volume's, with the same numbers for the same structures.
        field: Displacements from fixed to moving points, `(z, y, x, 3)`, mm, RAS components.
        names: Of the structures, by number.
    Raises:
        InputError: If the folder cannot be written to.
    """
    text = json.dumps({str(number): name for number, name in names.items()})
    try:
        (folder / NAMES).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            _("{folder} cannot be written to ({reason}); free some space and try again.").format(
                folder=folder, reason=error.strerror
            )
        ) from error
    for name, voxels in ((FIXED, (fixed.array, fixed.grid)), (MOVING, (moving.array, moving.grid)), (FIELD, field)):
        yield from exchange.write_in_steps(folder / name, *voxels)


def command(folder: Path, run: Path | None = None) -> list[str]:
    """The command line that measures what lies in a folder.

    Args:
        folder: What `hand_over` filled.
        run: Folder of the run whose transform it is, with its Jacobian map, if it is still there.
    """
    words = [] if run is None else [str(run / HANDOVER / JACOBIAN_VOXELS)]
    return [python_executable(), "-m", "RobustDIRLib.panel.structures", str(folder), *words]


def measure(folder: Path, jacobian: Path | None = None) -> list[dict[str, Any]]:
    """Figures of every structure, in the form of a label of `run.json`'s `measures.dice` with more beside it.

    Args:
        folder: What `hand_over` filled.
        jacobian: File with the determinant on the fixed volume's grid, for the folding of each structure.

    Returns:
        Rows with `label` (the name), Dice `before` and `after`, the other measures of `measures.STRUCTURES` with their
        `before`, each None where it is undefined, and `note` with the reason; volumes `fixed_ml` and `warped_ml`, and
        `folding_percent` where the determinant is known; rows of structures that one side lacks have `only_in`.
    """
    from RobustDIRLib.evaluation.label_scores import evaluate_labels
    from RobustDIRLib.io.displacements import DisplacementField, to_sitk_transform
    from RobustDIRLib.io.images import resample

    fixed, moving = (Image(*exchange.read(folder / name)) for name in (FIXED, MOVING))
    names = {int(key): name for key, name in json.loads((folder / NAMES).read_text(encoding="utf-8")).items()}
    array, grid = exchange.read(folder / FIELD)
    transform = to_sitk_transform(DisplacementField(swap_lps_ras(array), grid))
    before = evaluate_labels(fixed, resample(moving, fixed.grid, nearest=True, outside=0), moving)
    warped = resample(moving, fixed.grid, transform, nearest=True, outside=0)
    after = evaluate_labels(fixed, warped, moving)
    volumes = {"fixed_ml": _millilitres(fixed), "warped_ml": _millilitres(warped)}
    folding = _folding(fixed, jacobian)
    rows = [
        {
            **_row(names[label], before.scores[label], after.scores[label]),
            **{name: volume.get(label, 0.0) for name, volume in volumes.items()},
            "folding_percent": folding.get(label),
        }
        for label in after.scores
    ]
    for side, labels in (("fixed", after.only_fixed), ("moving", after.only_moving)):
        note = _("only in the {side} segmentation").format(side=side)
        rows += [{"label": names[label], "only_in": side, "note": note} for label in labels]
    return rows


def _millilitres(labels: Image) -> dict[int, float]:
    from RobustDIRLib.evaluation.metrics import voxels_per_label

    z, y, x = labels.grid.spacing
    return {label: count * z * y * x / 1000 for label, count in voxels_per_label(labels.array).items()}


def _folding(fixed: Image, jacobian: Path | None) -> dict[int, float | None]:
    """Share of each fixed structure where the transform folds; nothing where its map is lost or of another grid."""
    from RobustDIRLib.evaluation.regularity import regularity_per_label

    if jacobian is None or not jacobian.is_file():
        return {}
    array, grid = exchange.read(jacobian)
    if not grid.close_to(fixed.grid):
        return {}
    found = regularity_per_label(array, fixed.array)
    return {label: one.folding_percent.value for label, one in found.items()}


def _row(name: str, before: LabelScores, after: LabelScores) -> dict[str, Any]:
    reason = after.distances.reason or before.distances.reason
    values = before.values(), after.values()
    figures = {key: found[one.name].value for one in STRUCTURES for key, found in zip(one.in_run, values, strict=True)}
    return {"label": name, **figures, "note": "" if reason is None else reason.words}


def main(folder: str, jacobian: str = "") -> int:
    """Measure and print; returns 0, or 2 for bad input."""
    try:
        event: dict[str, Any] = {
            "event": "structures",
            "rows": measure(Path(folder), Path(jacobian) if jacobian else None),
        }
    except InputError as error:
        event = {"event": "error", "message": str(error)}
    sys.stdout.write(json.dumps(event) + "\n")
    return 0 if event["event"] == "structures" else 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
