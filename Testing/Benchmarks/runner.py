"""How long the runner and the tab Runs take over many and long runs: `python Testing/Benchmarks/runner.py`.

The tab's part, on the bench of Testing/SlicerHeadless, is left out where Slicer's libraries or Qt are missing.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "RobustDIR"), str(ROOT / "Testing" / "Python"), str(ROOT / "Testing")]

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
    panel()


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


class Longest:
    """The longest of many goes, by the clock and of a processor, in milliseconds."""

    def __init__(self) -> None:
        self.clock = self.processor = 0.0

    def of(self, work: Callable[[], object]) -> object:
        begun, used = time.perf_counter(), time.process_time()
        result = work()
        self.clock = max(self.clock, 1e3 * (time.perf_counter() - begun))
        self.processor = max(self.processor, 1e3 * (time.process_time() - used))
        return result

    def __str__(self) -> str:
        return f"{self.clock:.0f} ms ({self.processor:.0f} ms of a processor)"


def panel() -> None:
    """The tab itself: plots of a long run, its memory over a week, a hundred runs in the table."""
    from SlicerHeadless import availability

    if reason := availability.why_no_desktop():
        print(f"the tab Runs was left out: {reason}")
        return
    from SlicerHeadless import desktop

    desktop.start()
    import slicer

    from RobustDIRLib.trainpanel.home import set_runs_home

    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        for number in range(RUNS):
            a_finished_run(home / f"run{number:03}", records=3000, final="stop" if number % 2 else "end")
        set_runs_home(home)
        opened = desktop.open_panel(ROOT / "RobustDIRTrain" / "RobustDIRTrain.py")
        tab = opened.widget.panel.runs
        tab._timer.stop()
        table(tab)
        plots(tab, home)
        opened.close()
        slicer.app.settings().remove("RobustDIRTrain/RunsFolder")


def table(tab: Any) -> None:
    tab.board.use(Path("/"))
    begun, part = time.perf_counter(), Longest()
    tab.update()
    while not part.of(lambda: tab.board.look(0.02)):
        pass
    tab.update()
    print(
        f"{RUNS} runs in the table, first time: {1e3 * (time.perf_counter() - begun):.0f} ms in parts of at most {part}"
    )
    print(f"the table shown again:             {taken(tab.update)}")


def plots(tab: Any, home: Path) -> None:
    import psutil

    folder = a_finished_run(home / "long", records=STEPS)
    part = Longest()
    tab.select(folder)
    tab.ui.curvesButton.setChecked(True)
    while part.of(tab.curves.read):
        pass
    print(f"plots of {STEPS} steps, read in parts of at most {part}")
    path, steps = folder / "records.jsonl", iter(range(STEPS + 1, 100 * WEEK))

    def refresh() -> None:
        with path.open("a") as file:
            file.write(json.dumps({"kind": "step", "step": next(steps), "loss": 0.1}) + "\n")
        tab.curves.read()

    print(f"plots refreshed with a new step:  {taken(refresh)}")
    part = Longest()
    for number in range(10):
        with path.open("a") as file:
            for _ in range(STEPS):
                step = next(steps)
                file.write(json.dumps({"kind": "step", "step": step, "steps": WEEK, "loss": 1 / step}) + "\n")
        while part.of(tab.curves.read):
            pass
        if number in (1, 9):
            resident = psutil.Process().memory_info().rss / 2**20
            print(f"panel's memory after {step} steps: {resident:.0f} MiB")
    print(f"a tick of the plots at most:       {part}")


if __name__ == "__main__":
    main()
