"""Processes forked from one that has imported everything: torch and what learning needs take seconds to import."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from typing import TextIO

import pytest

# Optimisers import the last one as they are made. What is not there is left out.
PRELOADED = ["distributed", "cohort_worker", "rank_process", "RobustDIRLib.cli.finetune", "torch._dynamo"]


def context() -> multiprocessing.context.ForkServerContext:
    """Of forked processes; what they are forked from begins with the first, and imports from the same places."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        forkserver.ensure_running()
    return context


class Forked:
    """A function in a process of its own, with the methods of `subprocess.Popen` that are used here.

    Args:
        function: Gives the exit code.
        arguments: Its.
        environment: What it finds in `os.environ` beside what is there.
    """

    def __init__(
        self, function: Callable[..., object], *arguments: object, environment: Mapping[str, str] | None = None
    ) -> None:
        forking = context()
        (out, told), (err, complained) = (forking.Pipe(duplex=False) for _ in range(2))
        self._process = forking.Process(
            target=_run, args=(told, complained, function, arguments, dict(environment or {})), daemon=True
        )
        self._process.start()
        told.close()
        complained.close()
        self.stdout, self.stderr = _text(out), _text(err)

    @property
    def returncode(self) -> int | None:
        """None while it runs; below 0 for the signal that ended it."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self._process.pid or 0, number)

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What is left of its output, and of its errors; it is waited for."""
        with ThreadPoolExecutor(2) as threads, self.stdout, self.stderr:
            out, err = threads.map(lambda file: file.read(), (self.stdout, self.stderr), timeout=timeout)
        self.wait(timeout)
        return out, err


def _text(reader: Connection) -> TextIO:
    with reader:
        return os.fdopen(os.dup(reader.fileno()), encoding="utf-8")


def _run(
    told: Connection,
    complained: Connection,
    function: Callable[..., object],
    arguments: tuple[object, ...],
    environment: Mapping[str, str],
) -> None:
    os.environ.update(environment)
    for pipe, number in ((told, 1), (complained, 2)):
        os.dup2(pipe.fileno(), number)
        pipe.close()
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
    sys.exit(function(*arguments))
