"""`robustdir deformation-model build DATASET -o FOLDER`: what deformations of a data set are like, to draw new ones."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from RobustDIRLib.cli import as_path
from RobustDIRLib.model_store import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from RobustDIRLib.datasets.cases import Case, Dataset

_DESCRIPTION = """\
Register pairs of DATASET and learn how their deformations vary (mean and principal components of B-spline
coefficients). Fine-tuning draws virtual subjects from FOLDER/deformation_model.npz. Run the same command again after an
interruption: pairs that are done are kept.
"""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("deformation-model", help="learn how deformations of a data set vary")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser("build", help="build a model", description=_DESCRIPTION)
    build.add_argument("dataset", metavar="DATASET", help="folder of a data set, or robustdir-dataset.json")
    build.add_argument("-o", "--output", type=as_path, required=True, metavar="FOLDER", help="where the model goes")
    build.add_argument("--kind", default="auto", help="of the data set (default: auto)")
    build.add_argument("--part", metavar="PART", help="of the data set, where it has parts")
    build.add_argument(
        "--subjects", type=as_path, metavar="FILE", help="JSON file of a split: pairs of its train alone"
    )
    build.add_argument("--pairs", type=int, default=50, metavar="N", help="at most (default: 50)")
    build.add_argument("--method", default=DEFAULT_MODEL, metavar="M", help="a model or rival (default: %(default)s)")
    build.add_argument("--threads", type=int, default=1, metavar="N", help="of the method (default: 1)")
    build.add_argument("--progress", choices=("text", "json"), default="text", help="lines to read, or JSON lines")
    show = actions.add_parser("show", help="what a model was built from and how its samples are")
    show.add_argument("file", type=as_path, metavar="FILE", help="deformation_model.npz")


def run(args: argparse.Namespace) -> int:
    """Build or show a model; returns 0."""
    if args.action == "show":
        from RobustDIRLib.finetuning.deformation_model import load_deformation_model

        print(json.dumps(dict(load_deformation_model(args.file).card), indent=1))
        return 0
    return _build(args)


def _build(args: argparse.Namespace) -> int:
    from RobustDIRLib.baselines.registry import find_method
    from RobustDIRLib.datasets.opening import open_dataset
    from RobustDIRLib.errors import InputError
    from RobustDIRLib.finetuning.deformation_building import Building, build

    if args.pairs < 2 or args.threads < 1:
        raise InputError("--pairs must be at least 2 and --threads at least 1.")
    dataset = open_dataset(args.dataset, args.kind, args.part)
    cases = _chosen(dataset, args)[: args.pairs]
    building = Building(dataset.name, cases, find_method(args.method), args.threads)
    for record in build(building, args.output):
        print(json.dumps(record) if args.progress == "json" else _line(record), flush=True)
    return 0


def _chosen(dataset: Dataset, args: argparse.Namespace) -> Sequence[Case]:
    """The cases of training subjects alone, where a split is given: no test subject may shape what is learnt from."""
    from RobustDIRLib.datasets.subjects import of_subjects, read_subjects
    from RobustDIRLib.errors import InputError

    if args.subjects is None:
        return dataset.cases
    chosen = of_subjects(dataset, read_subjects(args.subjects, "train")).cases
    if len(chosen) < 2:
        raise InputError(f"{args.subjects}: under two pairs are of subjects in its part train; list more.")
    return chosen


def _line(record: dict[str, Any]) -> str:
    if record["kind"] == "pair":
        ended = f"could not be registered: {record['error']}" if "error" in record else "done"
        return f"{record['pair']}/{record['pairs']} {record['case']}: {ended}"
    z, y, x = record["components"]
    return (
        f"{record['pairs']} pairs, {z}, {y} and {x} components along z, y and x; of {record['samples']} samples "
        f"folding {record['folding_percent_mean']:.3f} % (worst {record['folding_percent_max']:.3f} %), SDlogJ "
        f"{record['sdlogj_mean']:.2f}"
    )
