"""`robustdir doctor`: whether this machine can register, and with what."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from RobustDIRLib.doctor import Health


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("doctor", help="versions, device, memory, extras and models of this machine")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print what was found; returns 0 if registrations can run, else 1."""
    from RobustDIRLib.doctor import examine

    health = examine()
    print(json.dumps(health.as_dict(), indent=2) if args.json else _text(health))
    return 0 if health.usable else 1


def _text(health: Health) -> str:
    rows = [(name, found or "missing") for name, found in health.versions.items()]
    rows += [(name, _device_value(value)) for name, value in health.device.items()]
    rows += [(f"memory {name}", _gib(size)) for name, size in health.memory.items()]
    rows += [(f"[{name}]", f"lacks {', '.join(gone)}" if gone else "there") for name, gone in health.extras.items()]
    rows += [(f"model {name}", state) for name, state in health.models.items()]
    lines = [f"{name:23} {value}" for name, value in rows]
    lines += [f"note: {note}" for note in health.notes] + [f"PROBLEM: {problem}" for problem in health.problems]
    return "\n".join([*lines, "ready to register" if health.usable else "not usable yet"])


def _device_value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return str(value)


def _gib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**30:.1f} GiB"
