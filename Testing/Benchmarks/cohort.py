"""What `robustdir evaluate` costs beside the registrations, as Markdown tables.

    python Testing/Benchmarks/cohort.py --pairs 4          # a big pair after the other in one process
    python Testing/Benchmarks/cohort.py --empty 1000       # overhead a task: in one process, and on one and two workers
    python Testing/Benchmarks/cohort.py --spread 6         # small pairs on one and on two workers

A pair is 192 voxels a side with 35 labels and 300 landmarks. Everything is done that a worker does but the
registration, which runs in a process of its own: checksums, reading, warping, all measures before and after, the
picture, the result file. Peak memory is the worker's so far: a thousand pairs stream if it does not grow. An empty
pair is a task without a result. Workers are started before the clock; processor seconds count their start, too.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "RobustDIR"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from metrics import LABELS, shapes, smooth  # noqa: E402

from RobustDIRLib.baselines.method import Outcome, Pair  # noqa: E402
from RobustDIRLib.baselines.starts import Untouched  # noqa: E402
from RobustDIRLib.baselines.timing import Cost  # noqa: E402
from RobustDIRLib.cohort import task  # noqa: E402
from RobustDIRLib.cohort.engine import Place, crew  # noqa: E402
from RobustDIRLib.cohort.results import AS_THEY_ARE  # noqa: E402
from RobustDIRLib.cohort.task import Ended, Task, TaskSettings, perform  # noqa: E402
from RobustDIRLib.datasets.opening import open_dataset  # noqa: E402
from RobustDIRLib.geometry import Grid  # noqa: E402
from RobustDIRLib.io.displacements import DisplacementField, to_sitk_transform  # noqa: E402
from RobustDIRLib.io.images import Image, write_image  # noqa: E402
from RobustDIRLib.io.landmarks import Landmarks, write_landmarks  # noqa: E402

LANDMARKS = 300
SPACING = (0.9, 1.2, 1.5)


def write_pair(folder: Path, side: int) -> None:
    """Shapes strewn over the whole volume, moving ones two voxels off."""
    rng, grid = np.random.default_rng(0), Grid((side,) * 3, SPACING)
    folder.mkdir()
    labels = shapes(rng, side)
    image = labels * np.float32(20) + rng.normal(scale=3, size=grid.shape).astype(np.float32)
    points = grid.points_from_voxels(rng.uniform(2, side - 3, (LANDMARKS, 3)))
    for name, shift in (("fixed", 0), ("moving", 2)):
        write_image(folder / f"{name}.nii.gz", Image(np.roll(image, shift, 1), grid))
        write_image(folder / f"{name}_labels.nii.gz", Image(np.roll(labels, shift, 1), grid))
        write_landmarks(folder / f"{name}_landmarks.csv", Landmarks(points))


@dataclass(frozen=True)
class Known:
    """A method whose outcome is a smooth displacement of some voxels; its number tells the results apart."""

    number: int
    side: int

    @property
    def name(self) -> str:
        """Another one for each pair."""
        return f"known{self.number}"

    def prepare(self) -> None:
        """Nothing to do."""

    def register(self, pair: Pair, threads: int) -> Outcome:
        """The displacement, and its opposite for the inverse."""
        rng = np.random.default_rng(self.number)
        array = np.stack([3 * smooth(rng, 8, self.side) for _ in range(3)], axis=-1)
        there, back = (to_sitk_transform(DisplacementField(s * array, pair.fixed.grid)) for s in (1, -1))
        return Outcome(there, back)


def measure(folder: Path, pairs: int, side: int) -> None:
    """Work through the case again and again, as if each time were another."""
    task.measured = lambda method, pair, threads: (method.register(pair, threads), Cost(0, 0, 0))
    (case,) = open_dataset(folder / "data").cases
    print(f"| pair of {side}^3, {LABELS} labels | processor seconds | peak memory, GiB |\n|---|---|---|", flush=True)
    for number in range(pairs):
        begun, events = time.process_time(), []
        perform(Task(case, ((Known(number, side), AS_THEY_ARE),)), TaskSettings(folder), events.append)
        assert isinstance(events[-1], Ended) and not events[-1].reason, events
        seconds = time.process_time() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
        print(f"| {number + 1} | {seconds:.1f} | {peak:.2f} |", flush=True)


def empty(folder: Path, count: int) -> None:
    """Seconds a task that makes nothing, in this process and on workers."""
    (case,) = open_dataset(folder / "data").cases
    print(f"| {count} empty pairs | ms a task |\n|---|---|", flush=True)
    for jobs in (1, 2):
        print(f"| {_where(jobs)} | {1000 * _seconds(folder, [Task(case, ())] * count, jobs) / count:.2f} |", flush=True)


def spread(folder: Path, count: int, side: int) -> None:
    """Seconds of some pairs, the images as they lie, each registered in a process of its own, in turn and on two."""
    (case,) = open_dataset(folder / "data").cases
    print(
        f"| {count} pairs of {side}^3 | seconds | processor seconds | load of the machine before |\n|---|---|---|---|",
        flush=True,
    )
    for jobs in (1, 2):
        tasks = [Task(replace(case, name=f"case{jobs}{n}"), ((Untouched(), AS_THEY_ARE),)) for n in range(count)]
        load, processor = os.getloadavg()[0], sum(os.times()[:4])
        seconds = _seconds(folder, tasks, jobs)
        processor = sum(os.times()[:4]) - processor  # with that of the workers, which have ended
        print(f"| {_where(jobs)} | {seconds:.1f} | {processor:.1f} | {load:.1f} |", flush=True)


def _where(jobs: int) -> str:
    return "one process" if jobs == 1 else f"{jobs} workers of Dask"


def _seconds(folder: Path, tasks: list[Task], jobs: int) -> float:
    (folder / "evaluation.json").touch()
    with crew(Place(jobs), tasks, TaskSettings(folder, pictures=0), print) as work:
        begun = time.perf_counter()
        work(lambda event: None)
        return time.perf_counter() - begun


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--empty", type=int, metavar="N")
    parser.add_argument("--spread", type=int, metavar="N")
    parser.add_argument("--side", type=int, default=192, help="voxels")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        Path(options.folder, "data").mkdir()
        return write_pair(Path(options.folder, "data", "case"), options.side)
    if options.folder and options.empty:
        return empty(Path(options.folder), options.empty)
    if options.folder and options.spread:
        return spread(Path(options.folder), options.spread, options.side)
    if options.folder:
        return measure(Path(options.folder), options.pairs, options.side)
    with tempfile.TemporaryDirectory(prefix="robustdir-") as folder:
        command = [sys.executable, __file__, "--folder", folder, "--side", str(options.side)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run([*command, "--make"], env=environment, check=True)
        what = next((name for name in ("empty", "spread") if getattr(options, name)), "pairs")
        subprocess.run([*command, f"--{what}", str(getattr(options, what))], env=environment, check=True)
    return None


if __name__ == "__main__":
    main()
