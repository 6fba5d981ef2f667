"""The command `robustdir`: one file a subcommand, each with `add_parser(subparsers)` and `run(args) -> int`.

These files import nothing heavy at their top, so that help and messages come at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from RobustDIRLib import __version__
from RobustDIRLib.errors import InputError

COMMANDS = ("register", "report", "demo", "models", "doctor", "dataset", "evaluate", "synthesize", "pretrain")
EXIT_FAILED, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        argv: Arguments after the command's name; those of the process if not given.
    Returns:
        Exit code: 0 done, 1 failed, 2 bad input, 130 interrupted.
    """
    modules = {name: import_module(f"{__name__}.{name}") for name in COMMANDS}
    args = _parser(modules).parse_args(argv)
    try:
        return int(modules[args.command].run(args))
    except InputError as error:
        return _say(str(error), EXIT_BAD_INPUT)
    except OSError as error:  # a full disk, a folder taken away: the system's own words name the file
        return _say(str(error), EXIT_FAILED)
    except KeyboardInterrupt:
        return _say("interrupted", EXIT_INTERRUPTED)


def _say(message: str, code: int) -> int:
    print(f"robustdir: {message}", file=sys.stderr)
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
