"""How long the runner takes over many and long runs: `python Testing/Benchmarks/runner.py`."""

from __future__ import annotations

import json
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "RobustDIR"), str(Path(__file__).parents[1] / "Python")]

from RobustDIRLib.runner.history import History  # noqa: E402
from RobustDIRLib.runner.lines import LineReader, as_object  # noqa: E402
from RobustDIRLib.runner.registry import Registry  # noqa: E402
from runner_cases import a_finished_run  # noqa: E402

RUNS, STEPS, WEEK = 100, 10_000, 600_000


def taken(work: Callable[[], object], times: int = 5) -> str:
    """The fastest of a few goes, and its processor time, since a busy machine tells of others."""
    goes = []
    for _ in range(times):
        begun, used = time.perf_counter(), time.process_time()
        work()
        goes.append((time.perf_counter() - begun, time.process_time() - used))
    wall, used = min(goes)
    return f"{1e3 * wall:.1f} ms ({1e3 * used:.1f} ms of a processor)"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        for number in range(RUNS):
            a_finished_run(home / f"run{number}", records=3000, final="stop" if number % 2 else "end")
        print(f"list {RUNS} runs, first time: {taken(lambda: Registry([home]).list())}")
        registry = Registry([home])
        registry.list()
        print(f"list {RUNS} runs, again:      {taken(registry.list)}")
        curves(home)
        week(home)


def curves(home: Path) -> None:
    path = a_finished_run(home / "long", records=STEPS) / "records.jsonl"

    def read() -> History:
        history = History()
        for line in LineReader(path).finish():
            history.add(as_object(line) or {})
        return history

    history = read()
    print(f"read {STEPS} steps:          {taken(read)}")
    points = len(history.curves["step/loss"].points)
    drawn = taken(lambda: [(curve.steps, curve.means) for curve in history.curves.values()])
    print(f"series of {points} points:      {drawn}")


def week(home: Path) -> None:
    path = home / "week.jsonl"
    reader, history = LineReader(path), History()
    tracemalloc.start()
    longest = 0.0  # processor time
    for part in range(60):
        with path.open("a") as file:
            for step in range(part * WEEK // 60, (part + 1) * WEEK // 60):
                file.write(json.dumps({"kind": "step", "step": step, "steps": WEEK, "loss": 1 / (step + 1)}) + "\n")
        begun = time.process_time()
        for line in reader.read():
            history.add(as_object(line) or {}, float(part))
        longest = max(longest, time.process_time() - begun)
        if part in (1, 59):
            print(f"memory after {history.step + 1} records: {tracemalloc.get_traced_memory()[0] / 2**20:.2f} MiB")
    print(f"longest reading of 10,000 records at once: {1e3 * longest:.0f} ms of a processor, with memory traced")


if __name__ == "__main__":
    main()
