"""Writes reports: of a pair in any of three formats, of a cohort as HTML, beside what they are of or elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from RobustDIRLib.cohort.files import PAIRS
from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.tolerances import Tolerances
from RobustDIRLib.io.files import PathLike, check_extension, refuse_inputs, written_atomically
from RobustDIRLib.report.cohort.folder import read_cohort
from RobustDIRLib.report.cohort.page import cohort_html
from RobustDIRLib.report.html import check_extra
from RobustDIRLib.report.pair.gather import gather
from RobustDIRLib.report.pair.page import pair_html
from RobustDIRLib.report.pair.report import PairReport, as_csv, as_json
from RobustDIRLib.report.pair.review import FILE as REVIEWS
from RobustDIRLib.report.pair.review import LIMITS_FILE as LIMITS
from RobustDIRLib.report.pair.review import kept_limits
from RobustDIRLib.report.pair.run_folder import read_run
from RobustDIRLib.report.pair.shown import Shown
from RobustDIRLib.run_files import RECORD, SUMMARY

NAME = "report"
EXTENSIONS = (".html", ".json", ".csv")


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        report: What it says.
        files: Where it went.
        lacking: Why there is no HTML file although none was named; empty if there is nothing to say.
    """

    report: PairReport
    files: tuple[Path, ...]
    lacking: str = ""


def write_pair_report(
    folder: PathLike,
    output: PathLike | None = None,
    tolerances: Tolerances | None = None,
    shown: Shown | None = None,
    remarks: tuple[str, ...] = (),
) -> Written:
    """Make the report of a run.

    Args:
        folder: Of `robustdir register`.
        output: A file that ends in one of `EXTENSIONS`; if not given, all three go into the run's folder, but for the
            HTML file where a package of the extra is missing.
        tolerances: The limits; those kept in the folder if not given.
        shown: What 3D Slicer's panel showed, if the report is its own.
        remarks: Further warnings.
    Raises:
        InputError: If it is no folder of a run, a file cannot be written, or an HTML file was named and a package of
            the extra is missing.
    """
    files, lacking = planned_files(folder, output)
    if tolerances is None:
        tolerances, remarks = kept_limits(folder)
    _refuse_own_files(Path(folder), files)
    report, material = gather(folder, tolerances, shown)
    report = replace(report, warnings=(*report.warnings, *remarks))
    for path in files:
        kind = path.suffix.lower()
        _write(
            path, pair_html(report, material) if kind == ".html" else {".json": as_json, ".csv": as_csv}[kind](report)
        )
    return Written(report, tuple(files), lacking)


def _refuse_own_files(folder: Path, files: Iterable[Path]) -> None:
    """Refuse to write over what the run read, or what its folder keeps of it.

    Raises:
        InputError: Names the file.
    """
    kept = [folder / name for name in (RECORD, REVIEWS, LIMITS)]
    refuse_inputs(files, [*kept, *(one.path for one in read_run(folder).inputs if one.path.is_file())])
    for path in files:  # those that are not there yet as well
        if path.resolve() in [one.resolve() for one in kept]:
            raise InputError(
                f"{path} would take the place of what the run's folder keeps; give the report another name."
            )


def write_cohort_report(folder: PathLike, output: PathLike | None = None) -> Path:
    """Make the report of an evaluation; its numbers lie beside it as CSV and JSON already.

    Args:
        folder: Of `robustdir evaluate`.
        output: An `.html` file; `report.html` in the folder if not given.
    Returns:
        Where it went.
    Raises:
        InputError: If the evaluation is not summed up, a package of the extra is missing, or the file cannot be
            written.
    """
    path = Path(folder).absolute() / f"{NAME}.html" if output is None else Path(output)
    check_extension(path, EXTENSIONS[:1], f"a report of an evaluation (its numbers lie in {PAIRS} and {SUMMARY})")
    check_extra()
    _write(path, cohort_html(read_cohort(folder)))
    return path


def _write(path: Path, text: str) -> None:
    with written_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def planned_files(folder: PathLike, output: PathLike | None) -> tuple[list[Path], str]:
    """What is to be written of a run, and why HTML is not among it; refuses before anything is computed.

    Raises:
        InputError: If the file that is named is none of `EXTENSIONS`, or a package for it is missing.
    """
    if output is not None:
        if check_extension(output, EXTENSIONS, "a report") == ".html":
            check_extra()
        return [Path(output)], ""
    lacking = ""
    try:
        check_extra()
    except InputError as error:
        lacking = str(error)
    names = EXTENSIONS[1:] if lacking else EXTENSIONS
    return [Path(folder).absolute() / f"{NAME}{kind}" for kind in names], lacking
