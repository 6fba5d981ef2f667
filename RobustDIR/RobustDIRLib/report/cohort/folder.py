"""The folder of an evaluation as its report reads it; `cohort.files` says what lies in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from RobustDIRLib.cohort.files import LABELS, LANDMARKS, PAIRS, SUMMARY_FORMAT, UNPERTURBED
from RobustDIRLib.configuration import read_json
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.checksums import sha256
from RobustDIRLib.io.csv_cells import from_cell
from RobustDIRLib.io.files import PathLike, read_text
from RobustDIRLib.run_files import EVALUATION, SUMMARY

_KEYS = {
    "created": str,
    "command": str,
    "versions": dict,
    "dataset": dict,
    "methods": list,
    "conditions": list,
    "counts": dict,
    "failures": list,
    "measures": list,
    "summary": list,
    "tables": list,
    "figures": list,
    "worst": list,
    "notes": list,
}
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class CaseRow:
    """One case by the measure that ranks cases.

    Attributes:
        case: Its name.
        before: The measure as the images lie; None where undefined.
        values: By method; None where undefined.
        reasons: By method, why there is no value; empty where there is one.
    """

    case: str
    before: float | None
    values: Mapping[str, float | None]
    reasons: Mapping[str, str]


@dataclass(frozen=True)
class Cohort:
    """A folder of `robustdir evaluate`.

    Attributes:
        folder: Absolute.
        summary: What `summary.json` says.
        cases: Of the unperturbed condition, in the order of `pairs.csv`.
        files: Names and checksums of the files with numbers.
        warnings: What cannot be shown, and why.
    """

    folder: Path
    summary: Mapping[str, Any]
    cases: tuple[CaseRow, ...]
    files: Mapping[str, str]
    warnings: tuple[str, ...]

    def picture(self, name: str | None) -> bytes | None:
        """A picture of the folder, by the name `summary.json` gives; None if there is none such."""
        if not name:
            return None
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.folder.resolve()) or not path.is_file():
            return None
        content = path.read_bytes()
        return content if content.startswith(_PNG) else None


def is_cohort(folder: PathLike) -> bool:
    """Whether a folder is one of `robustdir evaluate`."""
    return any((Path(folder) / name).is_file() for name in (EVALUATION, SUMMARY))


def read_cohort(folder: PathLike) -> Cohort:
    """Read what an evaluation has summed up.

    Raises:
        InputError: If it is not summed up yet, or its summary is damaged.
    """
    folder = Path(folder).absolute()
    path = folder / SUMMARY
    if not path.is_file():
        raise InputError(f"{folder} is not summed up yet; sum it up with `aggregate`.")
    summary = read_json(path)
    if not isinstance(summary, dict) or summary.get("format") != SUMMARY_FORMAT:
        raise InputError(f"{path} is no summary of the form {SUMMARY_FORMAT!r}; sum up again with `aggregate`.")
    if wrong := [key for key, kind in _KEYS.items() if not isinstance(summary.get(key), kind)]:
        raise InputError(f"{path} lacks {', '.join(wrong)}; sum up again with `aggregate`.")
    warnings: list[str] = []
    cases = _cases(folder, summary, warnings)
    names = [name for name in (SUMMARY, PAIRS, LANDMARKS, LABELS) if (folder / name).is_file()]
    return Cohort(folder, summary, cases, {name: sha256(folder / name) for name in names}, tuple(warnings))


def _cases(folder: Path, summary: Mapping[str, Any], warnings: list[str]) -> tuple[CaseRow, ...]:
    """Every case by the measure that ranks them."""
    measure = summary.get("primary")
    if not measure:
        return ()
    try:
        table = csv.DictReader(io.StringIO(read_text(folder / PAIRS), newline=""))
        rows = [{name: from_cell(text or "") for name, text in row.items()} for row in table]
        return _by_case([row for row in rows if row["perturbation"] == UNPERTURBED], measure)
    except InputError as error:
        warnings.append(str(error))
    except (KeyError, ValueError, TypeError, csv.Error):
        warnings.append(f"{folder / PAIRS} is damaged; sum up again with `aggregate`.")
    return ()


def _by_case(rows: list[dict[str, str]], measure: str) -> tuple[CaseRow, ...]:
    before = measure.removesuffix("_mm") + "_before" + ("_mm" if measure.endswith("_mm") else "")
    found: dict[str, CaseRow] = {}
    for row in rows:
        one = found.setdefault(row["case"], CaseRow(row["case"], _number(row[before]), {}, {}))
        value = _number(row[measure])
        reason = row["reason"] or row["undefined"] or f"the result is {row['status']}"
        found[row["case"]] = CaseRow(
            case=one.case,
            before=_number(row[before]) if one.before is None else one.before,
            values={**one.values, row["method"]: value},
            reasons={**one.reasons, row["method"]: "" if value is not None else reason},
        )
    return tuple(found.values())


def _number(cell: str) -> float | None:
    return float(cell) if cell else None
