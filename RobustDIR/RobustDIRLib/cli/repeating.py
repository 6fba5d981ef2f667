"""The command that repeats a run from any folder: every option it was given or defaulted to, every path absolute."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

_OPTIONS = "_options"
_MODELS = ("model", "methods")  # names of models, of other methods, or files, with commas between


def remember_options(parser: argparse.ArgumentParser, unlike: Collection[str] = ()) -> None:
    """Keep a subcommand's options with what it parses, for `repeating_command`; call it once all are added.

    Args:
        parser: Of the subcommand.
        unlike: Options that change nothing of the result.
    """
    actions = [action for action in parser._actions if action.dest not in ("help", *unlike)]
    parser.set_defaults(**{_OPTIONS: (parser.prog.split()[-1], actions)})


def repeating_command(args: argparse.Namespace, paths: Collection[str]) -> str:
    """The command that does the same again.

    It replaces what the first one wrote, where the subcommand knows `--overwrite`. Options that were not given are
    spelt out with their default, so that another default some day changes nothing.

    Args:
        args: As parsed.
        paths: Arguments that are paths, or lists of them.
    """
    command, options = getattr(args, _OPTIONS)
    words = ["robustdir", command]
    for action in options:
        value = getattr(args, action.dest)
        if isinstance(action, argparse.BooleanOptionalAction) and value is not None:
            words.append(action.option_strings[0 if value else 1])
            continue
        if action.dest == "overwrite" or value is None or value is False:
            continue
        words += _words(action, [_text(one, action.dest, paths) for one in _several(value)])
    words += ["--overwrite"] if any(action.dest == "overwrite" for action in options) else []
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def _model_words(name: str) -> str:
    """A model as a command in any folder names it: by its name, or the absolute path of its file."""
    from RobustDIRLib.baselines.registry import list_methods

    return name if name in list_methods() or not os.path.isfile(name) else str(Path(name).absolute())


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _text(value: Any, name: str, paths: Collection[str]) -> str:
    if name in paths:
        return str(Path(value).absolute())
    if name in _MODELS:
        return ",".join(_model_words(one.strip()) for one in str(value).split(","))
    return str(value)


def _words(action: argparse.Action, texts: list[str]) -> Iterator[str]:
    flag = max(action.option_strings, key=len, default="")
    if not flag:
        yield from texts
    elif action.nargs == 0:
        yield flag
    else:
        for text in texts:
            # A value that begins with a dash would be taken for an option.
            yield from [f"{flag}={text}"] if text.startswith("-") else [flag, text]
