"""`robustdir models`: list them, show a card, add a file after checking it, export, remove, say where they lie."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from RobustDIRLib.cli import as_path

NOTES = {
    "anatomy": "what it is for",
    "modality": "such as CT, T1-weighted MRI",
    "licence": "under which it may be used",
    "notes": "anything else",
}


def add_parser(subparsers: Any) -> None:
    """Add the subcommand and its own: list, show, add, export, remove, path."""
    parser = subparsers.add_parser("models", help="list models, show a card, add, export and remove")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="every model by name, the shipped ones first")
    show = actions.add_parser("show", help="a model's card, network and checksum")
    show.add_argument("model", help="name or path of a model")
    show.add_argument(
        "--checkpoint", action="store_true", help="of a run's checkpoint.pt: its network and how far it is"
    )
    add = actions.add_parser("add", help="check a model file and copy it among your own")
    add.add_argument("file", help="model file")
    add.add_argument("--name", help="what to call it (default: what its card says, else the file's name)")
    for note, what in NOTES.items():
        add.add_argument(f"--{note}", metavar="TEXT", help=f"for its card: {what}")
    export = actions.add_parser(
        "export", help="copy a model, its card within it, to one file for `models add` elsewhere"
    )
    export.add_argument("model", help="name of a model")
    export.add_argument("file", type=as_path, help="file to write, .pt")
    export.add_argument("--overwrite", action="store_true", help="replace a file of that name")
    remove = actions.add_parser("remove", help="delete one of your own models")
    remove.add_argument("model", help="name of a model")
    path = actions.add_parser("path", help="where your own models lie, or where one model lies")
    path.add_argument("model", nargs="?", help="name of a model")


def run(args: argparse.Namespace) -> int:
    """Do what `args.action` says; returns 0."""
    actions = {"list": _list, "show": _show, "add": _add, "export": _export, "remove": _remove, "path": _path}
    actions[args.action](args)
    return 0


def _list(args: argparse.Namespace) -> None:
    from RobustDIRLib.model_store import DEFAULT_MODEL, list_models

    entries = list_models()
    width = max([len(entry.name) for entry in entries], default=0)
    for entry in entries:
        origin = "shipped" if entry.shipped else "yours"
        default = ", the default" if entry.name == DEFAULT_MODEL else ""
        print(f"{entry.name:{width}}  {entry.path.stat().st_size / 1e6:6.1f} MB  {origin}{default}")
    if not entries:
        print("no models yet; add one with: robustdir models add FILE")


def _show(args: argparse.Namespace) -> None:
    if args.checkpoint:
        _show_checkpoint(args.model)
        return
    from RobustDIRLib.model_store import card_text, load_model
    from RobustDIRLib.networks.build import network_config

    model = load_model(args.model)
    print(card_text(model).rstrip())
    parameters = sum(p.numel() for p in model.network.parameters())
    options = ", ".join(f"{key} {value}" for key, value in network_config(model.network).items())
    print(f"\nfile: {model.path}\nsha256: {model.checksum}\nnetwork: {options}\nparameters: {parameters:,}")


def _show_checkpoint(file: str) -> None:
    from RobustDIRLib.training.checkpoints import load_checkpoint

    state = load_checkpoint(Path(file))
    options = ", ".join(f"{key} {value}" for key, value in state["network"].items())
    print(f"file: {file}\nstep: {state['step']}\nnetwork: {options}")


def _add(args: argparse.Namespace) -> None:
    from RobustDIRLib.model_store import add_model

    notes = {note: getattr(args, note) for note in NOTES if getattr(args, note)}
    entry = add_model(args.file, args.name, notes)
    print(f"added {entry.name}: {entry.path}")


def _export(args: argparse.Namespace) -> None:
    from RobustDIRLib.model_store import export_model

    print(f"exported {args.model}: {export_model(args.model, args.file, args.overwrite)}")


def _remove(args: argparse.Namespace) -> None:
    from RobustDIRLib.model_store import remove_model

    remove_model(args.model)
    print(f"removed {args.model}")


def _path(args: argparse.Namespace) -> None:
    from RobustDIRLib.model_store import find_model, user_folder

    print(find_model(args.model) if args.model else user_folder())
