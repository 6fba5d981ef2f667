"""Starts commands of the library as `subprocess.Popen` does, forked from a process that has imported everything.

Their numbers, groups, beginnings, words, signals and exit codes are those of processes that were started afresh. Where
the system cannot do it, or the environment differs in what is read as Python or torch is loaded, they are.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from RobustDIRLib.cli import WAITING

SERVER = Path(__file__).with_name("command_server.py")
LIBRARY = SERVER.parents[1] / "RobustDIR"
POSSIBLE = sys.platform == "linux" and hasattr(os, "pidfd_open")
PADDING = "-" * (1 << 14)  # room for the words of commands
SECONDS = 120.0
READ_AT_START = (
    "PYTHON",
    "OMP_",
    "GOMP_",
    "MKL_",
    "OPENBLAS_",
    "KMP_",
    "TORCH_",
    "PYTORCH",
    "CUDA",
    "MPL",
    "LD_",
    "LC_",
)
# The server heeds the first two; Dask leaves the last behind in the process that has workers started.
LEFT_OUT = ("PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONHASHSEED")
_held: dict[str, socket.socket] = {}  # by kind of server: for as long as this process lives, they do


def forking_subprocess(code: bool = False) -> SimpleNamespace:
    """The module `subprocess`, whose `Popen` forks commands of the library, in an environment such as there is now.

    Args:
        code: Fork `python -c CODE ...`, too.
    """
    here = dict(os.environ)

    def popen(command: Sequence[str], *, env: Mapping[str, str], **settings: Any) -> Any:
        """As `runner.launching.launch` asks for it."""
        program, *words = command[:3]
        ours = program == sys.executable and (words == ["-m", "RobustDIRLib"] or (code and words[0] == "-c"))
        if POSSIBLE and ours and _read_at_start(env) == _read_at_start(_with_library(here)):
            return ForkedCommand(command, env, here, **settings)
        return subprocess.Popen(command, env=env, **settings)

    return SimpleNamespace(**{**vars(subprocess), "Popen": popen})


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    known = {**WAITING, **environment}  # commands set what is missing
    return {k: v for k, v in known.items() if k.startswith(READ_AT_START) and k not in LEFT_OUT}


def _with_library(environment: Mapping[str, str]) -> dict[str, str]:
    paths = os.pathsep.join(filter(None, [str(LIBRARY), environment.get("PYTHONPATH")]))
    return {**environment, "PYTHONPATH": paths}


def started(command: Sequence[str], environment: Mapping[str, str] | None = None, kind: str = "library") -> Any:
    """A process whose output and errors are read as texts, forked where that can be.

    Args:
        command: `python -m RobustDIRLib ...` or `python -c CODE ...`.
        environment: Added to this process's own.
        kind: Of what has been imported already, as `command_server` has it.
    """
    here = _with_library(os.environ)
    given = {**here, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", **(environment or {})}
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if POSSIBLE and _read_at_start(given) == _read_at_start(here):
        return ForkedCommand(command, given, os.environ, kind=kind, **streams)
    return subprocess.Popen(command, env=given, encoding="utf-8", **streams)


class ForkedCommand:
    """What is used of `subprocess.Popen`.

    Attributes:
        pid: Of the process.
        returncode: None while it runs; below 0 for the signal that ended it.
        stdout, stderr: What it says, where a pipe was asked for.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        of_server: Mapping[str, str],
        *,
        stdin: int,
        stdout: Any,
        stderr: int,
        start_new_session: bool = False,
        kind: str = "library",
    ) -> None:
        assert stdin == subprocess.DEVNULL
        self.args, self.returncode = list(command), None
        asked = {
            "words": self.args,
            "environment": dict(environment),
            "folder": os.getcwd(),
            "session": start_new_session,
        }
        hold(kind, of_server)
        self._server = _connected(kind, of_server)
        with ExitStack() as ends, open(os.devnull, "rb") as nothing:
            self.stdout, out = _reading(stdout, ends)
            self.stderr, err = (None, out) if stderr == subprocess.STDOUT else _reading(stderr, ends)
            socket.send_fds(self._server, [json.dumps(asked).encode()], [nothing.fileno(), out, err])
        kind, number = self._server.recv(64).decode().split()
        assert kind == "number", f"it ended before it began, with {number}"
        self.pid = int(number)
        atexit.register(self.kill)

    def send_signal(self, number: int) -> None:
        """As of `subprocess.Popen`: not to another one that got its number."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it, if it still runs."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What is left of its output, and of its errors; it is waited for."""
        with ThreadPoolExecutor(2) as threads, self.stdout, self.stderr:
            out, err = threads.map(lambda file: file.read(), (self.stdout, self.stderr), timeout=timeout)
        self.wait(timeout)
        return out, err

    def poll(self) -> int | None:
        """Its exit code, once it is over."""
        return self._hear(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; waits for it.

        Raises:
            TimeoutExpired: If it takes longer, seconds.
        """
        code = self._hear(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def _hear(self, seconds: float | None) -> int | None:
        if self.returncode is None:
            self._server.settimeout(seconds)
            try:
                told = self._server.recv(64)
            except (BlockingIOError, TimeoutError):
                return None
            if not told:
                raise RuntimeError("the process that commands are forked from has ended")
            self.returncode = int(told.split()[1])
            atexit.unregister(self.kill)
            self._server.close()
        return self.returncode


def hold(kind: str, environment: Mapping[str, str] = os.environ) -> None:
    """Have this test run's server of a kind live for as long as this process does; for those that end sooner."""
    if kind not in _held:
        _held[kind] = _connected(kind, environment)


def _reading(stream: Any, ends: ExitStack) -> tuple[Any, int]:
    """What this process reads from, if it is asked for a pipe; and what the other one writes to."""
    if stream != subprocess.PIPE:
        return None, stream.fileno()
    reading, writing = os.pipe()
    ends.callback(os.close, writing)
    return os.fdopen(reading, encoding="utf-8"), writing


def _connected(kind: str, environment: Mapping[str, str]) -> socket.socket:
    """A connection to this test run's server of a kind, which is started if need be."""
    name = f"robustdir-{kind}-{os.environ.get('PYTEST_XDIST_TESTRUNUID') or os.getpid()}"
    servers: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        if not servers or servers[-1].poll() is not None:  # another one has the name
            servers.append(_start(kind, name, environment))

    return connected(name, start)


def connected(name: str, otherwise: Callable[[], None] = lambda: None) -> socket.socket:
    """A connection to the server of this name.

    Args:
        name: Where it listens.
        otherwise: Done for as long as there is none.
    Raises:
        TimeoutError: If it does not answer.
    """
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(SECONDS)
        try:
            connection.connect(f"\0{name}")
            if connection.recv(64):
                return connection
        except OSError:
            connection.close()
        otherwise()
        time.sleep(0.05)
    raise TimeoutError("the process that commands are forked from did not answer")


def _start(kind: str, name: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(SERVER), kind, name, PADDING],
        env={**WAITING, **environment},
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
