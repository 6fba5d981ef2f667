"""`robustdir dataset`: look through a data set before a study is run on it, list the kinds that are known."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from RobustDIRLib.datasets.cases import Dataset
    from RobustDIRLib.datasets.checking import CaseSummary
    from RobustDIRLib.geometry import Grid

_FILE_HELP = """\
A robustdir-dataset.json lies in the data set's folder, or elsewhere and names it:

  {"folder": "/data/liver", "preset": "generic",
   "pattern": {"fixed": "{subject}/exhale.nii.gz", "moving": "{subject}/{phase}.nii.gz",
               "fixed_landmarks": "{subject}/exhale.csv", "moving_landmarks": "{subject}/{phase}.csv"}}
  {"folder": "/data/mice", "scans": {"image": "images/{scan}.nii.gz", "labels": "labels/{scan}.nii.gz"},
   "pairing": "neighbours", "limit": 8}
  {"folder": "/data/hippocampus", "kind": "learn2reg", "pairing": "neighbours", "limit": 20}

{...} stands for a part of a name, * for anything in one. A pattern makes a case of every file that "moving" fits
(fixed_mask, moving_mask, fixed_labels, moving_labels as well); "scans" pairs images with one another: neighbours
(1-2, 3-4), chain (1-2, 2-3), first (1-2, 1-3) or all. "cases" lists cases by their paths. Also: name, split, per_site
(scans a hospital, IXI), listing (of several *_dataset.json), links (true: follow links out of the folder)."""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand and its own: check, list."""
    parser = subparsers.add_parser("dataset", help="check a data set, list the kinds that are known")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check",
        help="what a data set holds, or everything that is wrong with it",
        description="Open a data set in place and tell its cases, or everything that is wrong with it (exit code 2).",
        epilog=_FILE_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("path", type=Path, help="folder, its dataset.json, or a robustdir-dataset.json")
    check.add_argument("--kind", default="auto", help="auto (default), or one of `robustdir dataset list`")
    check.add_argument("--split", help="part of the set, where its kind has parts")
    check.add_argument("--read", action="store_true", help="read every voxel as well, not headers alone")
    actions.add_parser("list", help="kinds of data sets that are known")


def run(args: argparse.Namespace) -> int:
    """Do what `args.action` says; returns 0."""
    {"check": _check, "list": _list}[args.action](args)
    return 0


def _list(args: argparse.Namespace) -> None:
    from RobustDIRLib.datasets.opening import KINDS

    width = max(map(len, KINDS))
    for name, kind in KINDS.items():
        split = f" (--split {kind.split})" if kind.split else ""
        print(f"{name:{width}}  {kind.summary}{split}")


def _check(args: argparse.Namespace) -> None:
    from RobustDIRLib.datasets.checking import check_dataset
    from RobustDIRLib.datasets.opening import open_dataset

    dataset = open_dataset(args.path, args.kind, args.split)
    summaries = check_dataset(dataset, read=args.read, progress=_Progress(len(dataset.cases)))
    print(_text(dataset, summaries))


class _Progress:
    """A line on the terminal that counts cases, and is gone at the end; nothing where there is no terminal."""

    def __init__(self, cases: int) -> None:
        self.cases = cases

    def __call__(self, done: int) -> None:
        if sys.stderr.isatty():
            text = f"case {done} of {self.cases}"
            print(f"\r{text if done < self.cases else ' ' * len(text)}\r", end="", file=sys.stderr, flush=True)


def _text(dataset: Dataset, summaries: tuple[CaseSummary, ...]) -> str:
    subjects = len({summary.subject for summary in summaries})
    lines = [f"{dataset.name}: {dataset.kind}, {len(summaries)} cases, {subjects} subjects, {dataset.folder}", ""]
    header = ("case", "subject", "preset", "fixed", "moving", "comes with")
    rows = [header, *(_row(summary) for summary in summaries)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(header))]
    lines += ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    remarks = [remark for summary in summaries for remark in summary.remarks]
    lines += ["", *(f"note: {note}" for note in (*dataset.notes, *remarks)), "no problems found"]
    return "\n".join(lines)


def _row(summary: CaseSummary) -> tuple[str, ...]:
    holds = ", ".join(summary.holds) or "nothing"
    return summary.name, summary.subject, summary.preset, _grid(summary.fixed), _grid(summary.moving), holds


def _grid(grid: Grid) -> str:
    size, spacing = (" x ".join(f"{n:.3g}" for n in values) for values in (grid.size, grid.spacing))
    return f"{size}, {spacing} mm"
