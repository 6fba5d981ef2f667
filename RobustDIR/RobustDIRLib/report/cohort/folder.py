"""The folder of an evaluation as its report reads it; `cohort.files` says what lies in it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from RobustDIRLib.cohort.files import PAIRS, UNPERTURBED, read_pairs, read_summary
from RobustDIRLib.io.checksums import sha256
from RobustDIRLib.io.files import PathLike
from RobustDIRLib.run_files import EVALUATION, SUMMARY

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
        """A picture of the folder, by the name `summary.json` gives; None if there is none such, or it is damaged."""
        if not name:
            return None
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.folder.resolve()) or not path.is_file():
            return None
        content = path.read_bytes()
        return content if content.startswith(_PNG) and _can_be_drawn(content) else None


def _can_be_drawn(content: bytes) -> bool:
    """Whether a picture is whole."""
    from PIL import Image as Picture

    try:
        with Picture.open(io.BytesIO(content)) as opened:
            opened.load()
    except (OSError, SyntaxError, ValueError, Picture.DecompressionBombError):
        return False
    return True


def is_cohort(folder: PathLike) -> bool:
    """Whether a folder is one of `robustdir evaluate`."""
    return any((Path(folder) / name).is_file() for name in (EVALUATION, SUMMARY))


def read_cohort(folder: PathLike) -> Cohort:
    """Read what an evaluation has summed up.

    Raises:
        InputError: If it is not summed up yet, or its summary was changed since.
    """
    folder = Path(folder).absolute()
    summary = read_summary(folder)
    files = {name: sha256(folder / name) for name in (SUMMARY, *summary["files"]) if (folder / name).is_file()}
    changed = [name for name, checksum in summary["files"].items() if files.get(name) != checksum]
    warnings = tuple(
        f"{folder / name} is not the table that was summed up, and is left out; sum up again with `aggregate`."
        for name in changed
    )
    cases = _cases(folder, summary) if PAIRS not in changed else ()
    return Cohort(folder, summary, cases, {name: files[name] for name in files if name not in changed}, warnings)


def _cases(folder: Path, summary: Mapping[str, Any]) -> tuple[CaseRow, ...]:
    """Every case by the measure that ranks them."""
    measure = summary["primary"]
    rows = [row for row in read_pairs(folder, summary) if row["perturbation"] == UNPERTURBED]
    return _by_case(rows, measure) if measure else ()


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
