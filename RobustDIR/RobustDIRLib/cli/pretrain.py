"""`robustdir pretrain RUN.json`: one JSON file is one run; a JSON line for every event on standard output."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from RobustDIRLib.cli import as_path

if TYPE_CHECKING:
    from RobustDIRLib.training.config import TrainingConfig

BANK = "bank"  # folder of the label maps that a run makes itself
_EPILOG = """\
Label maps for the run are made by `robustdir synthesize --bank`. A file named `stop` in the run's folder, Ctrl-C or
SIGTERM ends the run after the step, with a checkpoint; --resume goes on from it. While a file named `pause` is there
the run waits. On several GPUs or machines: `torchrun --nproc-per-node N -m RobustDIRLib pretrain RUN.json -o FOLDER`.
"""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("pretrain", help="teach a network on synthetic pairs", epilog=_EPILOG)
    parser.add_argument("run", type=as_path, help="JSON file with the run's settings (see Recipes)")
    parser.add_argument("-o", "--output", type=as_path, required=True, metavar="FOLDER", help="folder of the run")
    parser.add_argument(
        "--bank", type=as_path, metavar="FILE", help="first make the label maps that this JSON file describes "
        "(`labels` as for synthesize, `count`, `seed`) in FOLDER/bank, and learn from these"
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint")


def run(args: argparse.Namespace) -> int:
    """Train, printing records.

    Returns:
        0 at the end, and when the file `stop` ended the run; 128 and the signal's number when a signal did.
    """
    from RobustDIRLib.io.files import refuse_inputs
    from RobustDIRLib.run_files import CONFIG, MODEL, RECORDS
    from RobustDIRLib.training.checkpoints import NAME
    from RobustDIRLib.training.loop import train

    config = _settings(args)
    if not args.resume:
        refuse_inputs([args.output / name for name in (CONFIG, NAME, MODEL, RECORDS)], [args.run, *_read_files(config)])
    if args.bank:
        _make_bank(args.bank, args.output / BANK)
    signal = 0
    for record in train(config, args.output, resume=args.resume):
        print(json.dumps(record), flush=True)
        signal = record.get("signal", 0)
    return 128 + signal if signal else 0


def _settings(args: argparse.Namespace) -> TrainingConfig:
    """The file's settings; a network that is not given is that of the weights to start from."""
    from RobustDIRLib.configuration import from_dict, read_json
    from RobustDIRLib.networks.build import network_config
    from RobustDIRLib.training.config import TrainingConfig
    from RobustDIRLib.training.starting import saved_network

    values = read_json(args.run)
    if isinstance(values, dict):
        if args.bank:
            values["banks"] = [str((args.output / BANK).absolute())]
        if isinstance(values.get("initial"), str) and not values.get("network"):
            values["network"] = network_config(saved_network(values["initial"]))
    return from_dict(TrainingConfig, values, str(args.run))


def _make_bank(file: Path, folder: Path) -> None:
    """Label maps that are there already are kept."""
    from RobustDIRLib.configuration import from_dict, read_json
    from RobustDIRLib.synthesis.bank import BankSettings, make_bank

    bank = from_dict(BankSettings, read_json(file), str(file))
    make_bank(folder, bank.labels, bank.count, bank.seed, _tell_map)


def _tell_map(done: int, count: int) -> None:
    print(json.dumps({"kind": "map", "map": done, "maps": count}), flush=True)


def _read_files(config: TrainingConfig) -> list[str]:
    return [*config.banks, *([config.initial] if config.initial else [])]
