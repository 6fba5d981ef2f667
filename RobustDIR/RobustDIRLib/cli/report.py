"""`robustdir report`: what the folder of a run or of an evaluation holds as one HTML file to look at, file and sign."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from RobustDIRLib.evaluation.measures import CRITERIA

if TYPE_CHECKING:
    from RobustDIRLib.evaluation.tolerances import Tolerances
    from RobustDIRLib.report.pair.review import Review

_OF_PAIRS = ("tolerances", "tolerance", "reviewer", "decision", "comment", "date", "review", "shown")
_EPILOG = f"""\
Without -o, report.html goes into FOLDER, of a registration also report.json and report.csv. Tolerances are
{", ".join(one.name for one in CRITERIA)}; a limit is a number,
`voxel` (the largest voxel side of the fixed image), `off` or `default`. They are kept in FOLDER as tolerances.json and
hold for later reports and reviews until they are given anew. A review goes into review.json in FOLDER, with the limits
it was made under, and into the report. Exit code 1: the report was made, and a file in FOLDER is not the one that the
run wrote.
"""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("report", help="report of a registration or an evaluation", epilog=_EPILOG)
    parser.add_argument("folder", metavar="FOLDER", help="what `robustdir register` or `robustdir evaluate` wrote")
    parser.add_argument("-o", "--output", metavar="FILE", help="one file: .html, of a registration also .json or .csv")
    parser.add_argument("--shown", metavar="FILE", help="JSON of 3D Slicer's panel: patient, nodes, figures")
    limits = parser.add_argument_group("tolerances of a registration")
    limits.add_argument("--tolerances", metavar="FILE", help="JSON object of limits by name")
    limits.add_argument(
        "--tolerance", metavar="NAME=LIMIT", action="append", default=[], help="one limit; repeatable, beats the file"
    )
    review = parser.add_argument_group("review of a registration")
    review.add_argument("--reviewer", metavar="NAME", help="who reviewed the registration; needs --decision")
    review.add_argument("--decision", choices=("accept", "reject"), help="what the reviewer decided")
    review.add_argument("--comment", metavar="TEXT", default="", help="what the reviewer says")
    review.add_argument("--date", metavar="YYYY-MM-DD", help="of the review (default: today)")
    review.add_argument("--review", metavar="FILE", help="take in a review.json saved from an opened report")


def run(args: argparse.Namespace) -> int:
    """Take in a review if there is one, write the report, and sum up; returns 0."""
    from RobustDIRLib.report.cohort.folder import is_cohort

    return _report_cohort(args) if is_cohort(args.folder) else _report_pair(args)


def _report_cohort(args: argparse.Namespace) -> int:
    from RobustDIRLib.errors import InputError
    from RobustDIRLib.report.write import write_cohort_report

    if foreign := [name for name in _OF_PAIRS if getattr(args, name)]:
        raise InputError(
            f"--{foreign[0]}: {args.folder} is the folder of an evaluation; limits and reviews are of one registration."
        )
    print(f"report: {write_cohort_report(args.folder, args.output)}")
    return 0


def _report_pair(args: argparse.Namespace) -> int:
    from RobustDIRLib.io.checksums import sha256
    from RobustDIRLib.io.files import existing_file
    from RobustDIRLib.report.pair.review import add_reviews
    from RobustDIRLib.report.pair.run_folder import record_file
    from RobustDIRLib.report.pair.shown import read_shown
    from RobustDIRLib.report.write import planned_files, write_pair_report

    planned_files(args.folder, args.output)
    checksum = sha256(record_file(args.folder))
    shown = read_shown(existing_file(args.shown)) if args.shown else None
    tolerances, remarks = _tolerances(args)
    reviews = _reviews(args, tolerances, checksum)
    remarks += _keep_limits(args, tolerances)
    add_reviews(Path(args.folder), reviews, checksum)
    written = write_pair_report(args.folder, args.output, tolerances, shown, remarks)
    for sentence in written.report.warnings:
        print(f"warning: {sentence}")
    for one in written.report.judgements:
        value = "" if one.figure.value is None else f"{one.figure.value:.4g} {one.criterion.unit}".rstrip()
        print(f"{one.verdict.symbol} {one.verdict.value:17}  {one.criterion.title}: {value or one.figure.note}")
    print(written.report.summary)
    if written.lacking:
        print(f"note: {written.lacking}")
    print(f"report: {', '.join(map(str, written.files))}")
    return int(bool(written.report.run.strangers))


def _tolerances(args: argparse.Namespace) -> tuple[Tolerances, tuple[str, ...]]:
    """The limits: those kept with the run, or of a file, with those that are given; and what is to be said of them."""
    from RobustDIRLib.configuration import read_json
    from RobustDIRLib.evaluation.tolerances import Tolerances
    from RobustDIRLib.report.pair.review import kept_limits

    if args.tolerances:
        return Tolerances.from_json(read_json(Path(args.tolerances)), args.tolerances).edited(args.tolerance), ()
    kept, remarks = kept_limits(args.folder)
    return kept.edited(args.tolerance), remarks


def _keep_limits(args: argparse.Namespace, tolerances: Tolerances) -> tuple[str, ...]:
    """Keep limits that were given for the reports that follow; gives what is to be said of it."""
    from RobustDIRLib.errors import InputError
    from RobustDIRLib.report.pair.review import keep_limits

    if args.tolerances or args.tolerance:
        try:
            keep_limits(args.folder, tolerances)
        except InputError as error:  # the report can still be made, elsewhere
            return (f"The limits were not kept for later reports: {error}",)
    return ()


def _reviews(args: argparse.Namespace, tolerances: Tolerances, checksum: str) -> list[Review]:
    """The reviews that are to be added, with the limits that the one given here was made under."""
    from RobustDIRLib.errors import InputError
    from RobustDIRLib.io.files import existing_file
    from RobustDIRLib.report.pair.review import Review, read_reviews

    if bool(args.reviewer) != bool(args.decision):
        raise InputError("--reviewer and --decision go together: who decided, and what; give both.")
    if not args.reviewer and (args.comment or args.date):
        raise InputError("--comment and --date belong to a review; give --reviewer and --decision as well.")
    reviews = list(read_reviews(existing_file(args.review))) if args.review else []
    if args.reviewer:
        day = args.date or date.today().isoformat()
        try:
            limits = tolerances.to_json()
            reviews.append(Review(args.reviewer.strip(), day, args.decision, args.comment.strip(), checksum, limits))
        except ValueError as error:
            raise InputError(f"--reviewer, --date: {error}.") from error
    return reviews
