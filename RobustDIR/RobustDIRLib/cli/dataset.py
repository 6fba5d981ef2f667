"""`robustdir dataset`: look through a data set, share its subjects out, list the kinds that are known."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from RobustDIRLib.cli import as_path

if TYPE_CHECKING:
    from RobustDIRLib.datasets.cases import Case, Dataset
    from RobustDIRLib.datasets.checking import CaseSummary
    from RobustDIRLib.finetuning.split import Part
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

_HEADERS_ALONE = "note: headers alone were read; --read tells of NaN, infinite and constant volumes as well."


def add_parser(subparsers: Any) -> None:
    """Add the subcommand and its own: check, split, show, list."""
    parser = subparsers.add_parser("dataset", help="check a data set, share its subjects out, list the known kinds")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check",
        help="what a data set holds, or everything that is wrong with it",
        description="Open a data set in place and tell its cases, or everything that is wrong with it (exit code 2).",
        epilog=_FILE_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_dataset(check)
    check.add_argument("--read", action="store_true", help="read every voxel as well: NaN, infinite, constant")
    check.add_argument("--thumbnails", type=as_path, metavar="FOLDER", help="write a small picture of each case there")
    check.add_argument("--progress", choices=("text", "json"), default="text", help="lines to read, or JSON lines")
    split = actions.add_parser(
        "split",
        help="share the subjects of a data set out, or check how they are",
        description="Share the subjects out for teaching, validation and testing; refused are subjects, or scans of "
        "one content, on two sides (exit code 2). `robustdir finetune --split FILE` takes what -o writes.",
    )
    _add_dataset(split)
    split.add_argument(
        "--shares", type=float, nargs=3, metavar=("TRAIN", "VALIDATION", "TEST"), help="default: 0.7 0.1 0.2"
    )
    split.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    split.add_argument("--subjects", type=as_path, metavar="FILE", help="check this JSON file instead of drawing")
    split.add_argument("-o", "--output", type=as_path, metavar="FILE", help="JSON file to write")
    split.add_argument("--progress", choices=("text", "json"), default="text", help="lines to read, or a JSON line")
    show = actions.add_parser("show", help="write one case as plain MetaImage files and JSON, to be looked at")
    _add_dataset(show)
    show.add_argument("--case", required=True, metavar="NAME", help="of the case, as `dataset check` lists it")
    show.add_argument("-o", "--output", type=as_path, required=True, metavar="FOLDER", help="new or empty folder")
    actions.add_parser("list", help="kinds of data sets that are known")


def _add_dataset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=as_path, help="folder, its dataset.json, or a robustdir-dataset.json")
    parser.add_argument("--kind", default="auto", help="auto (default), or one of `robustdir dataset list`")
    parser.add_argument("--split", help="part of the set, where its kind has parts")


def run(args: argparse.Namespace) -> int:
    """Do what `args.action` says; returns 0."""
    {"check": _check, "split": _split, "show": _show, "list": _list}[args.action](args)
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
    from RobustDIRLib.datasets.problems import DatasetError

    try:
        dataset = open_dataset(args.path, args.kind, args.split)
        told = _tell_count(len(dataset.cases)) if args.progress == "json" else _Progress(len(dataset.cases))
        summaries = check_dataset(dataset, read=args.read, progress=told)
    except DatasetError as error:
        if args.progress == "json":
            _tell(*({"event": "problem", "message": problem} for problem in error.problems))
        raise
    if args.progress == "json":
        _tell(*_events(dataset, summaries))
    else:
        print(_text(dataset, summaries, read=args.read))
    if args.thumbnails:
        _write_thumbnails(dataset.cases, args.thumbnails, args.progress == "json")


def _write_thumbnails(cases: Sequence[Case], folder: Path, told: bool) -> None:
    from RobustDIRLib.datasets.thumbnails import write_thumbnail
    from RobustDIRLib.io.files import make_folder

    make_folder(folder)
    for number, case in enumerate(cases):
        file = folder / f"{number:04d}.png"
        write_thumbnail(file, case)
        if told:
            _tell({"event": "thumbnail", "case": case.name, "file": str(file.absolute())})


def _tell(*events: dict[str, Any]) -> None:
    for event in events:
        print(json.dumps(event), flush=True)


def _tell_count(cases: int) -> Callable[[int], None]:
    return lambda done: _tell({"event": "progress", "done": done, "cases": cases})


def _events(dataset: Dataset, summaries: Sequence[CaseSummary]) -> Iterator[dict[str, Any]]:
    """The data set, and each of its cases with the voxels that a network would work on."""
    from RobustDIRLib.presets import find_preset
    from RobustDIRLib.registration.preprocessing import working_grid

    notes = [*dataset.notes, *(remark for summary in summaries for remark in summary.remarks)]
    yield {
        "event": "dataset", "name": dataset.name, "kind": dataset.kind, "folder": str(dataset.folder), "notes": notes
    }  # fmt: skip
    for case, summary in zip(dataset.cases, summaries, strict=True):
        working = working_grid(summary.fixed, find_preset(summary.preset))
        yield {
            "event": "case",
            "name": case.name,
            "subjects": list(case.subjects),
            "preset": case.preset,
            "files": {role: str(path) for role, path in case.files().items()},
            "landmarks": summary.landmarks,
            "holds": list(summary.holds),
            "fixed": _sides(summary.fixed),
            "moving": _sides(summary.moving),
            "working_voxels": math.prod(working.shape),
        }


def _sides(grid: Grid) -> dict[str, Any]:
    return {"size": list(grid.size), "spacing": list(grid.spacing)}


def _show(args: argparse.Namespace) -> None:
    from RobustDIRLib.datasets.opening import open_dataset
    from RobustDIRLib.errors import InputError
    from RobustDIRLib.trainpanel.case_files import write_case

    dataset = open_dataset(args.path, args.kind, args.split)
    case = next((case for case in dataset.cases if case.name == args.case), None)
    if case is None:
        raise InputError(f"`case` {args.case}: {dataset.folder} has no such case; `dataset check` lists them.")
    if args.output.is_dir() and any(args.output.iterdir()):
        raise InputError(f"{args.output} is not empty; name a new folder.")
    write_case(case.load(), None, args.output)


def _split(args: argparse.Namespace) -> None:
    from RobustDIRLib.configuration import from_dict, read_json
    from RobustDIRLib.datasets.opening import open_dataset
    from RobustDIRLib.errors import InputError
    from RobustDIRLib.finetuning.config import SPLITS, SplitConfig
    from RobustDIRLib.finetuning.split import split_dataset
    from RobustDIRLib.io.files import refuse_inputs, write_json

    if args.subjects and args.shares:
        raise InputError("`subjects` and `shares` exclude each other; give one.")
    settings = read_json(args.subjects) if args.subjects else {"seed": args.seed}
    if args.shares:
        settings["shares"] = args.shares
    config = from_dict(SplitConfig, settings, str(args.subjects or "split"))
    dataset = open_dataset(args.path, args.kind, args.split)
    parts = split_dataset(dataset, config)
    shared = {name: list(parts[name].subjects) for name in SPLITS}
    if args.output:
        refuse_inputs([args.output], [dataset.folder, *filter(None, [args.subjects])])
        write_json(args.output, shared)
    if args.progress == "json":
        _tell({"event": "split", **shared, **_counts(parts)})
    else:
        print("\n".join(f"{name:<11}{len(names):>4}  {', '.join(names)}".rstrip() for name, names in shared.items()))


def _counts(parts: dict[str, Part]) -> dict[str, dict[str, int]]:
    cases, scans = ({name: len(getattr(part, what)) for name, part in parts.items()} for what in ("cases", "scans"))
    return {"cases": cases, "scans": scans}


class _Progress:
    """A line on the terminal that counts cases, and is gone at the end; nothing where there is no terminal."""

    def __init__(self, cases: int) -> None:
        self.cases = cases

    def __call__(self, done: int) -> None:
        if sys.stderr.isatty():
            text = f"case {done} of {self.cases}"
            print(f"\r{text if done < self.cases else ' ' * len(text)}\r", end="", file=sys.stderr, flush=True)


def _text(dataset: Dataset, summaries: tuple[CaseSummary, ...], *, read: bool) -> str:
    subjects = len({summary.subject for summary in summaries})
    lines = [f"{dataset.name}: {dataset.kind}, {len(summaries)} cases, {subjects} subjects, {dataset.folder}", ""]
    header = ("case", "subject", "preset", "fixed", "moving", "comes with")
    rows = [header, *(_row(summary) for summary in summaries)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(header))]
    lines += ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    remarks = [remark for summary in summaries for remark in summary.remarks]
    lines += [""] if read else ["", _HEADERS_ALONE]
    lines += [*(f"note: {note}" for note in (*dataset.notes, *remarks)), "no problems found"]
    return "\n".join(lines)


def _row(summary: CaseSummary) -> tuple[str, ...]:
    holds = ", ".join(summary.holds) or "nothing"
    return summary.name, summary.subject, summary.preset, _grid(summary.fixed), _grid(summary.moving), holds


def _grid(grid: Grid) -> str:
    size, spacing = (" x ".join(f"{n:.3g}" for n in values) for values in (grid.size, grid.spacing))
    return f"{size}, {spacing} mm"
