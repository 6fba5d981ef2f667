"""What a registration costs: wall-clock time, CPU time and peak memory, of every method measured the same way.

Each registration runs in a fresh process of its own, so that its peak memory is its own and a crash or a lack of memory
ends nothing else. Timed is `register` alone; starting Python, importing packages and loading weights is not.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from RobustDIRLib.baselines.method import Method, Outcome, Pair
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import FULL_DISK

_PR_SET_PDEATHSIG = 1
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


@dataclass(frozen=True)
class Cost:
    """What one registration took.

    Attributes:
        wall_s: Seconds on the clock.
        cpu_s: Seconds of computing, of all threads together, user and system.
        peak_bytes: Peak resident main memory of the process, interpreter, packages and images included; a GPU's memory
            is not.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int


def measured(method: Method, pair: Pair, threads: int) -> tuple[Outcome, Cost]:
    """Register a pair in a process of its own, and say what it took.

    Args:
        method: Can be pickled.
        pair: Two images, any grids.
        threads: To compute with.
    Raises:
        InputError: If the method refuses the pair, or its process is ended from outside, as for want of memory.
        OSError: If the disk is full where temporary files go.
        RuntimeError: With the traceback, if it fails by a mistake.
    """
    with tempfile.TemporaryDirectory(prefix="robustdir-") as folder:
        task, answer = Path(folder, "task"), Path(folder, "answer")
        task.write_bytes(pickle.dumps((method, pair, threads), protocol=pickle.HIGHEST_PROTOCOL))
        done = subprocess.run(
            [sys.executable, "-c", _code(task, answer)],
            env=_environment(threads),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if not answer.is_file():
            raise _failure(method.name, done.returncode, done.stderr)
        refused, outcome, cost = pickle.loads(answer.read_bytes())
    if refused:
        raise InputError(refused)
    return outcome, cost


def _code(task: Path, answer: Path) -> str:
    """The child's program. Paths come before imports: what the method was pickled from must be found there too.

    A terminal's Ctrl-C reaches the child, too, but is for the main process, which ends it.
    """
    return (
        f"import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); sys.path[:] = {sys.path!r}\n"
        f"from RobustDIRLib.baselines.timing import _answer\n"
        f"_answer({str(task)!r}, {str(answer)!r}, {os.getpid()})"
    )


def _environment(threads: int) -> dict[str, str]:
    return {**os.environ, **dict.fromkeys(_THREADS, str(threads))}


def _failure(name: str, code: int, output: str) -> Exception:
    if code < 0 or code in (137, 139):
        return InputError(
            f"{name}: its process was ended by signal {abs(code) % 128}, which often means that memory ran out; close "
            f"other programs, run fewer processes at once, or crop the images."
        )
    last = output.rstrip().rpartition("\n")[2]
    if full := next((number for number in FULL_DISK if f"[Errno {number}]" in last), None):
        return OSError(full, os.strerror(full))
    return RuntimeError(f"{name} failed (exit status {code}):\n{output}")


def _answer(task: str, answer: str, parent: int) -> None:
    """The child's side: run the task and write what came of it."""
    _end_with_parent(parent)
    method, pair, threads = pickle.loads(Path(task).read_bytes())
    try:
        method.prepare()
        wall, cpu = time.perf_counter(), time.process_time()
        outcome = method.register(pair, threads)
        cost = Cost(time.perf_counter() - wall, time.process_time() - cpu, peak_memory())
        content: tuple[str, Outcome | None, Cost | None] = ("", outcome, cost)
    except InputError as error:
        content = (str(error), None, None)
    partial = Path(answer).with_name("partial")
    partial.write_bytes(pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL))
    partial.replace(answer)


def _end_with_parent(parent: int) -> None:
    """See to it that this process is ended with the one that started it, however that goes: rivals can take hours.

    The kernel has to do it, since a rival's compiled code lets no thread of Python run beside it. Elsewhere than on
    Linux the registration under way is finished in vain.
    """
    if sys.platform == "linux":
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it has gone in the meantime
            os._exit(1)


def peak_memory() -> int:
    """Most bytes of main memory that this process held at once, as far as the system says; 0 if it does not.

    Linux's own figure is taken from /proc: that of `getrusage` counts what the parent process held before it started
    this one.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # bytes on macOS
