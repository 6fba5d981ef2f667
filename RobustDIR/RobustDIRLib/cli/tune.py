"""`robustdir tune DATASET -o FOLDER`: find learning rate and regularisation by a random search."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from RobustDIRLib.cli import as_path
from RobustDIRLib.cli.finetune import add_settings, settings_of

if TYPE_CHECKING:
    from RobustDIRLib.clusters import Place
    from RobustDIRLib.finetuning.config import TuneConfig

_DESCRIPTION = """\
Fine-tune with learning rates and weights of the gradient term drawn at random (17 runs in the paper's ranges), and keep
the best. Run the same command again to go on after an interruption. Several runs at once are shared out by Dask
(`pip install 'robustdir[cluster]'`), on this machine or on a cluster. Needs `pip install 'robustdir[tune]'`.
"""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("tune", help="find settings of fine-tuning", description=_DESCRIPTION)
    add_settings(parser)
    parser.add_argument("--trials", type=int, metavar="N", help="runs (default: 17)")
    parser.add_argument("--search", type=as_path, metavar="FILE", help="JSON file with ranges; see Documentation")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at once on this machine (default: 1)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="Dask cluster that does the runs: its address or file")
    parser.add_argument("--no-prune", action="store_true", help="never give a run up before its end")


def run(args: argparse.Namespace) -> int:
    """Search, printing a line for each epoch; returns 0, or 128 and the signal's number if one ended it early."""
    from RobustDIRLib.finetuning.tuning import tune

    search = _search(args)
    last: dict[str, Any] = {}

    def tell(record: dict[str, Any]) -> None:
        last.update(stopped=record["kind"] == "stop", signal=record.get("signal", 0))
        if args.progress == "json":
            print(json.dumps(record), flush=True)
        elif record["kind"] == "epoch":
            figures = ", ".join(f"{n} {record[n]:.4f}" for n in ("dice", "tre_mm", "loss") if n in record)
            print(f"trial {record['trial']:>2}, epoch {record['epoch']:>3}: {figures}", flush=True)

    def say(sentence: str) -> None:
        print(json.dumps({"kind": "note", "message": sentence}) if args.progress == "json" else sentence, flush=True)

    best = tune(settings_of(args), search, args.output, tell, _place(args, say), say)
    stopped = last.get("stopped", False)
    if args.progress == "json" and best:
        print(json.dumps({"kind": "best", **best}))
    elif best:
        print(
            f"best{' so far' if stopped else ''}: trial {best['trial']}, learning rate {best['learning_rate']:.2g}, "
            f"gradient {best['gradient']:.2g}, {best['value']:.4f}; model: {best['file']}"
        )
    if stopped and args.progress == "text":
        print("stopped; the same command goes on from there")
    return 128 + last["signal"] if last.get("signal") else 0


def _search(args: argparse.Namespace) -> TuneConfig:
    """What is searched for: the file's settings, and options before them."""
    from dataclasses import replace

    from RobustDIRLib.configuration import from_dict, read_json
    from RobustDIRLib.finetuning.config import TuneConfig

    search = from_dict(TuneConfig, read_json(args.search) if args.search else {}, str(args.search or "the search"))
    if args.trials is not None:
        search = from_dict(TuneConfig, {**vars(search), "trials": args.trials}, "--trials")
    return replace(search, prune=False) if args.no_prune else search


def _place(args: argparse.Namespace, say: Callable[[str], None]) -> Place:
    from RobustDIRLib.clusters import place_of
    from RobustDIRLib.errors import InputError

    if args.jobs < 1 or (args.scheduler and args.jobs > 1):
        raise InputError(f"--jobs {args.jobs}: give a whole number of at least 1, and none with --scheduler.")
    return place_of(args.jobs, args.scheduler, say)
