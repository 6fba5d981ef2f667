"""`robustdir study NAME SETTINGS.json -o FOLDER`: the paper's experiments, each one command, resumable."""

from __future__ import annotations

import argparse
import json
from typing import Any

from RobustDIRLib.cli import as_path

_DESCRIPTION = """\
Carry out one of the paper's studies on data of your own. FOLDER gets `table.md` (the paper's own numbers beside it),
`rows.json` and pictures, anew after every run. The same command goes on after an interruption.
"""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("study", help="repeat the paper's studies", description=_DESCRIPTION)
    parser.add_argument("name", metavar="NAME", help="of the study, or `list`")
    parser.add_argument("settings", type=as_path, metavar="SETTINGS", nargs="?", help="JSON file; see Recipes/studies")
    parser.add_argument("-o", "--output", type=as_path, metavar="FOLDER", help="where results go")
    parser.add_argument("--progress", choices=("text", "json"), default="text", help="lines to read, or JSON lines")


def run(args: argparse.Namespace) -> int:
    """Carry a study out, or list them; returns 0, or 128 and the signal's number if one ended it before its time."""
    from RobustDIRLib.errors import InputError
    from RobustDIRLib.studies.catalogue import STUDIES, open_study
    from RobustDIRLib.studies.study import carry_out

    if args.name == "list":
        for name, entry in STUDIES.items():
            print(f"{name:<12} {entry.summary}")
        return 0
    if args.settings is None or args.output is None:
        raise InputError("a study needs a file of settings and --output: `robustdir study NAME SETTINGS -o FOLDER`.")
    record: dict[str, Any] = {}
    for record in carry_out(open_study(args.name, args.settings, args.output), args.output):
        if args.progress == "json":
            print(json.dumps(record), flush=True)
        elif text := _line(record):
            print(text, flush=True)
    if record.get("kind") == "result" and args.progress == "text":
        print(f"table: {args.output / 'table.md'}")
    signal = record.get("signal", 0)
    return 128 + signal if signal else 0


def _line(record: dict[str, Any]) -> str:
    figures = [f"{name} {record[name]:.4g}" for name in ("dice", "tre_mm", "loss", "error") if _is_number(record, name)]
    if record["kind"] in ("epoch", "validation"):
        return f"{record['run']}: {record.get('epoch', record.get('step'))}: {', '.join(figures)}"
    if record["kind"] == "result":
        return f"{record['run']}: done, {', '.join(figures)}"
    return ""


def _is_number(record: dict[str, Any], name: str) -> bool:
    return isinstance(record.get(name), (int, float))
