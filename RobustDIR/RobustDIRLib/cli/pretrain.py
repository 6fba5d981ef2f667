"""`robustdir pretrain RUN.json`: one JSON file is one run; a JSON line for every event on standard output."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from RobustDIRLib.cli import as_path

if TYPE_CHECKING:
    from RobustDIRLib.training.config import TrainingConfig

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
    parser.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint")


def run(args: argparse.Namespace) -> int:
    """Train, printing records.

    Returns:
        0 at the end, and when the file `stop` ended the run; 128 and the signal's number when a signal did.
    """
    from RobustDIRLib.configuration import from_dict, read_json
    from RobustDIRLib.io.files import refuse_inputs
    from RobustDIRLib.training.checkpoints import NAME
    from RobustDIRLib.training.config import TrainingConfig
    from RobustDIRLib.training.loop import CONFIG, MODEL, RECORDS, train

    config = from_dict(TrainingConfig, read_json(args.run), str(args.run))
    if not args.resume:
        refuse_inputs([args.output / name for name in (CONFIG, NAME, MODEL, RECORDS)], [args.run, *_read_files(config)])
    signal = 0
    for record in train(config, args.output, resume=args.resume):
        print(json.dumps(record), flush=True)
        signal = record.get("signal", 0)
    return 128 + signal if signal else 0


def _read_files(config: TrainingConfig) -> list[str]:
    return [*config.banks, *([config.initial] if config.initial else [])]
