"""`robustdir finetune DATASET -o FOLDER`: adapt a network to one's own data, or teach one from scratch on it."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from RobustDIRLib.cli import as_path
from RobustDIRLib.run_files import MODEL

if TYPE_CHECKING:
    from RobustDIRLib.finetuning.config import FinetuneConfig

_DESCRIPTION = """\
Fine-tune a model on the pairs of DATASET: by Dice where the images have label maps, without supervision where not. The
best epoch's model is FOLDER/weights.pt; `robustdir models add` makes it one of your own, and
`robustdir register --model FOLDER/weights.pt` uses it at once.
"""
_SILENT_SECONDS = 20.0  # after which a step is told of
_EPILOG = """\
A file named `stop` in FOLDER, Ctrl-C or SIGTERM ends the run after the step, with a checkpoint; while a file named
`pause` is there it waits. --resume goes on from the checkpoint. On several GPUs or machines:
`torchrun --nproc-per-node N -m RobustDIRLib finetune ...`.
"""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "finetune", help="adapt a network to your own data", description=_DESCRIPTION, epilog=_EPILOG
    )
    parser.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint")
    parser.add_argument("--hand-over", type=int, help=argparse.SUPPRESS)  # a pair of the run, for the panel of Slicer
    add_settings(parser)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The options that say what a run is, for `settings_of`."""
    parser.add_argument("dataset", metavar="DATASET", nargs="?", help="folder of a data set, or robustdir-dataset.json")
    parser.add_argument("-o", "--output", type=as_path, required=True, metavar="FOLDER", help="folder of the run")
    parser.add_argument("--config", type=as_path, metavar="FILE", help="JSON file with settings; options go before it")
    what = parser.add_argument_group("what")
    what.add_argument("--model", metavar="MODEL", help="model or checkpoint to start from (default: generic)")
    what.add_argument("--from-scratch", action="store_true", help="start from random weights instead")
    what.add_argument("--preset", help="of the registration (default: the data set's)")
    what.add_argument("--split", type=as_path, metavar="FILE", help="JSON file with subjects: train, validation, test")
    what.add_argument("--limit", type=int, metavar="N", help="learn from N of the training subjects only")
    how = parser.add_argument_group("how")
    how.add_argument(
        "--loss", metavar="TERM=W,...",
        help="terms and weights: dice, nmi, local_ncc, mind, landmarks, gradient (default: dice where there are "
        "labels, else local_ncc; gradient 0.1; what a run learns by is told as it begins)",
    )  # fmt: skip
    how.add_argument("--epochs", type=int, metavar="N", help="at most (default: 300); ends earlier once it converged")
    how.add_argument("--pairs-per-epoch", type=int, metavar="N", help="default: one a training scan, or all listed")
    how.add_argument("--learning-rate", type=float, metavar="R", help="default: 0.0001")
    how.add_argument("--augment", action="store_true", help="contrast and noise as in the paper, flips, small affines")
    how.add_argument("--freeze", metavar="NAME,...", help="parts of the network that stay as they are, such as encoder")
    how.add_argument("--threads", type=int, metavar="N", help="of the network")
    how.add_argument("--seed", type=int, metavar="N", help="of every draw (default: 0)")
    how.add_argument("--progress", choices=("text", "json"), default="text", help="lines to read, or JSON lines")


def run(args: argparse.Namespace) -> int:
    """Fine-tune, printing records; returns 0, or 128 and the signal's number if one ended it before its time."""
    from RobustDIRLib.finetuning.loop import finetune
    from RobustDIRLib.io.files import refuse_inputs
    from RobustDIRLib.run_files import CONFIG, MODEL, RECORDS
    from RobustDIRLib.training.checkpoints import NAME

    config = settings_of(args)
    if args.hand_over is not None:
        _hand_over(config, args.hand_over, args.output)
        return 0
    if not args.resume:
        inputs = [
            config.dataset,
            *([config.initial] if config.initial else []),
            *filter(None, (args.config, args.split)),
        ]
        refuse_inputs([args.output / name for name in (CONFIG, NAME, MODEL, RECORDS)], inputs)
    screen = _json_line if args.progress == "json" else _Lines()
    record: dict[str, Any] = {}
    for record in finetune(config, args.output, resume=args.resume):
        screen(record)
    if record.get("kind") == "end":
        _conclude(config, args.output, args.progress)
    signal = record.get("signal", 0)
    return 128 + signal if signal else 0


