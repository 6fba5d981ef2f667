"""`robustdir evaluate`: register every case of a data set by several methods, measure, and sum up."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from RobustDIRLib.cli import as_path
from RobustDIRLib.cli.evaluate_screens import JsonScreen, Screen
from RobustDIRLib.cli.progress import KINDS, ended_by_sigterm
from RobustDIRLib.cli.repeating import remember_options, repeating_command
from RobustDIRLib.model_store import DEFAULT_MODEL

if TYPE_CHECKING:
    from RobustDIRLib.cohort.run import Counts, Request

_MOST = 1024
_DESCRIPTION = """\
Register every case of DATASET by every method and measure what came of it. Each result is a file of its own in
FOLDER: run the same command again after an interruption, and what is finished is kept. Several cases at once are shared
out by Dask (`pip install 'robustdir[cluster]'`), on this machine or on a cluster.
"""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "evaluate", help="compare methods on a data set", description=_DESCRIPTION, usage=_usage()
    )
    parser.add_argument("dataset", metavar="DATASET", nargs="?", help="folder of a data set, or robustdir-dataset.json")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="where results, tables and figures go")
    parser.add_argument("--aggregate", metavar="FOLDER", help="only sum up the results that FOLDER holds, once more")
    _add_what(parser.add_argument_group("what"))
    _add_how(parser.add_argument_group("how"))
    _add_machine(parser.add_argument_group("for programs that run this command"))
    remember_options(parser, unlike=("aggregate", "redo", "show", "case", "hand_over", "progress"))


def _usage() -> str:
    return (
        "robustdir evaluate DATASET -o FOLDER [--methods M,M,...] [--perturb KIND] [options]\n"
        "       robustdir evaluate --aggregate FOLDER"
    )


def _add_what(group: Any) -> None:
    group.add_argument(
        "--methods", default=f"none,linear,{DEFAULT_MODEL}", metavar="M,M,...",
        help="names with commas between: none, linear, a model's name or file, a rival (default: %(default)s)",
    )  # fmt: skip
    group.add_argument("--kind", default="auto", help="of the data set (default: auto; see `robustdir dataset`)")
    group.add_argument("--split", metavar="PART", help="part of the data set, where it has parts")
    group.add_argument(
        "--subjects", type=as_path, metavar="FILE",
        help="JSON list of subjects, or split.json of a fine-tuning, of which the part test: their pairs alone",
    )  # fmt: skip
    group.add_argument("--limit", type=int, metavar="N", help="the first N cases only")
    group.add_argument(
        "--perturb", action="append", default=[], metavar="KIND[=S,S,...]",
        help="also with images perturbed, at the kind's usual strengths or those given; repeatable",
    )  # fmt: skip
    group.add_argument(
        "--perturb-images", default="both", metavar="WHICH", help="which are perturbed: both (default), fixed or moving"
    )
    group.add_argument(
        "--masks", default="measure", metavar="WHAT",
        help="what the data set's masks are for: measure (default; similarity is measured inside, methods see whole "
        "images), use (methods get them, too) or ignore",
    )  # fmt: skip
    group.add_argument(
        "--spacing", default="automatic", metavar="WHAT",
        help="side of a working voxel, the same for every method: automatic (default; as `robustdir register` has it), "
        "native (of the images themselves), or mm",
    )  # fmt: skip
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of random perturbations (default: 0)")
    group.add_argument(
        "--worst", type=int, default=3, metavar="N", help="keep pictures of each method's N worst cases (default: 3)"
    )


def _add_how(group: Any) -> None:
    group.add_argument("--jobs", type=int, default=1, metavar="N", help="cases at once on this machine (default: 1)")
    group.add_argument(
        "--scheduler", metavar="ADDRESS",
        help="Dask cluster that works through the cases instead: its scheduler's address, or the file that it wrote",
    )  # fmt: skip
    group.add_argument(
        "--threads", type=int, metavar="N", help="of each job (default: the processors shared out; 1 on a cluster)"
    )
    group.add_argument("--device", default="auto", help="where networks run: auto (default), cpu, cuda or mps")
    group.add_argument("--redo", action="store_true", help="make results anew that were made with other settings")


def _add_machine(group: Any) -> None:
    group.add_argument("--progress", choices=KINDS, default="text", help="json: one JSON object a line")
    group.add_argument("--show", metavar="FOLDER", help="only register one case that FOLDER holds a result of, again")
    group.add_argument("--case", metavar="CASE", help="with --show: which one; --methods names the one method")
    group.add_argument("--hand-over", metavar="FOLDER", help="with --show: where plain files go (3D Slicer)")


def run(args: argparse.Namespace) -> int:
    """Evaluate, sum up or show a case alone; returns 0, or 1 if a result failed or is missing.

    With JSON lines the last one tells of failures instead: the evaluation itself has come to its end.
    """
    if args.aggregate:
        return _aggregate(args)
    if args.show:
        return _show(args)
    from RobustDIRLib.cohort.run import evaluate

    request, folder = _request(args), Path(args.output)
    screen = JsonScreen() if args.progress == "json" else Screen()
    try:
        with ended_by_sigterm():
            summary = evaluate(request, folder, screen)
    except KeyboardInterrupt:
        screen.say("what is finished is kept; the same command goes on from there")
        raise
    finally:
        screen.close()
    if isinstance(screen, JsonScreen):
        screen.concluded(summary.failed + summary.missing)
        return 0
    return _conclude(summary, folder)


def _show(args: argparse.Namespace) -> int:
    from RobustDIRLib.cohort.showing import register_again
    from RobustDIRLib.errors import InputError
    from RobustDIRLib.trainpanel.case_files import write_case

    if not (args.case and args.hand_over):
        raise InputError("--show FOLDER: give --case, --methods and --hand-over with it.")
    shown = register_again(Path(args.show), args.case, args.methods)
    write_case(shown.data, shown.outcome.transform, Path(args.hand_over), shown.notes)
    return 0


def _aggregate(args: argparse.Namespace) -> int:
    from RobustDIRLib.cohort.aggregate import aggregate
    from RobustDIRLib.cohort.plan import require_evaluation
    from RobustDIRLib.cohort.results import State
    from RobustDIRLib.cohort.run import Counts
    from RobustDIRLib.errors import InputError
    from RobustDIRLib.io.lock import Rank, locked

    if args.dataset or args.output:
        raise InputError("--aggregate FOLDER: give it alone; data set and methods are those the folder remembers.")
    folder = Path(args.aggregate)
    plan = require_evaluation(folder)
    with locked(folder, Rank.alone()):
        states = list(aggregate(folder, plan, print).values())
    done, failed = states.count(State.DONE), states.count(State.FAILED)
    return _conclude(Counts(done, failed, len(states) - done - failed), folder)


def _refuse_without_use(args: argparse.Namespace) -> None:
    """Refuse devices that no machine has, or this one lacks, and options that only `--show` heeds."""
    from RobustDIRLib.errors import InputError
    from RobustDIRLib.registration.devices import DEVICES, find_device

    if args.scheduler is None or args.device.partition(":")[0] not in DEVICES:  # a cluster's machines have their own
        find_device(args.device)
    for name in ("case", "hand_over"):
        if getattr(args, name):
            raise InputError(f"`{name}` goes with --show; leave it out, or say of which evaluation.")


def _refuse_numbers(args: argparse.Namespace) -> None:
    """Refuse numbers that cannot be meant."""
    from RobustDIRLib.errors import InputError

    for name, least in (("jobs", 1), ("threads", 1), ("limit", 1), ("worst", 0)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise InputError(f"--{name} {value}: give a whole number of at least {least}.")
        if value is not None and name in ("jobs", "threads") and value > _MOST:
            raise InputError(f"--{name} {value}: give a whole number of at most {_MOST}.")


def _request(args: argparse.Namespace) -> Request:
    """The request, checked before anything is opened."""
    from RobustDIRLib.cohort.run import Request
    from RobustDIRLib.cohort.terms import Perturbations, Terms
    from RobustDIRLib.errors import InputError

    if not args.dataset:
        raise InputError("DATASET is missing; give the folder of a data set, or --aggregate FOLDER.")
    if not args.output:
        raise InputError("--output is missing; give the folder for the results.")
    _refuse_numbers(args)
    _refuse_without_use(args)
    if args.scheduler and args.jobs > 1:
        raise InputError(
            f"--jobs {args.jobs}: the cluster of --scheduler says how many cases run at once; leave it out."
        )
    methods = _methods(args)
    if not methods:
        raise InputError("--methods: give at least one, for instance none,generic.")
    named = ("kind", "split", "subjects", "limit", "device", "jobs", "scheduler", "threads", "worst", "redo")
    how = {name: getattr(args, name) for name in named}
    command = _command(args)
    return Request(
        Path(args.dataset), methods, perturb=tuple(args.perturb), command=command,
        perturbations=Perturbations(args.perturb_images, args.seed), terms=Terms(args.masks, args.spacing), **how,
    )  # fmt: skip


def _methods(args: argparse.Namespace) -> tuple[str, ...]:
    """Methods by their names; files of models by their absolute paths, so that they are found from any folder."""
    from RobustDIRLib.baselines.registry import list_methods

    names, known = [name.strip() for name in args.methods.split(",") if name.strip()], list_methods()
    return tuple(str(Path(name).absolute()) if name not in known and Path(name).is_file() else name for name in names)


def _command(args: argparse.Namespace) -> str:
    """The command that repeats the evaluation, with the threads that were taken: figures repeat for equal numbers."""
    from RobustDIRLib.cohort.run import threads_of

    taken = {**vars(args), "threads": threads_of(args.jobs, args.threads, args.scheduler)}
    if args.scheduler and Path(args.scheduler).is_file():
        taken["scheduler"] = str(Path(args.scheduler).absolute())
    return repeating_command(argparse.Namespace(**taken), paths=("dataset", "output", "subjects"))


def _conclude(summary: Counts, folder: Path) -> int:
    from RobustDIRLib.cohort.summary import overview

    if summary.missing:
        total = summary.done + summary.failed + summary.missing
        print(f"{summary.missing} of {total} results are missing; run the evaluation again for them")
    if lines := overview(folder):
        print("", *lines, "", sep="\n")
    print(f"done: {summary.done} results; tables, figures and summary.json in {folder}")
    print(f"as one HTML file: robustdir report {shlex.quote(str(folder))}")
    if summary.failed:
        print(f"failed: {summary.failed} results; pairs.csv says why", file=sys.stderr)
    return int(summary.failed + summary.missing > 0)
