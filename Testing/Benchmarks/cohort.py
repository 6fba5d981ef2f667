"""Processor seconds and memory of a worker of `robustdir evaluate`, pair after pair, on one core, as Markdown rows.

    python Testing/Benchmarks/cohort.py --pairs 4

A pair is 192 voxels a side with 35 labels and 300 landmarks. Everything is done that a worker does but the
registration, which runs in a process of its own: checksums, reading, warping, all measures before and after, the
picture, the result file. Peak memory is the worker's so far: a thousand pairs stream if it does not grow.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "RobustDIR"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from metrics import LABELS, shapes, smooth  # noqa: E402

from RobustDIRLib.baselines.method import Outcome, Pair  # noqa: E402
from RobustDIRLib.baselines.timing import Cost  # noqa: E402
from RobustDIRLib.cohort import work  # noqa: E402
from RobustDIRLib.cohort.results import AS_THEY_ARE  # noqa: E402
from RobustDIRLib.cohort.work import Ended, Task, WorkSettings, perform  # noqa: E402
from RobustDIRLib.cohort.workers import _limit_threads  # noqa: E402
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
    work.measured = lambda method, pair, threads: (method.register(pair, threads), Cost(0, 0, 0))
    _limit_threads(1)
    (case,) = open_dataset(folder / "data").cases
    print(f"| pair of {side}^3, {LABELS} labels | processor seconds | peak memory, GiB |\n|---|---|---|", flush=True)
    for number in range(pairs):
        begun, events = time.process_time(), []
        perform(Task(case, ((Known(number, side), AS_THEY_ARE),)), WorkSettings(folder), events.append)
        assert isinstance(events[-1], Ended) and not events[-1].reason, events
        seconds = time.process_time() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
        print(f"| {number + 1} | {seconds:.1f} | {peak:.2f} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--side", type=int, default=192, help="voxels")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        Path(options.folder, "data").mkdir()
        return write_pair(Path(options.folder, "data", "case"), options.side)
    if options.folder:
        return measure(Path(options.folder), options.pairs, options.side)
    with tempfile.TemporaryDirectory(prefix="robustdir-") as folder:
        command = [sys.executable, __file__, "--folder", folder, "--side", str(options.side)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run([*command, "--make"], env=environment, check=True)
        subprocess.run([*command, "--pairs", str(options.pairs)], env=environment, check=True)
    return None


if __name__ == "__main__":
    main()