def settings_of(args: argparse.Namespace) -> FinetuneConfig:
    """Settings of the file or, on resuming, of the run, and the options given on top."""
    from RobustDIRLib.configuration import from_dict
    from RobustDIRLib.errors import InputError
    from RobustDIRLib.finetuning.config import FinetuneConfig
    from RobustDIRLib.finetuning.run import kept_settings
    from RobustDIRLib.run_files import CONFIG

    resumed = getattr(args, "resume", False) and not args.config
    file = args.output / CONFIG if resumed else args.config
    settings = kept_settings(args.output) if resumed else _settings_in(args.config) if args.config else {}
    merged = {**settings, **_given(args)}
    if not merged.get("dataset"):
        raise InputError("finetune needs a data set: name its folder.")
    try:
        return from_dict(FinetuneConfig, merged, "the command")
    except InputError:
        if file:  # whose mistake it is, if the file is wrong by itself
            from_dict(FinetuneConfig, {"dataset": merged["dataset"], **settings}, str(file))
        raise


def _settings_in(file: Path) -> dict[str, Any]:
    """The settings of `--config`."""
    from RobustDIRLib.configuration import read_json
    from RobustDIRLib.errors import InputError

    settings = read_json(file)
    if not isinstance(settings, dict):
        raise InputError(f"{file} holds no settings by name; give a JSON file as a run's folder has it.")
    return settings


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """Settings by the options that were given."""
    from RobustDIRLib.errors import InputError

    if args.from_scratch and args.model:
        raise InputError("--from-scratch and --model exclude each other; give one.")
    plain = {
        "dataset": str(Path(args.dataset).absolute()) if args.dataset else None,
        "initial": _model(args.model) if args.model else None,
        **{name: getattr(args, name) for name in ("preset", "epochs", "pairs_per_epoch", "threads", "seed")},
    }
    given = {name: value for name, value in plain.items() if value is not None}
    return {**given, **({"initial": None} if args.from_scratch else {}), **_given_in_groups(args)}


def _given_in_groups(args: argparse.Namespace) -> dict[str, Any]:
    """Settings that an option makes of several values, or several of one option."""
    given: dict[str, Any] = {}
    if args.freeze:
        given["freeze"] = args.freeze.split(",")
    if args.loss:
        given["loss"] = _loss(args.loss)
    if args.learning_rate is not None:
        given["optimizer"] = {"learning_rate": args.learning_rate, "clip": 1.0, "average": 0.0}
    if args.augment:
        given["augmentation"] = {"contrast": 0.5, "noise": 0.5, "flip": 0.5, "affine": 0.5}
    if args.split or args.limit is not None:
        given["split"] = {**_parts(args.split), **({} if args.limit is None else {"limit": args.limit})}
    return given


def _parts(file: Path | None) -> dict[str, Any]:
    """What `--split` says; nothing without it."""
    from RobustDIRLib.configuration import read_json
    from RobustDIRLib.errors import InputError

    parts = read_json(file) if file else {}
    if not isinstance(parts, dict):
        raise InputError(f"{file} names no parts; give a JSON object with lists under train, validation, test.")
    return parts


def _hand_over(config: FinetuneConfig, number: int, folder: Path) -> None:
    """Write the pair of a number, as the run would learn from it."""
    from RobustDIRLib.datasets.cases import CaseData
    from RobustDIRLib.finetuning.drawing import preview_pair
    from RobustDIRLib.trainpanel.case_files import write_case, write_field
    from RobustDIRLib.values import Image

    drawn = preview_pair(config, number)
    names = ("fixed", "moving", "fixed_labels", "moving_labels")
    held = {name: tensor for name in names if (tensor := getattr(drawn.pair, name)) is not None}
    images: dict[str, Any] = {name: Image(tensor[0, 0].numpy(), drawn.grid) for name, tensor in held.items()}
    case = CaseData(**images)
    write_case(case, None, folder, (drawn.pair.name,))
    if drawn.displacement is not None:
        write_field(folder, drawn.grid.displacement_to_mm(drawn.displacement[0].numpy()), drawn.grid)


