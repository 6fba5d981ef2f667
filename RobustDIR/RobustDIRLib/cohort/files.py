"""What the folder of an evaluation holds: the one description that writers and readers of its files share.

```
FOLDER/
  evaluation.json           what is evaluated: data set, cases, methods and their settings, conditions
  results/METHOD/CONDITION/CASE.json   one result each, whole or not there; everything below is made from these
  candidates/METHOD/CONDITION/CASE.png pictures of the pairs that were among the worst when they were registered
  pairs.csv                 a row a result (`PAIR_COLUMNS`)
  landmarks.csv             a row a landmark and result (`LANDMARK_COLUMNS`)
  labels.csv                a row a label and result (`LABEL_COLUMNS`)
  summary.json              the aggregate, below
  tables/*.md *.csv *.tex   `accuracy` with the tests of section 2.4.3, `cost`, `robustness` (if images were perturbed)
  figures/*.png             `cumulative_tre`, `box_MEASURE`, `robustness_KIND_MEASURE`
  worst/NN_METHOD_CASE.png  the worst cases of the unperturbed condition, worst first within each method
```

A condition is a perturbation at a strength; the unperturbed one has the perturbation `none` and an empty strength (null
in JSON). Perturbations change the images that a method sees; every measure is taken on the unperturbed images, warped
once by the transform that was found.

CSV: UTF-8, comma, `.` as decimal point, a header row. A cell is empty where a measure is undefined or a result failed;
why stands in `undefined` and `reason`. In JSON an undefined measure is null. `*_before` is the same measure with the
images as they lie. Units are in the names; Dice, SSIM, NCC, NMI, SDlogJ have none.

`summary.json`:

- `format`: `robustdir-cohort-2`; `sha256`: checksum over all else, by which a change by hand is known.
- `created`, `command`, `versions`: when, how to repeat it, of what software.
- `dataset`: `name`, `path`, `kind`, `split`, `cases`, `subjects` (the last two are numbers).
- `methods`: list of `name`, `title`, `settings` (plain values; of our own with the model's name and SHA-256), in order.
- `conditions`: list of `perturbation`, `strength`; the unperturbed first.
- `terms`: `masks`, `spacing`, and both in `words`: what every method was given alike.
- `counts`: `planned`, `done`, `failed`, `missing` results.
- `failures`: list of `case`, `method`, `perturbation`, `strength`, `reason`.
- `primary`: the measure that ranks cases: `tre_mean_mm`, else `dice`, else `nmi`; null if nothing is done.
- `measures`: list of `name`, `title`, `unit`, `better` (`low` or `high`), in the order of tables; those with values.
- `summary`: list of `method`, `perturbation`, `strength`, `measure`, `pairs`, `subjects`, `mean`, `sd`, `median`, `q1`,
  `q3`, `low`, `high` (95 % bootstrap interval of the median), over per-subject averages; the method `before` is the
  start.
- `tests`: `evaluation.statistics.Comparison.plain()` of the unperturbed condition; null with a `tests_reason`.
- `start_tests`: list of `measure` and `evaluation.significance.PairTest.plain()`, of every method (`first`) against the
  start (`second`: `before`) in the unperturbed condition; Bonferroni counts these.
- `files`: the checksums of `pairs.csv`, `landmarks.csv` and `labels.csv`.
- `tables`, `figures`: lists of `file`, `title`, `caption`; files relative to the folder.
- `worst`: list of `rank` (within the method), `case`, `subject`, `method`, `measure`, `value`, `before`, `picture` (a
  file or null).
- `notes`: sentences that a reader should see: resampled maps, labels left out, damaged results, unlike threads.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from RobustDIRLib.configuration import read_json
from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.measures import COHORT, MEASURES, Kind, named
from RobustDIRLib.io.checksums import is_sealed, sha256
from RobustDIRLib.io.csv_cells import from_cell
from RobustDIRLib.io.files import read_text
from RobustDIRLib.run_files import EVALUATION, SUMMARY

RESULTS, CANDIDATES = "results", "candidates"
PAIRS, LANDMARKS, LABELS = "pairs.csv", "landmarks.csv", "labels.csv"
TABLES, FIGURES, WORST = "tables", "figures", "worst"
WRITTEN = (EVALUATION, RESULTS, CANDIDATES, PAIRS, LANDMARKS, LABELS, SUMMARY, TABLES, FIGURES, WORST)
UNPERTURBED = "none"
BEFORE = "before"  # the start, where it stands among methods
SUMMARY_FORMAT = "robustdir-cohort-2"


KEY_COLUMNS = ("case", "subject", "method", "perturbation", "strength")
PAIR_COLUMNS = (
    *KEY_COLUMNS,
    "status",  # done, failed, or missing (planned but not there)
    "reason",  # why it failed
    "landmarks",  # how many
    "labels",  # how many both maps hold
    *(column for measure in COHORT for column in (measure.before, measure.name) if column),
    "threads",
    "spacing_mm",  # side of a working voxel, the same for every method
    "undefined",  # `measure: reason; measure: reason`
    "notes",  # sentences, ` | ` between them
)
LANDMARK_COLUMNS = (
    *KEY_COLUMNS,
    "landmark",  # its name
    *("fixed_x_mm", "fixed_y_mm", "fixed_z_mm"),  # where it is in the fixed image, LPS
    *("tre_before_mm", "tre_mm"),
)
LABEL_COLUMNS = (
    *KEY_COLUMNS,
    "label",  # its number
    "name",  # what the label maps call it; empty if they do not
    *("fixed_voxels", "warped_voxels"),  # both on the fixed grid
    *(name for one in MEASURES if one.kind is Kind.LABELS for name in (one.before, one.name)),
    *named(Kind.JACOBIAN),  # within the fixed label
    "reason",  # why cells are empty: only in one of both maps, vanished after warping
)

RANKING = ("tre_mean_mm", "dice", "nmi")  # the first that a pair has ranks it


def is_whole(summary: Mapping[str, Any]) -> bool:
    """Whether a summary is of this form, and all of it is what was written."""
    return summary.get("format") == SUMMARY_FORMAT and is_sealed(summary)


def read_summary(folder: Path) -> dict[str, Any]:
    """What `summary.json` says.

    Raises:
        InputError: If the evaluation is not summed up yet, or the file was changed since, or by another version.
    """
    path = folder / SUMMARY
    if not path.is_file():
        raise InputError(f"{folder} is not summed up yet; sum it up with `aggregate`.")
    summary = read_json(path)
    if not isinstance(summary, dict) or summary.get("format") != SUMMARY_FORMAT:
        raise InputError(f"{path} is no summary of the form {SUMMARY_FORMAT!r}; sum up again with `aggregate`.")
    if not is_whole(summary):
        raise InputError(f"{path} was changed after it was written; sum up again with `aggregate`.")
    return summary


def read_pairs(folder: Path, summary: Mapping[str, Any]) -> list[dict[str, str]]:
    """The rows of `pairs.csv`, by `PAIR_COLUMNS`.

    Raises:
        InputError: If it is not the table that was summed up.
    """
    path = folder / PAIRS
    if not path.is_file() or sha256(path) != summary["files"][PAIRS]:
        raise InputError(f"{path} is not the table that was summed up; sum up again with `aggregate`.")
    table = csv.DictReader(io.StringIO(read_text(path), newline=""))
    return [{name: from_cell(text) for name, text in row.items()} for row in table]
