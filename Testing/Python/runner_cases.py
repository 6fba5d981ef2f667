"""Runs to watch: stand-ins in real processes, and folders as runs of all kinds leave them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from RobustDIRLib.io.processes import start_of
from RobustDIRLib.runner import watching
from RobustDIRLib.runner.states import RunState
from RobustDIRLib.runner.watching import WatchedRun

# The words as of the library itself, so that what a note says of its subcommand is found in them.
SHIM = "import runpy, sys; sys.argv = sys.argv[2:]; runpy.run_path({path!r}, run_name='__main__')"
PROCESS = Path(__file__).with_name("runner_process.py")
PROGRAM = [sys.executable, "-c", SHIM.format(path=str(PROCESS)), "-m", "RobustDIRLib"]


def begin(folder: Path, *words: str, kind: str = "finetune") -> WatchedRun:
    return watching.start(folder, [kind, "--output", str(folder), *words], program=PROGRAM)


def wait(run: WatchedRun, condition: Callable[[WatchedRun], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while True:
        run.poll()
        if condition(run):
            return
        assert time.monotonic() < end, (run.state, run.message, run.log)
        time.sleep(0.01)


def wait_for_state(run: WatchedRun, *states: RunState, seconds: float = 20.0) -> None:
    wait(run, lambda run: run.state in states, seconds)


def gone(pid: int, seconds: float = 5.0) -> bool:
    """Whether a process is over within so many seconds."""
    end = time.monotonic() + seconds
    while start_of(pid):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def a_finished_run(folder: Path, records: int = 200, final: str = "end") -> Path:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"dataset": "d", "judge": "auto", "epochs": records // 5}))
    lines = [{"kind": "start", "step": 0, "steps": records}]
    best = {}
    for step in range(1, records + 1):
        lines.append({"kind": "step", "step": step, "steps": records, "loss": 1 / step, "seconds_per_step": 0.5})
        if step % 5 == 0:
            dice = 0.8 - abs(step - 20) / 1000
            if dice > best.get("dice", 0):
                best = {"dice": dice, "epoch": step // 5}
            lines.append({"kind": "epoch", "step": step, "epoch": step // 5, "dice": dice, "best_so_far": dict(best)})
    if final:
        lines.append({"kind": final, "step": records, "epoch": records // 5})
    (folder / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "checkpoint.pt").write_text(str(records))
    return folder
