"""How long the runner takes over many and long runs: `python Testing/Benchmarks/runner.py`."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "RobustDIR"), str(Path(__file__).parents[1] / "Python")]

from RobustDIRLib.runner.history import History
from RobustDIRLib.runner.lines import LineReader, as_object
from RobustDIRLib.runner.registry import Registry
from runner_cases import a_finished_run

RUNS, STEPS, WEEK = 100, 10_000, 600_000


def milliseconds(work: Callable[[], object], times: int = 5) -> float:
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(taken)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        for number in range(RUNS):
            a_finished_run(home / f"run{number}", records=3000, final="stop" if number % 2 else "end")
        print(f"list {RUNS} runs, first time: {milliseconds(lambda: Registry([home]).list()):.0f} ms")
        registry = Registry([home])
        registry.list()
        print(f"list {RUNS} runs, again:      {milliseconds(registry.list):.0f} ms")
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
    print(f"read {STEPS} steps:          {milliseconds(read):.0f} ms")
    points = len(history.curves["step/loss"].points)
    drawn = milliseconds(lambda: [(curve.steps, curve.means) for curve in history.curves.values()])
    print(f"series of {points} points:      {drawn:.2f} ms")


def week(home: Path) -> None:
    path = home / "week.jsonl"
    reader, history = LineReader(path), History()
    tracemalloc.start()
    longest = 0.0
    for part in range(60):
        with path.open("a") as file:
            for step in range(part * WEEK // 60, (part + 1) * WEEK // 60):
                file.write(json.dumps({"kind": "step", "step": step, "steps": WEEK, "loss": 1 / (step + 1)}) + "\n")
        begun = time.perf_counter()
        for line in reader.read():
            history.add(as_object(line) or {}, float(part))
        longest = max(longest, time.perf_counter() - begun)
        if part in (1, 59):
            print(f"memory after {history.step + 1} records: {tracemalloc.get_traced_memory()[0] / 2**20:.2f} MiB")
    print(f"longest reading of 10,000 records at once: {1e3 * longest:.0f} ms (with memory traced)")


if __name__ == "__main__":
    main()
