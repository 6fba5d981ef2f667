"""The command `robustdir`: one file a subcommand, each with `add_parser(subparsers)` and `run(args) -> int`.

These files import nothing heavy at their top, so that help and messages come at once.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

from RobustDIRLib import __version__
from RobustDIRLib.configuration import MOST_SEEDS
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import FULL_DISK
from RobustDIRLib.io.free_memory import ran_out_of_memory

COMMANDS = (
    "register",
    "report",
    "demo",
    "models",
    "doctor",
    "dataset",
    "evaluate",
    "synthesize",
    "pretrain",
    "finetune",
    "deformation_model",
    "tune",
    "study",
)
_NO_MEMORY = "memory ran out; close other programs, crop the images, or allow this one more, and try again."
_LONGEST_NAME = 1 << 15  # letters; systems allow 4,096 or 32,767
_MAY_BE_EMPTY = ("comment",)
_POSITIONAL = ("fixed", "moving", "dataset", "folder", "file", "run", "path", "settings")
_OTHERWISE_NAMED = {"moving_labels": "labels"}
_OF_OTHER_COMMANDS = {"aggregate": "robustdir evaluate --aggregate"}
# How threads of torch wait for each other. Spinning for long, beside another busy program, takes several times as long;
# not at all, on a quiet machine, a fifth more. So GNU's OpenMP, which most builds for Linux have, spins for a few
# microseconds; others do not spin.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}
EXIT_FAILED, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        argv: Arguments after the command's name; those of the process if not given.
    Returns:
        Exit code: 0 done, 1 failed, 2 bad input, 130 interrupted.
    """
    if not set(WAITING) & set(os.environ):
        os.environ.update(WAITING)  # read when torch is loaded
    modules = {name: import_module(f"{__name__}.{name}") for name in COMMANDS}
    args = _parser(modules).parse_args(argv)
    _write_any_letter()
    try:
        _refuse_unfit(args)
        return int(modules[args.command.replace("-", "_")].run(args))
    except InputError as error:
        return _say(in_options(str(error), args), EXIT_BAD_INPUT)
    except (MemoryError, RuntimeError, ImportError, OSError) as error:
        if ran_out_of_memory(error):
            return _say(_NO_MEMORY, EXIT_FAILED)
        if not isinstance(error, OSError):  # a mistake of ours
            raise
        return _say(_of_system(error), EXIT_FAILED)
    except KeyboardInterrupt:
        return _say("interrupted", EXIT_INTERRUPTED)


def _write_any_letter() -> None:
    """Let the terminal's output hold names in letters that its encoding lacks: a run must not end over a message."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _of_system(error: OSError) -> str:
    """A folder taken away: the system's own words name the file; those of a full disk do not."""
    if isinstance(error, BrokenPipeError) and error.filename is None:
        return "the program that read this output has ended, and so has this."
    if error.filename is not None or error.errno not in FULL_DISK:
        return str(error)
    return f"what was to be written did not fit ({error.strerror}); free some space, or raise the limit, and try again."


def as_path(text: str) -> Path | str:
    """A type for arguments: a path; the empty text, whose path is the current folder, stays for `main` to refuse."""
    return Path(text) if text.strip() else text


def _refuse_unfit(args: argparse.Namespace) -> None:
    """Refuse arguments without a letter, as an empty path is the current folder, and what no library takes.

    Raises:
        InputError: Names the argument.
    """
    try:
        Path.cwd()
    except OSError as error:  # libraries that are loaded then end the process
        raise InputError("the current folder is gone; change into one that is there.") from error
    for name, value in vars(args).items():
        texts = value if isinstance(value, list) else [value]
        if name not in _MAY_BE_EMPTY and any(isinstance(text, str) and not text.strip() for text in texts):
            raise InputError(f"`{name}` is empty; give it a value or leave it out.")
        if any(isinstance(text, (str, Path)) and "\0" in str(text) for text in texts):
            raise InputError(f"`{name}` holds a character that no name can have; give another.")
        if any(isinstance(text, (str, Path)) and len(str(text)) > _LONGEST_NAME for text in texts):
            raise InputError(f"`{name}` is longer than any path can be; give a shorter one.")
    if not 0 <= (getattr(args, "seed", None) or 0) < MOST_SEEDS:
        raise InputError(f"`seed` {args.seed}: give a whole number from 0 to 2^63 - 1.")


def in_options(message: str, args: argparse.Namespace) -> str:
    """A sentence with a command's options in place of Python's parameters: `memory_limit` as --memory-limit."""

    def option(found: re.Match[str]) -> str:
        name = _OTHERWISE_NAMED.get(found[1], found[1])
        if not hasattr(args, name):
            return _OF_OTHER_COMMANDS.get(name, found[0])
        return name.upper() if name in _POSITIONAL else f"--{name.replace('_', '-')}"

    return re.sub(r"`(\w+)`", option, message)


def _say(message: str, code: int) -> int:
    text = message.encode("utf-8", "backslashreplace").decode()  # of names that are no UTF-8
    print(f"robustdir: {text}", file=sys.stderr)
    return code


def _parser(modules: dict[str, ModuleType]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="robustdir",
        description="Deformable registration of 3D medical images. Research software, not a medical device.",
        epilog="`robustdir COMMAND --help` tells the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"robustdir {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in modules.values():
        module.add_parser(subparsers)
    return parser