def _model(name: str) -> str:
    """A file by its whole path, so that the run can be resumed from anywhere; names as they are."""
    return str(Path(name).absolute()) if Path(name).exists() else name


def _loss(text: str) -> dict[str, float]:
    from RobustDIRLib.errors import InputError

    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name.strip() in weights:
            raise InputError(f"--loss {text}: names {name.strip()} twice; give each term once.")
        try:
            weights[name.strip()] = float(value or 1)
        except ValueError as error:
            raise InputError(f"--loss {part}: give a term and its weight, such as dice=1.") from error
    terms = {name: weight for name, weight in weights.items() if name != "gradient"}
    if terms and not any(terms.values()):  # the data would choose a term then, which is not what was asked for
        raise InputError(f"--loss {text}: gives every term that teaches no weight; give one of them more than 0.")
    return weights


def _json_line(record: dict[str, Any]) -> None:
    print(json.dumps(record), flush=True)


class _Lines:
    """Lines for people: one an epoch, and now and then where it stands in between."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def __call__(self, record: dict[str, Any]) -> None:
        """Tell of a record."""
        text = getattr(self, f"_{record['kind']}", lambda _: "")(record)
        if text:
            print(text, flush=True)
            self._told = time.monotonic()

    def _step(self, r: dict[str, Any]) -> str:
        if time.monotonic() - self._told < _SILENT_SECONDS:
            return ""
        return f"  step {r['step']} of {r['steps']} at most, {r['seconds_per_step']:.1f} s each, loss {r['loss']:.4f}"

    def _start(self, r: dict[str, Any]) -> str:
        going_on = f", going on from step {r['step']}" if r["step"] else ""
        if not r["validation_pairs"]:
            going_on += "; no pair to validate on, so that the last epoch is kept and nothing tells when to end"
        if not r["test_pairs"]:
            going_on += "; no pair to test on, so that nothing will tell what was gained"
        begins = not r["step"] and r["validation_pairs"]
        first = f"\naligning and judging {r['validation_pairs']} validation pairs as they are …" if begins else ""
        by = ", ".join(f"{name} {weight:g}" for name, weight in r["loss"].items() if weight and name != "labels")
        return (
            f"{r['train_subjects']} subjects to learn from, {r['validation_subjects']} for validation, "
            f"{r['test_subjects']} for testing; {r['pairs_per_epoch']} pairs an epoch, learning by {by}"
            f"{going_on}{first}"
        )

    def _epoch(self, r: dict[str, Any]) -> str:
        figures = [("Dice", "dice", ".4f"), ("TRE mm", "tre_mm", ".3f"), ("loss", "loss", ".4f")]
        if not any(name in r for _, name, _ in figures):  # nothing to validate on
            figures = [("loss in teaching", "training_loss", ".4f")]
        shown = ", ".join(f"{title} {r[name]:{form}}" for title, name, form in figures if name in r)
        name = f"epoch {r['epoch']}" if r["epoch"] else "before"
        return f"{name:<10}{shown}{'  (best so far)' if r['best'] and r['epoch'] else ''}"

    def _pause(self, r: dict[str, Any]) -> str:
        return "paused: remove the file `pause` to go on"

    def _stop(self, r: dict[str, Any]) -> str:
        return f"stopped after step {r['step']}; --resume goes on from there"

    def _end(self, r: dict[str, Any]) -> str:
        return f"converged at epoch {r['converged']}" if r["converged"] else f"ended after epoch {r['epoch']}"


def _conclude(config: FinetuneConfig, folder: Path, progress: str) -> None:
    """What was gained and lost."""
    from RobustDIRLib.finetuning.summary import conclude, refinement_sentence, table
    from RobustDIRLib.io.lock import Rank
    from RobustDIRLib.training.processes import Process

    if Rank.here().rank:
        return
    summary = conclude(config, folder, Process.alone(config.device))
    if progress == "json":
        _json_line({"kind": "summary", **summary})
    else:
        judged = summary.get("refinement")
        told = f"{refinement_sentence(judged)}\n" if judged else ""
        print(f"{summary['pairs']} test pairs\n{table(summary)}\n{told}model: {folder / MODEL}")
