"""Where the time of fine-tuning goes, on a data set of one's own, as Markdown rows.

    python Testing/Benchmarks/finetuning.py DATA/hippocampus --threads 2 --pairs 100

Every pair is made once before, so that reading and aligning scans, which happen once a run, are a row of their own. A
row has wall and processor seconds; the last one is what an epoch of so many pairs with its validation takes. Each grid
(`FinetuneConfig.grid`) has a process of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[2] / "RobustDIR"
HEADER = """\
| grid | what | count | wall s each | processor s each |
|---|---|---|---|---|"""

_EPOCH = """
import sys, time, torch
from pathlib import Path
from RobustDIRLib.configuration import from_dict
from RobustDIRLib.finetuning.config import FinetuneConfig
from RobustDIRLib.finetuning.tuner import Tuner
from RobustDIRLib.synthesis.random import generator
from RobustDIRLib.training.processes import Process
dataset, grid, model, threads, pairs, validated = sys.argv[1:4] + [int(word) for word in sys.argv[4:]]
settings = {"dataset": dataset, "grid": grid, "initial": model, "threads": threads, "pairs_per_epoch": pairs,
            "optimizer": {"learning_rate": 1e-6, "clip": 1.0, "average": 0.99}}
tuner = Tuner(from_dict(FinetuneConfig, settings, "the benchmark"), Process(0, 1, torch.device("cpu")))
clocks = {}
def timed(what, work):
    before = time.perf_counter(), time.process_time()
    found = work()
    held = clocks.setdefault(what, [0, 0.0, 0.0])
    for place, spent in enumerate((1, time.perf_counter() - before[0], time.process_time() - before[1])):
        held[place] += spent
    return found
keys = tuner.material.fixed_pairs("validation", validated)
held = [timed("a validation pair, read and aligned", lambda: tuner.material.maker.make(key, generator(0, i)))
        for i, key in enumerate(keys)]
for step in range(tuner.steps_per_epoch):
    timed("a pair, read and aligned (first epoch)", lambda: tuner.batch(step))
tuner.network.train()
for step in range(tuner.steps_per_epoch):
    batch = timed("a pair made", lambda: tuner.batch(step))
    loss = timed("network and loss", lambda: tuner.objective(batch))
    timed("gradients and optimiser", lambda: tuner.learner.descend(loss, 10**6))
timed(f"{len(held)} pairs validated", lambda: tuner.validate(held))
epoch = [sum(clocks[what][place] for what in list(clocks)[2:]) for place in (1, 2)]
clocks[f"**an epoch of {tuner.steps_per_epoch} pairs**"] = [1, *epoch]
for what, (count, wall, busy) in clocks.items():
    print(f"| {grid} | {what} | {count} | {wall / count:.2f} | {busy / count:.2f} |")
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="folder of a data set")
    parser.add_argument("--grids", default="fitted,native,registration")
    parser.add_argument("--model", default="generic")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--validated", type=int, default=20)
    options = parser.parse_args()
    print(HEADER, flush=True)
    counts = [str(n) for n in (options.threads, options.pairs, options.validated)]
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": str(options.threads)}
    for grid in options.grids.split(","):
        command = [sys.executable, "-c", _EPOCH, options.dataset, grid, options.model, *counts]
        subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    main()
